"""Groups of pages that one write fault opens: what is open, and for how long."""

import numpy as np
import pytest
from conftest import build, changes, enter, harvest, hpte_of, read, remove

from strategies.contract.bench import EXACT

PAGES = 200


@pytest.mark.parametrize(
    ("strategy", "opened"), [("dbm_hybrid:1", 1), ("dbm_hybrid:48", 48), ("dbm_hybrid", 64)]
)
def test_one_fault_opens_a_group(strategy, opened):
    vm, _ = build(strategy, PAGES)
    before = vm.events()
    vm.store(np.arange(48), 1)
    seen = changes(vm, before)
    assert seen["write_faults"] == seen["groups_opened"] == 48 // min(opened, 48)
    assert seen["pages_opened"] == seen["groups_opened"] * opened


def test_the_last_group_ends_with_the_slot():
    vm, _ = build("dbm_hybrid", PAGES)
    before = vm.events()
    vm.store([PAGES - 1], 1)
    assert changes(vm, before)["pages_opened"] == PAGES % 64


def test_open_pages_alone_are_scanned_and_fault_no_more():
    vm, tracker = build("dbm_hybrid", PAGES)
    vm.store([70], 1)
    for stamp, gfn in enumerate((70, 64, 127), 2):
        harvest(tracker)
        before = vm.events()
        vm.store([gfn], stamp)
        assert harvest(tracker) == {gfn}
        seen = changes(vm, before)
        assert seen["pages_scanned"] == 64
        assert "write_faults" not in seen


def test_a_new_log_starts_with_no_group_open():
    vm, tracker = build("dbm_hybrid", PAGES)
    vm.store([70], 1)
    tracker.disable_logging(0)
    vm.store([71], 2)
    tracker.enable_logging(0)
    before = vm.events()
    assert harvest(tracker) == set()
    assert "pages_scanned" not in changes(vm, before)
    vm.store([71], 3)
    assert changes(vm, before)["groups_opened"] == 1


def test_a_group_may_lie_in_two_words_of_the_bitmap():
    vm, tracker = build("dbm_hybrid:48", PAGES)
    vm.store([50], 1)  # opens pages 48 to 95
    assert harvest(tracker) == {50}
    before = vm.events()
    vm.store([63, 64, 95], 2)
    assert "write_faults" not in changes(vm, before)
    assert harvest(tracker) == {63, 64, 95}


def test_an_hpte_that_is_entered_again_in_an_open_group_takes_no_fault():
    vm, tracker = build("dbm_hybrid", PAGES)
    vm.store([70], 1)
    index = hpte_of(vm, 71)
    v, r = read(vm, index)
    assert remove(vm, index)[0] == 0
    assert enter(vm, index, v, r, EXACT)[0] == 0
    before = vm.events()
    vm.store([71], 2)
    assert "write_faults" not in changes(vm, before)
    assert harvest(tracker) == {70, 71}
