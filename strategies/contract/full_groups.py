"""The contract of every tracker that logs: full groups."""

import numpy as np

from strategies.contract.bench import STAMP, build, changes, expect, harvest
from strategies.contract.clause import clause


@clause(mapping=["linear", "scattered"])
def full_groups_lose_nothing(strategy, mapping):
    npages = 20_000  # an HPT of order 18 has 16384 HPTEs
    vm, tracker = build(strategy, npages, hpt_order=18, populated=False, mapping=mapping)
    rng = np.random.default_rng(2)
    for stamp in range(1, 5):
        before = vm.events()
        gfns = rng.choice(npages, npages - 100, replace=False)
        expect(vm.store(gfns, stamp), gfns.size)
        expect(bool(changes(vm, before)["evictions"] > 0), True)
        expect(harvest(tracker), set(gfns.tolist()))
        expect(set(np.flatnonzero(vm.arrays.stamps == stamp).tolist()), set(gfns.tolist()))
    before = vm.events()
    expect(harvest(tracker), set())
    expect(bool("evictions" not in changes(vm, before)), True)


@clause
def full_groups_evict_what_was_written(strategy):
    vm, tracker = build(strategy, 64 * 2048, hpt_order=18, populated=False)
    colliding = list(range(5, 64 * 2048, 2048))  # linear: all hash to one group
    vm.store(colliding, STAMP)
    expect(vm.events()["evictions"], len(colliding) - 16)
    expect(harvest(tracker), set(colliding))
    expect(harvest(tracker), set())
