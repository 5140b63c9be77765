"""The host takes a page away: its HPTEs, its R and C, and what a harvest knows of it then."""

import numpy as np
import pytest
from conftest import (
    STAMP,
    build,
    build_large,
    changes,
    harvest,
    hpte_of,
    hptes_of,
    protect,
    read,
    remove,
    reports_reads,
)

from strategies.contract.bench import ABSENT, C, R, large_page
from strategies.core.guest import VIEW_ALIAS, VIEW_LARGE

VALID = 1
CHANGED, REFERENCED, LOCK = C << 32, R << 32, 1 << 63
ORDER_16M, ORDER_SHIFT = 12, 48
PP0, PP = 1 << 63, 3
PP_RW, PP_RX = 2, 3


def dwords(vm, index):
    """Both dwords of an HPTE as the hardware sees them."""
    return [int(word) for word in vm.arrays.hpt[2 * index : 2 * index + 2]]


def built(**options):
    """A machine of two pages, page 1 mapped twice, with a tracker that reads C; page 1 is dirty."""
    vm, tracker = build("c_bit_scan", 2, **options)
    vm.populate(0, VIEW_ALIAS)
    vm.store([1], STAMP)
    return vm, tracker


def test_every_hpte_of_the_page_becomes_absent_with_a_tlbie():
    vm, _ = built()
    others, before = [dwords(vm, index) for index in hptes_of(vm, 0)], vm.events()
    vm.unmap_page(1)
    got = [dwords(vm, index)[0] for index in hptes_of(vm, 1)]
    assert [v & (VALID | ABSENT) for v in got] == [ABSENT, ABSENT]
    assert changes(vm, before) == {"tlbies": 2, "rmap_steps": 2}
    assert [dwords(vm, index) for index in hptes_of(vm, 0)] == others


def test_r_and_c_go_to_the_rmap_and_to_the_guests_view():
    vm, _ = built()
    shown = [read(vm, index) for index in hptes_of(vm, 1)]
    vm.unmap_page(1)
    word = int(vm.arrays.rmap[1])
    assert word & (CHANGED | REFERENCED | LOCK) == CHANGED | REFERENCED
    assert [dwords(vm, index)[1] & (R | C) for index in hptes_of(vm, 1)] == [0, 0]
    assert [read(vm, index) for index in hptes_of(vm, 1)] == shown


def test_what_was_read_alone_leaves_no_changed():
    vm, _ = build("c_bit_scan", 1)
    vm.load([0])
    vm.unmap_page(0)
    assert int(vm.arrays.rmap[0]) & (CHANGED | REFERENCED) == REFERENCED


def test_an_absent_hpte_permits_no_store():
    vm, _ = built()
    vm.unmap_page(1)
    assert [dwords(vm, index)[1] & (PP0 | PP) for index in hptes_of(vm, 1)] == [PP_RX, PP_RX]


def test_the_next_access_maps_it_again():
    vm, _ = built()
    vm.unmap_page(1)
    before = vm.events()
    assert vm.store([1], STAMP + 1) == 1
    assert changes(vm, before)["map_faults"] == 1
    assert vm.arrays.stamps[1] == STAMP + 1


def test_h_remove_tells_r_and_c_of_what_is_absent():
    vm, tracker = build("c_bit_scan", 1)
    index = hpte_of(vm, 0)
    vm.store([0], STAMP)
    vm.unmap_page(0)
    code, gpr = remove(vm, index)
    assert (code, int(gpr[1]) & (R | C)) == (0, R | C)
    assert harvest(tracker) == {0}


def test_c_that_a_tlb_keeps_back_is_saved():
    vm, tracker = build("c_bit_scan", 1, delayed_c=True)
    harvest(tracker)
    vm.store([0], STAMP)
    assert not int(vm.arrays.rmap[0]) & CHANGED
    vm.unmap_page(0)
    assert int(vm.arrays.rmap[0]) & CHANGED


def test_of_a_large_page_c_speaks_for_all():
    vm, tracker = build_large("c_bit_scan", 12)
    vm.store([5], STAMP, view=VIEW_LARGE)
    vm.unmap_page(0)
    assert int(vm.arrays.rmap[0]) >> ORDER_SHIFT & 0x3F == ORDER_16M
    assert harvest(tracker) == large_page(vm)


def test_a_page_that_is_not_mapped_stays_as_it_is():
    vm, _ = build("c_bit_scan", 1, populated=False)
    before = vm.events()
    vm.unmap_page(0)
    assert not changes(vm, before)
    assert not int(vm.arrays.rmap[0])


@pytest.mark.parametrize("delayed_c", [False, True])
def test_nothing_is_lost_or_reported_twice(strategy, delayed_c):
    vm, tracker = build(strategy, 70, delayed_c=delayed_c)
    vm.store([0, 3, 64], STAMP)
    for gfn in (3, 4, 64):
        vm.unmap_page(gfn)
    assert harvest(tracker) == {0, 3, 64}
    assert harvest(tracker) == set()
    vm.load([3, 4])
    assert harvest(tracker) == ({3, 4} if reports_reads(strategy) else set())
    vm.store([3, 4, 64], STAMP + 1)
    vm.unmap_page(4)
    assert harvest(tracker) == {3, 4, 64}
    assert harvest(tracker) == set()


def test_an_unmapped_page_is_logged_from_the_start(strategy):
    vm, tracker = build(strategy, 3, enabled=False)
    vm.store([0, 1], STAMP)
    vm.unmap_page(0)
    tracker.enable_logging(0)
    assert harvest(tracker) == set()
    vm.store([0], STAMP + 1)
    assert harvest(tracker) == {0}


def test_h_protect_makes_no_absent_hpte_writable():
    vm, _ = built()
    vm.unmap_page(0)
    index = hptes_of(vm, 0)[0]
    protect(vm, index, PP_RW)
    assert dwords(vm, index)[1] & (PP0 | PP) == PP_RX
    assert read(vm, index)[1] & PP == PP_RW


def test_when_logging_stops_the_guest_has_its_permissions(strategy):
    vm, tracker = build(strategy, 2)
    vm.store([0], STAMP)
    vm.unmap_page(0)
    tracker.disable_logging(0)
    assert vm.store([0, 1], STAMP + 1) == 2
    assert np.all(vm.arrays.stamps == STAMP + 1)
