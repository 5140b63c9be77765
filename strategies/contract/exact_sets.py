"""The contract of every tracker that logs: exact sets."""

import numpy as np

from strategies.contract.bench import (
    RXRX,
    STAMP,
    WRITTEN,
    build,
    expect,
    harvest,
    hpte_of,
    protect,
    reports_reads,
)
from strategies.contract.clause import DELAYED_C, MACHINES, clause


@clause(**MACHINES, **DELAYED_C)
def written_set_is_reported(strategy, page_shift, mapping, delayed_c):
    vm, tracker = build(
        strategy, 100, page_shift=page_shift, mapping=mapping, seed=7, delayed_c=delayed_c
    )
    expect(vm.store(WRITTEN, STAMP, step=1), len(WRITTEN))
    expected = set(WRITTEN)
    got = harvest(tracker)
    expect(got, expected)
    expect(vm.arrays.stamps[WRITTEN].tolist(), [STAMP + k for k in range(len(WRITTEN))])


@clause(**MACHINES, **DELAYED_C)
def written_set_is_reported_when_the_guest_maps_on_demand(strategy, page_shift, mapping, delayed_c):
    vm, tracker = build(
        strategy, 100, page_shift=page_shift, mapping=mapping, populated=False, delayed_c=delayed_c
    )
    vm.store(WRITTEN, STAMP)
    expect(vm.events()["hash_misses"], len(WRITTEN))
    expect(harvest(tracker), set(WRITTEN))


@clause(**DELAYED_C)
def written_set_is_reported_at_random(strategy, delayed_c):
    vm, tracker = build(strategy, 3000, vcpus=3, mapping="scattered", delayed_c=delayed_c)
    rng = np.random.default_rng(1)
    for stamp in range(1, 21):
        gfns = rng.choice(3000, rng.integers(0, 300))
        vm.store(gfns, stamp, vcpus=3)
        expect(harvest(tracker), set(gfns.tolist()))
        expect(set(np.flatnonzero(vm.arrays.stamps == stamp).tolist()), set(gfns.tolist()))


@clause(**DELAYED_C)
def get_clears(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    expect(harvest(tracker), set())
    vm.store(WRITTEN, STAMP)
    expect(harvest(tracker), set(WRITTEN))
    expect(harvest(tracker), set())
    expect(harvest(tracker), set())


@clause(vcpu=[0, 2], **DELAYED_C)
def get_clears_and_a_store_through_any_tlb_is_reported_again(strategy, vcpu, delayed_c):
    vm, tracker = build(strategy, 100, vcpus=3, delayed_c=delayed_c)
    vm.store(WRITTEN * 3, STAMP, vcpus=3)
    vm.store(WRITTEN, STAMP, vcpu=vcpu)
    expect(harvest(tracker), set(WRITTEN))
    vm.store([64], STAMP + 1, vcpu=vcpu)
    expect(harvest(tracker), {64})
    vm.store([64], STAMP + 2, vcpu=vcpu)
    vm.store([64], STAMP + 3, vcpu=1)
    expect(harvest(tracker), {64})
    expect(vm.arrays.stamps[64], STAMP + 3)


@clause(**DELAYED_C)
def one_store_of_many_is_reported_once(strategy, delayed_c):
    vm, tracker = build(strategy, 100, vcpus=2, delayed_c=delayed_c)
    vm.store([7] * 50, STAMP, vcpus=2)
    expect(harvest(tracker), {7})
    expect(harvest(tracker), set())


@clause(npages=[1, 63, 64, 65, 2**12 + 3], base_gfn=[0, 5], **DELAYED_C)
def slot_of_any_size(strategy, npages, base_gfn, delayed_c):
    vm, tracker = build(strategy, npages, base_gfn=base_gfn, delayed_c=delayed_c)
    every = set(range(base_gfn, base_gfn + npages))
    expect(tracker.buffer(0).size, (npages + 63) // 64)
    vm.store([base_gfn + npages - 1], STAMP)
    expect(harvest(tracker), {base_gfn + npages - 1})
    vm.store(sorted(every), STAMP)
    expect(harvest(tracker), every)
    expect(harvest(tracker), set())


@clause(**DELAYED_C)
def read_page_is_reported_only_where_hptes_are_absent(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    expect(vm.load([3, 4]), 2)
    vm.store([4, 5], STAMP)
    expected = {3, 4, 5} if reports_reads(strategy) else {4, 5}
    expect(harvest(tracker), expected)


@clause(**DELAYED_C)
def read_page_is_not_reported_where_the_guest_may_not_store(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    expect(protect(vm, hpte_of(vm, 3), RXRX)[0], 0)
    expect(vm.load([3]), 1)
    expect(vm.store([3], STAMP), 0)
    expect(vm.events()["guest_protection_faults"], 1)
    expect(vm.arrays.stamps[3], 0)
    expect(harvest(tracker), set())
