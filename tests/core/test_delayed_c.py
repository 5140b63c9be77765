"""Hardware that keeps C in the TLB until the translation goes (`Vm(delayed_c=True)`)."""

import numpy as np
import pytest
from conftest import (
    STAMP,
    build,
    changes,
    clear_mod,
    enter,
    hardware,
    harvest,
    hpte_of,
    hptes_of,
    protect,
    read,
    remove,
)
from naive import ABSENT, RWRW, RXRX, VALID, C, M, R

from strategies.core.guest import VIEW_ALIAS
from strategies.core.machine import TLB_ENTRIES, TLB_OWED_C, TLB_WORDS
from strategies.core.tlb import flush_tlbs
from strategies.core.vcpus import enter_guest, leave_guest

H_EXACT = 1 << 39


@pytest.fixture
def vm():
    """A machine whose HPTEs start with R and C clear, in the guest's view, too."""
    vm = build("null", 100, vcpus=2, delayed_c=True)[0]
    for gfn in range(4):
        index = hpte_of(vm, gfn)
        v = read(vm, index)[0]
        remove(vm, index)
        enter(vm, index, v, gfn << 12 | M | RWRW, H_EXACT)
    return vm


def rc(vm, index):
    """R and C of the hardware's HPTE."""
    return hardware(vm, index)[1] & (R | C)


def debts(vm):
    """How many TLB entries owe a C."""
    return np.count_nonzero(vm.arrays.tlb.reshape(-1, TLB_WORDS)[:, TLB_OWED_C])


def test_store_leaves_c_in_the_tlb_and_sets_r_at_once(vm):
    vm.store([1, 1], STAMP)
    assert vm.arrays.stamps[1] == STAMP
    assert rc(vm, hpte_of(vm, 1)) == R
    assert debts(vm) == 1


def test_later_stores_hit_the_tlb(vm):
    before = vm.events()
    vm.load([1])
    vm.store([1] * 10, STAMP)
    assert changes(vm, before) == {
        "loads": 1,
        "stores": 10,
        "tlb_misses": 2,
        "changed_bits_set": 1,  # owed
    }


@pytest.mark.parametrize("vcpus", [1, 2])
def test_removed_hpte_returns_c(vm, vcpus):
    index = hpte_of(vm, 1)
    vm.store([1] * vcpus, STAMP, vcpus=vcpus)
    assert remove(vm, index)[1][1] & (R | C) == R | C
    assert debts(vm) == 0


def test_c_of_a_removed_hpte_is_not_paid_to_the_next_one(vm):
    index = hpte_of(vm, 1)
    v = read(vm, index)[0]
    vm.store([1], STAMP)
    remove(vm, index)
    enter(vm, index, v, 2 << 12 | M | RWRW, H_EXACT)
    flush_tlbs(vm.machine, vm.vcpus)
    vm.load([1])
    assert rc(vm, index) == R
    assert read(vm, index)[1] & C == 0


def test_protected_hpte_keeps_c(vm):
    index = hpte_of(vm, 1)
    vm.store([1], STAMP)
    protect(vm, index, RXRX)
    assert rc(vm, index) == R | C
    assert vm.store([1], STAMP + 1) == 0


def test_cleared_c_is_returned_and_set_again(vm):
    index = hpte_of(vm, 1)
    vm.store([1], STAMP)
    assert clear_mod(vm, index)[1][0] & C
    assert rc(vm, index) == R
    vm.store([1], STAMP)
    assert clear_mod(vm, index)[1][0] & C
    assert not clear_mod(vm, index)[1][0] & C


def test_flush_pays_what_every_vcpu_owes(vm):
    vm.store([1, 2, 3], STAMP, vcpus=2)
    assert debts(vm) == 3
    flush_tlbs(vm.machine, vm.vcpus)
    assert [rc(vm, hpte_of(vm, gfn)) for gfn in range(4)] == [0, R | C, R | C, R | C]
    assert debts(vm) == 0


