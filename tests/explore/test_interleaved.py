"""One other thread's whole step in the middle of another's: what is read only under a lock."""

import pytest
from conftest import STAMP, build, enter, harvest, hpte_of, hptes_of, ptel_of, read, remove

from strategies.core import atomics
from strategies.core.papr import H_EXACT


@pytest.fixture(autouse=True)
def _no_hook_after():
    before = atomics.hook
    yield
    atomics.hook = before


def once_before(operation, words, step):
    """Take a step before the next operation of a kind on some words."""
    nothing = atomics.hook

    def hook(name, array, index):
        if name == operation and array is words:
            atomics.hook = nothing
            step()

    atomics.hook = hook


def test_of_two_vcpus_that_miss_the_hash_at_once_one_enters_the_hpte():
    vm, _ = build("null", 10, vcpus=2, populated=False)
    locks = vm.arrays.pte_locks
    once_before("compare_and_swap", locks, lambda: vm.store([3], STAMP, vcpu=1))
    vm.store([3], STAMP + 1, vcpu=0)
    assert len(hptes_of(vm, 3)) == 1
    assert vm.events()["hash_misses"] == 2


def test_that_holds_for_the_first_hpte_of_all_too():
    vm, _ = build("null", 4096, vcpus=2, populated=False)
    (first,) = (gfn for gfn in range(4096) if not vm.store([gfn], STAMP) or hpte_of(vm, gfn) == 0)
    remove(vm, 0)
    locks = vm.arrays.pte_locks
    once_before("compare_and_swap", locks, lambda: vm.store([first], STAMP, vcpu=1))
    vm.store([first], STAMP + 1, vcpu=0)
    assert hptes_of(vm, first) == [0]


def test_what_an_hpte_maps_is_known_to_a_sweep_only_under_its_lock():
    vm, tracker = build("hpt_sweep:1048576", 10)
    index = hpte_of(vm, 3)
    v, _ = read(vm, index)
    vm.store([3], STAMP)

    def overwrite():
        assert remove(vm, index)[0] == 0
        assert remove(vm, hpte_of(vm, 5))[0] == 0
        assert enter(vm, index, v, ptel_of(vm, 5), H_EXACT)[0] == 0
        vm.store([3], STAMP + 1)  # an address that maps page 5 now
        assert vm.arrays.stamps[5] == STAMP + 1

    once_before("compare_and_swap", vm.arrays.hpt, overwrite)
    assert harvest(tracker) == {3, 5}
