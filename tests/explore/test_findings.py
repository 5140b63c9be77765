"""Each kind of failure is found, by the fewest preemptions, and its schedule replays it."""

import re
from functools import cache

import pytest
from planted import PLANTED, SUBTLE

from strategies.errors import InputError
from strategies.explore.defect import substituted
from strategies.explore.explorer import explore, prepared
from strategies.explore.program import TRACKERS
from strategies.explore.programs import PROGRAMS
from strategies.explore.session import Job, find
from strategies.explore.trace import Replay, Tracer, schedule_string


@pytest.fixture(params=PLANTED)
def planted(request):
    """A kind of failure and a defect that leads to it."""
    return request.param, PLANTED[request.param]


@cache
def found_by(defect):
    return explore(find(defect.program), defect.strategy, defect=defect).finding


def replayed(defect, text, policy=Replay):
    with prepared(find(defect.program), defect.strategy, defect) as explorer:
        arguments = (explorer.scene.machine,) if policy is Tracer else ()
        policy = policy(text, *arguments)
        schedule, violation, _ = explorer.run(policy)
        policy.check_end()
    return schedule, violation, policy


def test_every_kind_of_failure_is_found(planted):
    kind, defect = planted
    assert found_by(defect).kind == kind


@pytest.mark.parametrize("what", SUBTLE)
def test_losses_that_only_a_rare_schedule_shows_are_found(what):
    found = found_by(SUBTLE[what])
    assert (found.kind, found.preemptions) == ("lost page", 1)
    assert found.schedules > 20


def test_correct_code_has_none_of_them(planted):
    """In four times as many schedules; `dirtylog explore` runs all of them."""
    _, defect = planted
    limit = 4 * found_by(defect).schedules
    assert explore(find(defect.program), defect.strategy, limit=limit).finding is None


def test_a_replay_reproduces_exactly_the_same_failure(planted):
    _, defect = planted
    found = found_by(defect)
    schedule, violation, _ = replayed(defect, schedule_string(found.steps))
    assert (violation.kind, violation.text) == (found.kind, found.text)
    assert tuple(schedule.steps) == found.steps


def test_a_trace_has_a_line_for_each_step(planted):
    _, defect = planted
    found = found_by(defect)
    lines = replayed(defect, schedule_string(found.steps), Tracer)[2].lines
    steps = [line for line in lines if line[:5].strip().isdigit()]
    assert [line.split()[1] for line in steps] == ["AB"[number] for number in found.steps]


def test_a_trace_says_thread_function_and_what_was_read_or_written():
    defect = PLANTED["lost page"]
    lines = replayed(defect, schedule_string(found_by(defect).steps), Tracer)[2].lines
    assert "A: host store(0)" in lines
    (stored,) = [line.split(maxsplit=2)[2] for line in lines if "stamps 0: 0x0 -> 0x100" in line]
    assert " ".join(stored.split()) == (
        "host_store > host_store_marks_first store stamps 0: 0x0 -> 0x100"
    )


def test_the_first_failure_has_the_fewest_preemptions():
    """The mark is overtaken by a harvest only if the host is preempted once."""
    found = found_by(PLANTED["lost page"])
    assert found.preemptions == 1
    assert explore(find(PLANTED["lost page"].program), "write_protect", 0).finding is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "accepted is one like 'A12 B30 A*'"),
        ("A12 B-3", "accepted is one like 'A12 B30 A*'"),
        ("C1 A*", "its threads are A, B"),
        ("A1 a1 A*", "its threads are A, B"),
        ("A9999 B*", "A has ended"),
        ("A3", "after its 3 steps threads can still go on"),
        ("A* B* A1", "A has ended"),
    ],
)
def test_a_schedule_that_does_not_fit_is_one_clear_error(text, why):
    with (
        prepared(find("store-harvest"), "write_protect") as explorer,
        pytest.raises(InputError, match=re.escape(why)) as refused,
    ):
        explorer.run(Replay(text))
    assert "\n" not in str(refused.value)


def test_a_defect_is_gone_when_its_context_ends():
    defect = PLANTED["livelock"]
    ((original, _),) = defect.replaces
    from strategies.core import locks

    with substituted(defect.replaces):
        assert locks.wait_hpte_unlocked is not original
    assert locks.wait_hpte_unlocked is original


def test_names_of_programs_are_unique_and_every_tracker_runs_most_of_them():
    names = [program.name for program in PROGRAMS]
    assert len(set(names)) == len(names)
    assert sum(program.strategies == TRACKERS for program in PROGRAMS) > 35


def test_who_chooses_every_tracker_leaves_no_program_out():
    """Nor those that need a small log, or small groups."""
    for program in PROGRAMS:
        assert set(program.trackers(TRACKERS)) == set(program.strategies)


@pytest.mark.parametrize(
    ("chosen", "trackers"),
    [
        ((), ("dirty_ring:66",)),
        (("dirty_ring",), ("dirty_ring:66",)),
        (("dirty_ring", "dirty_ring:66"), ("dirty_ring:66",)),
        (("dirty_ring:128", "pml"), ()),
    ],
)
def test_a_program_that_needs_a_small_ring_runs_with_it(chosen, trackers):
    assert find("ring-full-harvest").trackers(chosen) == trackers


def test_the_same_exploration_gives_the_same_result():
    job = Job("store-harvest", "double_buffer", 2, "sc")
    first, second = (explore(find(job.program), job.strategy, job.bound) for _ in range(2))
    assert first == second
