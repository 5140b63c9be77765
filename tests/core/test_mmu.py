"""What the hardware does: R on any access, C on a store alone, TLBs that must be told."""

import numpy as np
import pytest
from conftest import (
    STAMP,
    build,
    changes,
    clear_mod,
    clear_ref,
    enter,
    hardware,
    hpte_of,
    hptes_of,
    protect,
    ptel_of,
    read,
    remove,
)
from naive import RWRW, RXRX, RXXX, C, R

from strategies.core.guest import VIEW_ALIAS, VIEW_LARGE
from strategies.core.machine import TLB_ENTRIES
from strategies.core.papr import H_EXACT, H_SUCCESS


@pytest.fixture
def vm():
    return build("null", 100, vcpus=2)[0]


def rc(vm, gfn):
    """R and C of the hardware's HPTE of a page."""
    return hardware(vm, hpte_of(vm, gfn))[1] & (R | C)


def test_load_sets_r_and_store_sets_c(vm):
    vm.load([1])
    vm.store([2], STAMP)
    assert [rc(vm, gfn) for gfn in range(4)] == [0, R, R | C, 0]
    vm.store([1], STAMP)
    assert rc(vm, 1) == R | C


def test_store_touches_one_page(vm):
    vm.store([7], STAMP)
    assert np.flatnonzero(vm.arrays.stamps).tolist() == [7]
    assert vm.arrays.stamps[7] == STAMP


def test_load_touches_no_memory(vm):
    vm.load(range(100))
    assert not vm.arrays.stamps.any()


def test_stamps_step_with_the_stores(vm):
    assert vm.store([5, 6, 5], 10, step=5, vcpus=2) == 3
    assert vm.arrays.stamps[[5, 6]].tolist() == [20, 15]


def test_tlb_hit_needs_no_walk(vm):
    before = vm.events()
    vm.store([1] * 10, STAMP)
    vm.load([1] * 10)
    assert changes(vm, before) == {
        "stores": 10,
        "loads": 10,
        "tlb_misses": 1,
        "changed_bits_set": 1,
    }


def test_store_after_a_load_walks_to_set_c(vm):
    vm.load([1])
    before = vm.events()
    vm.store([1, 1], STAMP)
    assert changes(vm, before) == {"stores": 2, "tlb_misses": 1, "changed_bits_set": 1}


def test_each_vcpu_has_its_own_tlb(vm):
    vm.store([1], STAMP, vcpu=0)
    before = vm.events()
    vm.store([1], STAMP, vcpu=1)
    vm.store([1, 1], STAMP, vcpus=2)
    assert changes(vm, before) == {"stores": 3, "tlb_misses": 1}


def test_tlb_entry_is_replaced_by_a_page_that_shares_it():
    vm, _ = build("null", TLB_ENTRIES + 1)
    before = vm.events()
    vm.load([0, TLB_ENTRIES, 0, 0])
    assert changes(vm, before) == {"loads": 4, "tlb_misses": 3}


@pytest.mark.parametrize("vcpu", [0, 1])
def test_store_through_a_tlb_hit_sets_c_again_after_it_was_cleared(vm, vcpu):
    vm.store([1, 1], STAMP, vcpus=2)
    clear_mod(vm, hpte_of(vm, 1))
    assert rc(vm, 1) & C == 0
    vm.load([1], vcpu=vcpu)
    assert rc(vm, 1) & C == 0
    vm.store([1], STAMP, vcpu=vcpu)
    assert rc(vm, 1) & C == C


def test_r_may_miss_a_load_through_a_tlb_hit(vm):
    """H_CLEAR_REF makes no tlbie."""
    vm.load([1], vcpu=0)
    clear_ref(vm, hpte_of(vm, 1))
    vm.load([1], vcpu=0)
    assert rc(vm, 1) == 0
    vm.load([1], vcpu=1)
    assert rc(vm, 1) == R


@pytest.mark.parametrize("vcpu", [0, 1])
def test_removed_hpte_leaves_every_tlb(vm, vcpu):
    vm.load([1, 1], vcpus=2)
    remove(vm, hpte_of(vm, 1))
    before = vm.events()
    vm.load([1], vcpu=vcpu)
    assert changes(vm, before)["hash_misses"] == 1


