"""The fast checks of a mutant: the machine as plain Python, chosen by the function that it changes.

Each check has a name, `kind argument ...`, under which the table keeps what killed a mutant and by
which it is run again:

    test PATH::NAME                   a test of pytest
    contract TRACKER CLAUSE           a clause of the contract, in the cases that are small enough
    lives TRACKER SEED                a random life of a guest against the naive model
    explore TRACKER MEMORY PROGRAM    the explorer on a program, as many schedules as there is time

It runs in a process that imports the package anew, the mutated file among it.
"""

import random
import time

import pytest

CORE_TESTS = (
    "tests/core/test_hpte.py",
    "tests/core/test_hpt.py",
    "tests/core/test_rmap.py",
    "tests/core/test_memslot.py",
    "tests/core/test_mmu.py",
    "tests/core/test_hypercalls.py",
    "tests/core/test_delayed_c.py",
    "tests/core/test_unmap.py",
    "tests/core/test_vcpus.py",
    "tests/explore/test_interleaved.py",
)
TRACKER_TESTS = (
    "tests/test_hpt_sweep.py",
    "tests/test_groups.py",
    "tests/test_manual_protect.py",
    "tests/test_summary.py",
    "tests/test_ioctl.py",
    "tests/contract/test_exact_counts.py",
    "tests/contract/test_exact_counts_by_log.py",
    *(
        f"tests/test_adaptive.py::test_{name}"
        for name in (
            "all_that_it_learns_and_chooses_is_what_a_plain_model_does",
            "so_it_is_where_the_words_with_hot_pages_are_in_two_words",
            "so_it_is_in_a_new_log_of_a_slot_of_one_word",
            "so_it_is_where_the_hpt_is_swept",
            "so_it_is_where_regret_is_half_the_price_of_all_or_half_a_picosecond_less",
            "so_it_is_after_many_harvests",
            "where_c_is_kept_back_a_page_is_noted_once_in_a_harvest",
            "where_c_is_kept_back_cooling_takes_the_permission_and_c_alone",
        )
    ),
)
TOO_SLOW = "not (test_many_pages_share_the_tlb or test_group_of_bolted or 1000-1000)"
TOO_LARGE = ("full_groups", "any_size", "at_random")
"""Clauses of thousands of pages; those of large pages run with 64 KiB pages alone."""

KINDS = ("test", "contract", "lives", "explore")
FIRST = 2
"""Trackers that have all kinds of checks before the others have any."""

SEEDS = range(24)
UNMAPS = range(24, 48)
"""Seeds of lives in which the host takes pages away, too: that saves C, which hides some losses."""

ONE_SCHEDULE, FEW_SCHEDULES, MORE_SCHEDULES = 1, 12, 1500
"""At most so many of each program: one shows a broken rule; then, if there is time, more."""


class KilledError(Exception):
    """A check failed; its argument is the check's name."""


class _Watch:
    """Tells which test begins, and notes the first that fails."""

    def __init__(self, begin):
        self._begin = begin
        self.failed = None

    def pytest_runtest_logstart(self, nodeid, location):
        self._begin(f"test {nodeid}")

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def run(check, begin, limit=MORE_SCHEDULES):
    """Run a check by its name.

    Parameters
    ----------
    check : str
    begin : callable
        Told the name of each check, or test, that begins.
    limit : int
        Schedules at most, if it explores a program.

    Raises
    ------
    KilledError
        It fails.
    """
    kind, *arguments = check.split(" ", 3 if check.startswith("explore") else 2)
    if kind == "test":
        _pytest([check.partition(" ")[2]], begin)
        return
    begin(check)
    if kind == "explore":
        arguments.append(limit)
    try:
        {"contract": _contract, "lives": _live, "explore": _explore}[kind](*arguments)
    except Exception as error:
        raise KilledError(check) from error