def test_replaced_tlb_entry_pays(vm):
    index = hpte_of(vm, 1)
    vm.store([1], STAMP)
    vm.populate(0, view=VIEW_ALIAS)
    vm.load([1], view=VIEW_ALIAS)  # which shares the TLB entry
    assert rc(vm, index) == R | C
    assert [rc(vm, other) for other in hptes_of(vm, 1) if other != index] == [R]
    assert debts(vm) == 0


def test_one_tlbie_leaves_the_debts_of_other_pages_alone(vm):
    vm.store([1, 2], STAMP)
    protect(vm, hpte_of(vm, 2), RWRW)
    assert [rc(vm, hpte_of(vm, gfn)) for gfn in (1, 2)] == [R, R | C]


def test_scan_with_vcpus_stopped_is_definitive_and_leaves_readonly_hptes_alone():
    vm, tracker = build("c_bit_scan", 100, vcpus=2, delayed_c=True)
    for gfn in (10, 11, 12):
        protect(vm, hpte_of(vm, gfn), RXRX)
    vm.load(range(100))
    vm.store([1, 64, 99], STAMP, vcpus=2)
    before = vm.events()
    assert harvest(tracker) == {1, 64, 99}
    assert changes(vm, before) == {
        "pages_scanned": 100,
        "pages_cleared": 3,
        "rmap_steps": 100,
        "tlbies": 97,
    }
    assert harvest(tracker) == set()


def test_scan_beside_a_running_vcpu_is_late_and_loses_nothing():
    vm, tracker = build("c_bit_scan", 100, vcpus=2, delayed_c=True)
    vm.store([1, 2], STAMP, vcpu=1)
    protect(vm, hpte_of(vm, 2), RWRW)
    enter_guest(vm.machine, 1)
    before = vm.events()
    assert harvest(tracker) == {2}
    assert changes(vm, before) == {
        "pages_scanned": 100,
        "pages_cleared": 1,
        "rmap_steps": 100,
        "tlbies": 1,
    }
    leave_guest(vm.machine, 1)
    assert harvest(tracker) == {1}
    assert harvest(tracker) == set()


@pytest.mark.parametrize("strategy", ["c_bit_scan_batched", "hpt_sweep:1048576", "adaptive"])
def test_only_what_has_c_is_absent_for_a_while_beside_a_running_vcpu(strategy):
    vm, tracker = build(strategy, 100, vcpus=2, delayed_c=True)
    vm.store([1, 2, 70], STAMP, vcpu=1)
    for gfn in (2, 70):
        protect(vm, hpte_of(vm, gfn), RWRW)  # brings C from the TLB
    vm.populate(0, VIEW_ALIAS)  # whose HPTEs have none
    enter_guest(vm.machine, 1)
    before = vm.events()
    assert harvest(tracker) == {2, 70}
    seen = changes(vm, before)
    assert (seen["shared_tlbies"], seen.get("tlbies", 0)) == (2, 0)
    for index in (*hptes_of(vm, 2), *hptes_of(vm, 70)):
        assert hardware(vm, index)[0] & (VALID | ABSENT) == VALID
    assert harvest(tracker) == set()


def test_enable_with_vcpus_stopped_starts_an_empty_log():
    vm, tracker = build("c_bit_scan", 100, enabled=False, delayed_c=True)
    vm.store([1, 2], STAMP)
    tracker.enable_logging(0)
    assert harvest(tracker) == set()


def test_many_pages_share_the_tlb():
    npages = 3 * TLB_ENTRIES + 5
    vm, tracker = build("c_bit_scan", npages, vcpus=2, delayed_c=True)
    rng = np.random.default_rng(3)
    for stamp in range(1, 4):
        gfns = rng.choice(npages, npages // 2)
        vm.store(gfns, stamp, vcpus=2)
        assert harvest(tracker) == set(gfns.tolist())
