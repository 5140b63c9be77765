"""The generated programs: which there are, and that they find what nobody wrote a program for."""

from itertools import combinations_with_replacement

import pytest

from strategies.explore import generated
from strategies.explore.explorer import explore
from strategies.explore.generated import BULK, GUEST, HOST
from strategies.explore.programs import TRACKERS
from strategies.explore.session import find, find_defect

PAIRS, ALL = generated.pairs(), generated.programs()
NAMES = {program.name for program in ALL}


def threads_of(name):
    return name.partition("@")[0].split(",")


def test_each_program_is_found_by_its_name():
    assert len(NAMES) == len(ALL) > 1500
    assert all(find(program.name) is program for program in ALL)


def test_all_pairs_of_operations_are_there():
    one_view = {*GUEST, *HOST, f"{BULK}0"}
    pairs = {tuple(sorted(threads_of(program.name))) for program in PAIRS}
    assert {tuple(sorted(pair)) for pair in combinations_with_replacement(one_view, 2)} <= pairs


def test_each_is_there_with_a_second_hpte():
    second = {f"{name}1" for name in GUEST} | {f"{BULK}01"}
    assert second <= {thread for name in NAMES for thread in threads_of(name)}


def test_no_program_is_another_with_threads_swapped():
    parted = [name.partition("@") for name in NAMES]
    assert len({(tuple(sorted(t.split(","))), start) for t, _, start in parted}) == len(NAMES)


def test_every_tracker_runs_all_in_which_the_host_does_something():
    hosts = [p for p in ALL if "late" not in p.name and not all(t.is_guest for t in p.threads)]
    assert len(hosts) > 500
    assert {program.strategies for program in hosts} == {TRACKERS}


def test_the_cheap_come_first():
    sizes = [
        ("late" in program.name, len(program.threads), sum(len(t.actions) for t in program.threads))
        for program in ALL
    ]
    is_late, threads, actions = zip(*sizes, strict=True)
    assert list(is_late) == sorted(is_late)
    at_once = [size for size in sizes if not size[0]]
    assert [n for _, n, _ in at_once] == sorted(n for _, n, _ in at_once)
    assert (min(threads), max(threads), min(actions), max(actions)) == (2, 3, 2, 3)


@pytest.mark.parametrize(
    ("defect", "program"),
    [
        ("clear-ref-by-load-and-store", "store,clear-ref@clean"),
        ("owed-c-without-lock", "load,remove1@dirty,two,late"),
        ("r-by-load-and-store", "load,load1@dirty,two,late"),
        ("no-tlbie", "store,remove@dirty"),
        ("no-tlbie-of-an-absent-hpte", "remove+store,harvest@dirty"),
        ("protect-skips-its-tlbie", "protect-ro+store,harvest@dirty"),
        ("permission-by-load-and-store", "store,harvest@clean"),
        ("old-marks-in-a-new-log", "enable,disable@dirty"),
        ("two-trackers-of-a-slot", "store,enable-other@dirty"),
        ("full-at-one-look", "enter-any,clear-mod@full"),
        ("r-cleared-with-c", "load,harvest@dirty"),
        ("no-slots-lock", "harvest,harvest@dirty"),
    ],
)
def test_they_find_known_defects(defect, program):
    defect = find_defect(defect)
    assert explore(find(program), defect.strategy, defect=defect).finding


@pytest.mark.parametrize("number", range(0, len(ALL), 97))
def test_the_correct_code_has_none(number):
    program = ALL[number]
    strategy = program.strategies[number % len(program.strategies)]
    assert explore(program, strategy, limit=200).finding is None