def run_all(trackers, seconds, begin):
    """Run all checks, those of some trackers, the cheap ones first, while there is time.

    Parameters
    ----------
    trackers : sequence of str
    seconds : float
        CPU time of this process after which no check begins.

    Raises
    ------
    KilledError
        A check fails.
    """
    from strategies.registry import base_of

    first, others = trackers[:FIRST], trackers[FIRST:]
    few, rest = (*SEEDS[:3], *UNMAPS[:2]), (*SEEDS[3:], *UNMAPS[2:])
    _run([life for tracker in trackers for life in _lives(tracker, few)], seconds, begin)
    _run(_programs(first, ("sc",)), seconds, begin, ONE_SCHEDULE)
    if time.process_time() < seconds:  # of those alone: few
        _pytest(TRACKER_TESTS, begin, " or ".join(map(base_of, first)))
    if time.process_time() < seconds:
        _pytest(CORE_TESTS, begin)
    for some in (first, others):
        _run([clause for tracker in some for clause in _clauses(tracker)], seconds, begin)
        _run(_programs(some), seconds, begin, FEW_SCHEDULES)
    if time.process_time() < seconds:
        _pytest(TRACKER_TESTS, begin)
    _run([life for tracker in trackers for life in _lives(tracker, rest)], seconds, begin)
    _run(_programs(trackers), seconds, begin, MORE_SCHEDULES)


def _run(checks, seconds, begin, *limit):
    for check in checks:
        if time.process_time() < seconds:
            run(check, begin, *limit)


def _pytest(names, begin, words=""):
    """Run tests of pytest, those whose names have one of some words."""
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # imported for all children
    watch = _Watch(begin)
    pytest.main(
        [*options, "-k", f"({words}) and {TOO_SLOW}" if words else TOO_SLOW, *names],
        plugins=[watch],
    )
    if watch.failed:
        raise KilledError(f"test {watch.failed}")


def _clauses(tracker):
    from strategies.contract.hold import CLAUSES

    names = [one.check.__name__ for one in CLAUSES]
    small = [name for name in names if not any(part in name for part in TOO_LARGE)]
    return [f"contract {tracker} {name}" for name in small]


def _contract(tracker, name):
    """Hold a tracker to a clause in its first case and its last: all values, not all pairs."""
    from strategies.contract.hold import CLAUSES

    (one,) = (each for each in CLAUSES if each.check.__name__ == name)
    cases = [case for case in one.cases if "large" not in name or case.get("page_shift") == 16]
    for case in (*cases[:1], *cases[1:][-1:]):
        one.check(tracker, **case)


def _lives(tracker, seeds):
    return [f"lives {tracker} {seed}" for seed in seeds]


def _live(tracker, seed):
    from test_stateful import Guest

    rng = random.Random(int(seed))
    guest = type("Guest", (Guest,), {"strategy": tracker})()
    guest.start(16, rng.random() < 0.5, int(seed), True)  # of few pages, and so ten times as fast
    for _ in range(5):
        guest.live(rng.randrange(1 << 16), unmaps=int(seed) in UNMAPS)
    guest.teardown()


def _programs(trackers, memories=("sc", "tso")):
    """Return the programs of some trackers, in some memory models, those of many steps last."""
    from strategies.explore import catalogue
    from strategies.explore.programs import PROGRAMS
    from strategies.registry import base_of

    programs = sorted((*PROGRAMS, *catalogue.PROGRAMS), key=lambda each: each.is_big)
    bases = {base_of(tracker) for tracker in trackers}
    return [
        f"explore {tracker} {memory} {program.name}"
        for memory in memories
        for program in programs
        for tracker in program.strategies
        if base_of(tracker) in bases
    ]


def _explore(tracker, memory, name, limit):
    from strategies.explore.explorer import explore
    from strategies.explore.session import find

    finding = explore(find(name), tracker, memory=memory, limit=limit).finding
    if finding:
        raise AssertionError(finding.text)
