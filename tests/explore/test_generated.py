"""The generated programs: which there are, and that they find what nobody wrote a program for."""

from itertools import combinations_with_replacement

import pytest

from strategies.explore import generated
from strategies.explore.explorer import explore
from strategies.explore.generated import (
    BULK,
    COSTS,
    EVICT,
    GUEST,
    HOST,
    NEXT,
    SMALL_LOGS,
)
from strategies.explore.program import TRACKERS
from strategies.explore.session import find, find_defect

PAIRS, ALL = generated.pairs(), generated.programs()
NAMES = {program.name for program in ALL}


def threads_of(name):
    return name.partition("@")[0].split(",")


def operations_of(name):
    return [operation for thread in threads_of(name) for operation in thread.split("+")]


def start_of(program):
    return program.name.partition("@")[2].split(",")[0]


def test_each_program_is_found_by_its_name():
    assert len(NAMES) == len(ALL) > 3000
    assert all(find(program.name) is program for program in ALL)


def test_all_pairs_of_operations_are_there():
    one_view = {*GUEST, *HOST, f"{BULK}0"}
    pairs = {tuple(sorted(threads_of(program.name))) for program in PAIRS}
    assert {tuple(sorted(pair)) for pair in combinations_with_replacement(one_view, 2)} <= pairs


@pytest.mark.parametrize(("views", "how"), [("01", "two"), ("23", "large")])
def test_each_is_there_with_two_hptes(views, how):
    names = {name for name in NAMES if how in name}
    each = {f"{name}{view}" for name in GUEST for view in views.strip("0")} | {f"{BULK}{views}"}
    assert each <= {operation for name in names for operation in operations_of(name)}


@pytest.mark.parametrize("other", [NEXT, EVICT])
def test_each_is_beside_a_store_to_another_page_and_an_eviction(other):
    beside = {frozenset(threads_of(program.name)) for program in PAIRS}
    assert {frozenset((name, other)) for name in (*GUEST, f"{BULK}0")} <= beside


def test_two_pages_are_stored_to_with_logs_that_are_full():
    stores = [program for program in ALL if NEXT in operations_of(program.name)]
    assert all(start_of(p) in COSTS or {*SMALL_LOGS} & {*p.strategies} for p in stores)


def test_adaptive_cools_and_opens_beside_each_operation():
    for start, least in (("cool", {*GUEST, f"{BULK}0"}), ("open", {"store", NEXT})):
        names = [program.name for program in ALL if start_of(program) == start]
        assert least <= {operation for name in names for operation in operations_of(name)}


def test_no_program_is_another_with_threads_swapped():
    parted = [name.partition("@") for name in NAMES]
    assert len({(tuple(sorted(t.split(","))), start) for t, _, start in parted}) == len(NAMES)


def test_every_tracker_runs_all_in_which_the_host_does_something():
    hosts = [p for p in ALL if "late" not in p.name and not all(t.is_guest for t in p.threads)]
    hosts = [program for program in hosts if start_of(program) not in COSTS]
    assert len(hosts) > 1000
    assert {p.strategies for p in hosts} == {TRACKERS, TRACKERS + SMALL_LOGS}


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
        ("large-page-one-bit", "store2,harvest@clean,large"),
        ("pml-taken-after-the-flush", "store+store-next,harvest@clean,late"),
        ("pml-full-after-c", "store+store-next,harvest@clean"),
        ("pml-drained-by-two", "store+store-next,harvest@clean"),
        ("ring-reaped-by-two", "store+store-next,harvest@clean"),
        ("heat-cooled-before-bit", "store,harvest@cool"),
        ("heat-opened-though-cold", "store+store-next,harvest@open"),
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
