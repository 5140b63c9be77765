"""The contract of every tracker that logs: the guest changes its HPTEs before the harvest."""

import pytest
from conftest import (
    STAMP,
    build,
    bulk_remove,
    clear_mod,
    clear_ref,
    enter,
    harvest,
    hpte_of,
    hptes_of,
    protect,
    read,
    remove,
    reports_reads,
)
from contracting import WRITTEN, machines, overwrite, page_shifts, ptel_of
from naive import (
    LINUX_RIGHTS,
    PP,
    RWRW,
    RXRX,
    C,
    M,
    R,
)

pytestmark = pytest.mark.usefixtures("c_write_back")


@machines
def test_removed_before_the_harvest(strategy, page_shift, mapping):
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping)
    vm.store(WRITTEN, STAMP)
    for gfn in [*WRITTEN, 50]:
        assert remove(vm, hpte_of(vm, gfn))[0] == 0
    assert harvest(tracker) == set(WRITTEN)
    assert harvest(tracker) == set()


def test_removed_after_the_harvest_is_clean(strategy):
    vm, tracker = build(strategy, 100)
    vm.store(WRITTEN, STAMP)
    assert harvest(tracker) == set(WRITTEN)
    for gfn in WRITTEN:
        remove(vm, hpte_of(vm, gfn))
    assert harvest(tracker) == set()


def test_removed_in_bulk_before_the_harvest(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1, 3], STAMP)
    pairs = [word for gfn in (1, 2, 3, 4) for word in (1 << 62 | hpte_of(vm, gfn), 0)]
    assert bulk_remove(vm, *pairs)[0] == 0
    assert [len(hptes_of(vm, gfn)) for gfn in range(6)] == [1, 0, 0, 0, 0, 1]
    assert harvest(tracker) == {1, 3}
    assert harvest(tracker) == set()


@page_shifts
def test_overwritten_before_the_harvest(strategy, page_shift):
    """Alexander Graf: "what if the guest adds an HPTE, writes, removes it, and then ...?"."""
    vm, tracker = build(strategy, 100, page_shift=page_shift)
    vm.store([1], STAMP)
    overwrite(vm, 1, 50)
    assert harvest(tracker) == {1}
    vm.store([1], STAMP + 1)  # the address of page 1 leads to page 50 now
    assert vm.arrays.stamps[[1, 50]].tolist() == [STAMP, STAMP + 1]
    assert harvest(tracker) == {50}


def test_overwritten_and_written_before_the_harvest(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1], STAMP)
    overwrite(vm, 1, 50)
    vm.store([1], STAMP + 1)
    assert harvest(tracker) == {1, 50}
    assert harvest(tracker) == set()


@pytest.mark.parametrize("rights", [LINUX_RIGHTS, M | RWRW, M | RXRX])
@pytest.mark.parametrize("is_written_again", [False, True])
def test_removed_and_entered_again_before_the_harvest(strategy, rights, is_written_again):
    vm, tracker = build(strategy, 100)
    vm.store([1], STAMP)
    index = hpte_of(vm, 1)
    v, _ = read(vm, index)
    remove(vm, index)
    enter(vm, index, v, ptel_of(vm, 1, rights), 1 << 39)
    if is_written_again:
        vm.store([1], STAMP + 1)
    assert harvest(tracker) == {1}
    assert harvest(tracker) == set()
    if rights & PP != RXRX:
        vm.store([1], STAMP + 2)
        assert harvest(tracker) == {1}


def test_removed_and_entered_again_by_a_reader(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1], STAMP)
    remove(vm, hpte_of(vm, 1))
    vm.load([1])
    assert harvest(tracker) == {1}
    vm.load([1])
    assert harvest(tracker) == ({1} if reports_reads(strategy) else set())