@pytest.mark.parametrize("flags", [RXRX, 1 << 8 | 2], ids=["RXRX", "RXXX"])
def test_protected_page_is_not_stored_to(vm, flags):
    vm.store([1, 1], STAMP, vcpus=2)
    protect(vm, hpte_of(vm, 1), flags)
    before = vm.events()
    assert vm.store([1, 2], STAMP + 1) == 1
    assert vm.load([1]) == 1
    assert vm.arrays.stamps[[1, 2]].tolist() == [STAMP, STAMP + 1]
    assert changes(vm, before)["guest_protection_faults"] == 1
    assert hardware(vm, hpte_of(vm, 1))[1] & (1 << 63 | 3) in (RXRX, RXXX)


@pytest.mark.parametrize("flags", [0, 1, RWRW])
def test_writable_page_is_stored_to(vm, flags):
    protect(vm, hpte_of(vm, 1), flags)
    assert vm.store([1], STAMP) == 1


def test_failed_store_sets_no_c(vm):
    protect(vm, hpte_of(vm, 1), RXRX)
    vm.store([1], STAMP)
    assert rc(vm, 1) & C == 0


def test_c_is_set_in_the_hpte_that_was_used(vm):
    first = hpte_of(vm, 1)
    vm.populate(0, view=VIEW_ALIAS)
    vm.store([1], STAMP, view=VIEW_ALIAS)
    assert hardware(vm, first)[1] & C == 0


def test_one_c_speaks_for_a_large_page():
    vm, _ = build("null", 256, page_shift=16, populated=False)
    vm.populate(0, view=VIEW_LARGE)
    before = vm.events()
    vm.store([3, 100, 255], STAMP, step=1, view=VIEW_LARGE)
    assert changes(vm, before) == {"stores": 3, "tlb_misses": 1, "changed_bits_set": 1}
    assert vm.arrays.stamps[[3, 100, 255]].tolist() == [STAMP, STAMP + 1, STAMP + 2]
    assert rc(vm, 0) == R | C


def test_memory_in_no_slot_cannot_be_touched():
    vm, _ = build("null", 50, guest_pages=100)
    assert vm.store([49, 50, 99], STAMP) == 1
    assert vm.load([50]) == 0
    assert vm.arrays.stamps[50] == 0


def test_an_hpte_of_another_segment_size_does_not_match(vm):
    """Both bits of B are compared (SLB_VSID_B in KVM); 11 is no size that the guest has."""
    index = hpte_of(vm, 3)
    v, r = read(vm, index)
    assert remove(vm, index)[0] == H_SUCCESS
    assert enter(vm, index, v | 1 << 63, r, H_EXACT)[0] == H_SUCCESS
    before = vm.events()
    vm.load([3])
    assert changes(vm, before)["hash_misses"] == 1


def test_an_hpte_of_another_page_size_in_the_same_segment_does_not_match():
    """Both sizes have the L bit and, here, one AVPN: what tells them apart is the LP field."""
    vm, _ = build("null", 256, page_shift=16)
    index = hpte_of(vm, 3)
    v, r = read(vm, index)
    assert remove(vm, index)[0] == H_SUCCESS
    assert enter(vm, index, v, r & ~0xFFF000, H_EXACT)[0] == H_SUCCESS  # of 16 MiB
    before = vm.events()
    vm.load([3])
    assert changes(vm, before)["hash_misses"] == 1
    assert len(hptes_of(vm, 3)) == 1


@pytest.mark.parametrize(("strategy", "page"), [("null", 7), ("c_bit_scan", 7), ("pte_flush", 5)])
def test_of_two_hptes_for_an_address_the_hardware_takes_the_first_that_is_valid(strategy, page):
    """The architecture leaves it open; where logging made the first absent, a guest can tell."""
    vm, _ = build(strategy, 10, vcpus=2)
    first = hpte_of(vm, 7)
    v, r = read(vm, first)
    assert enter(vm, first + 1, v, ptel_of(vm, 5), H_EXACT)[0] == H_SUCCESS
    assert remove(vm, first)[0] == H_SUCCESS
    vm.store([7], STAMP)  # through the second, which is valid now under every tracker
    assert vm.arrays.stamps[5] == STAMP
    assert enter(vm, first, v, r, H_EXACT)[0] == H_SUCCESS
    vm.store([7], STAMP + 1, vcpu=1)  # whose TLB is cold
    assert vm.arrays.stamps[page] == STAMP + 1
