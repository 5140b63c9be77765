"""The contract of every tracker that logs: full groups."""

import numpy as np
import pytest
from conftest import (
    STAMP,
    build,
    changes,
    harvest,
)


@pytest.mark.parametrize("mapping", ["linear", "scattered"])
def test_full_groups_lose_nothing(strategy, mapping):
    npages = 20_000  # an HPT of order 18 has 16384 HPTEs
    vm, tracker = build(strategy, npages, hpt_order=18, populated=False, mapping=mapping)
    rng = np.random.default_rng(2)
    for stamp in range(1, 5):
        before = vm.events()
        gfns = rng.choice(npages, npages - 100, replace=False)
        assert vm.store(gfns, stamp) == gfns.size
        assert changes(vm, before)["evictions"] > 0
        assert harvest(tracker) == set(gfns.tolist())
        assert set(np.flatnonzero(vm.arrays.stamps == stamp).tolist()) == set(gfns.tolist())
    before = vm.events()
    assert harvest(tracker) == set()
    assert "evictions" not in changes(vm, before)


def test_full_groups_evict_what_was_written(strategy):
    vm, tracker = build(strategy, 64 * 2048, hpt_order=18, populated=False)
    colliding = list(range(5, 64 * 2048, 2048))  # linear: all hash to one group
    vm.store(colliding, STAMP)
    assert vm.events()["evictions"] == len(colliding) - 16
    assert harvest(tracker) == set(colliding)
    assert harvest(tracker) == set()