def test_removed_by_one_vcpu_and_written_by_another(strategy):
    vm, tracker = build(strategy, 100, vcpus=2)
    vm.store([1], STAMP, vcpu=1)
    overwrite(vm, 1, 2)
    vm.store([1], STAMP + 1, vcpu=1)
    assert vm.arrays.stamps[[1, 2]].tolist() == [STAMP, STAMP + 1]
    assert harvest(tracker) == {1, 2}


def test_protected_before_the_harvest(strategy):
    vm, tracker = build(strategy, 100)
    index = hpte_of(vm, 1)
    vm.store([1], STAMP)
    protect(vm, index, RXRX)
    assert vm.store([1], STAMP + 1) == 0
    assert harvest(tracker) == {1}
    assert vm.store([1], STAMP + 2) == 0
    assert harvest(tracker) == set()
    protect(vm, index, RWRW)
    assert vm.store([1], STAMP + 3) == 1
    assert harvest(tracker) == {1}
    assert harvest(tracker) == set()
    assert vm.arrays.stamps[1] == STAMP + 3


@pytest.mark.parametrize("is_harvested", [False, True])
def test_protected_and_back_is_not_a_write(strategy, is_harvested):
    vm, tracker = build(strategy, 100)
    vm.store([1], STAMP)
    if is_harvested:
        assert harvest(tracker) == {1}
    for flags in (RXRX, RWRW):
        protect(vm, hpte_of(vm, 1), flags)
    assert harvest(tracker) == (set() if is_harvested else {1})
    vm.store([1], STAMP)
    assert harvest(tracker) == {1}


def test_c_cleared_by_the_guest_before_the_harvest(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1, 2], STAMP)
    code, gpr = clear_mod(vm, hpte_of(vm, 1))
    assert code == 0
    assert gpr[0] & C
    assert not read(vm, hpte_of(vm, 1))[1] & C
    assert harvest(tracker) == {1, 2}
    assert not read(vm, hpte_of(vm, 1))[1] & C
    assert harvest(tracker) == set()
    vm.store([1], STAMP)
    assert clear_mod(vm, hpte_of(vm, 1))[1][0] & C
    assert harvest(tracker) == {1}


def test_c_cleared_by_the_guest_and_set_again_before_the_harvest(strategy):
    vm, tracker = build(strategy, 100)
    for _ in range(2):
        vm.store([1], STAMP)
        clear_mod(vm, hpte_of(vm, 1))
    vm.store([1], STAMP)
    assert harvest(tracker) == {1}
    clear_mod(vm, hpte_of(vm, 1))
    assert harvest(tracker) == set()


def test_r_cleared_by_the_guest_before_the_harvest(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1, 2], STAMP)
    code, gpr = clear_ref(vm, hpte_of(vm, 1))
    assert code == 0
    assert gpr[0] & R
    assert read(vm, hpte_of(vm, 1))[1] & (R | C) == C
    assert harvest(tracker) == {1, 2}
    vm.store([1], STAMP)
    assert harvest(tracker) == {1}


def test_the_host_stores(strategy):
    vm, tracker = build(strategy, 100)
    vm.host_store(7, STAMP)
    assert vm.arrays.stamps[7] == STAMP
    assert harvest(tracker) == {7}
    assert harvest(tracker) == set()
    vm.store([7], STAMP)
    vm.host_store(7, STAMP)
    assert harvest(tracker) == {7}
    vm.host_store(7, STAMP)
    assert harvest(tracker) == {7}


def test_the_host_stores_to_a_page_that_was_never_mapped(strategy):
    vm, tracker = build(strategy, 100, populated=False)
    vm.host_store(7, STAMP)
    vm.host_store(99, STAMP)
    assert harvest(tracker) == {7, 99}
    assert harvest(tracker) == set()


def test_the_host_stores_and_the_guest_maps_before_the_harvest(strategy):
    vm, tracker = build(strategy, 100, populated=False)
    vm.host_store(7, STAMP)
    vm.populate(0)
    assert harvest(tracker) == {7}
    assert harvest(tracker) == set()
