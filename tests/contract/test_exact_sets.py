"""The contract of every tracker that logs: exact sets."""

import numpy as np
import pytest
from conftest import (
    STAMP,
    build,
    harvest,
    hpte_of,
    protect,
    reports_reads,
)
from contracting import (
    WRITTEN,
    machines,
)
from naive import (
    RXRX,
)

pytestmark = pytest.mark.usefixtures("c_write_back")


@machines
def test_written_set_is_reported(strategy, page_shift, mapping):
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping, seed=7)
    assert vm.store(WRITTEN, STAMP, step=1) == len(WRITTEN)
    expected = set(WRITTEN)
    got = harvest(tracker)
    assert got == expected
    assert vm.arrays.stamps[WRITTEN].tolist() == [STAMP + k for k in range(len(WRITTEN))]


@machines
def test_written_set_is_reported_when_the_guest_maps_on_demand(strategy, page_shift, mapping):
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping, populated=False)
    vm.store(WRITTEN, STAMP)
    assert vm.events()["hash_misses"] == len(WRITTEN)
    assert harvest(tracker) == set(WRITTEN)


def test_written_set_is_reported_at_random(strategy):
    vm, tracker = build(strategy, 3000, vcpus=3, mapping="scattered")
    rng = np.random.default_rng(1)
    for stamp in range(1, 21):
        gfns = rng.choice(3000, rng.integers(0, 300))
        vm.store(gfns, stamp, vcpus=3)
        assert harvest(tracker) == set(gfns.tolist())
        assert set(np.flatnonzero(vm.arrays.stamps == stamp).tolist()) == set(gfns.tolist())


def test_get_clears(strategy):
    vm, tracker = build(strategy, 100)
    assert harvest(tracker) == set()
    vm.store(WRITTEN, STAMP)
    assert harvest(tracker) == set(WRITTEN)
    assert harvest(tracker) == set()
    assert harvest(tracker) == set()


@pytest.mark.parametrize("vcpu", [0, 2])
def test_get_clears_and_a_store_through_any_tlb_is_reported_again(strategy, vcpu):
    vm, tracker = build(strategy, 100, vcpus=3)
    vm.store(WRITTEN * 3, STAMP, vcpus=3)
    vm.store(WRITTEN, STAMP, vcpu=vcpu)
    assert harvest(tracker) == set(WRITTEN)
    vm.store([64], STAMP + 1, vcpu=vcpu)
    assert harvest(tracker) == {64}
    vm.store([64], STAMP + 2, vcpu=vcpu)
    vm.store([64], STAMP + 3, vcpu=1)
    assert harvest(tracker) == {64}
    assert vm.arrays.stamps[64] == STAMP + 3


def test_one_store_of_many_is_reported_once(strategy):
    vm, tracker = build(strategy, 100, vcpus=2)
    vm.store([7] * 50, STAMP, vcpus=2)
    assert harvest(tracker) == {7}
    assert harvest(tracker) == set()


@pytest.mark.parametrize("npages", [1, 63, 64, 65, 2**12 + 3])
@pytest.mark.parametrize("base_gfn", [0, 5])
def test_slot_of_any_size(strategy, npages, base_gfn):
    vm, tracker = build(strategy, npages, base_gfn=base_gfn)
    every = set(range(base_gfn, base_gfn + npages))
    assert tracker.buffer(0).size == (npages + 63) // 64
    vm.store([base_gfn + npages - 1], STAMP)
    assert harvest(tracker) == {base_gfn + npages - 1}
    vm.store(sorted(every), STAMP)
    assert harvest(tracker) == every
    assert harvest(tracker) == set()


def test_read_page_is_reported_only_where_hptes_are_absent(strategy):
    vm, tracker = build(strategy, 100)
    assert vm.load([3, 4]) == 2
    vm.store([4, 5], STAMP)
    expected = {3, 4, 5} if reports_reads(strategy) else {4, 5}
    assert harvest(tracker) == expected


def test_read_page_is_not_reported_where_the_guest_may_not_store(strategy):
    vm, tracker = build(strategy, 100)
    assert protect(vm, hpte_of(vm, 3), RXRX)[0] == 0
    assert vm.load([3]) == 1
    assert vm.store([3], STAMP) == 0
    assert vm.events()["guest_protection_faults"] == 1
    assert vm.arrays.stamps[3] == 0
    assert harvest(tracker) == set()
