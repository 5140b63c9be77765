"""Addresses and the hash: an HPTE's place tells its address."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import build, hpte_of, hptes_of, read
from naive import BOLTED, Naive

import strategies
from strategies.core.guest import VIEW_BASE, VIEW_LARGE, VIEW_SMALL, address_of
from strategies.core.hpt import group_of, hash_of, hpte_v_of, va_of_hpte, virtual_address
from strategies.core.vm import Vm
from strategies.core.words import U64

TESTS = Path(__file__).resolve().parents[1]
SHIFTS = [12, 16, 24]
ORDERS = [18, 19, 24]


def addresses(shift, count=300):
    """Virtual addresses of pages: any segment, any offset, at random and at both ends."""
    rng = np.random.default_rng(shift)
    eas = rng.integers(0, 1 << 46, count, dtype=np.uint64)
    eas = np.concatenate([eas, np.array([0, (1 << 23) - 1, 1 << 23, (1 << 46) - 1], np.uint64)])
    return [U64(virtual_address(ea) >> shift << shift) for ea in eas]


def test_hash_of_a_1t_segment():
    va = 0xABCDEF << 40 | 0x123456789A
    assert virtual_address(U64(5 << 40 | 77)) == (6 * 12538073 % 0xFFFFFF) << 40 | 77
    for shift in SHIFTS:
        expected = 0xABCDEF ^ 0xABCDEF << 25 ^ 0x123456789A >> shift
        assert hash_of(U64(va), shift) == expected


@pytest.mark.parametrize("order", ORDERS)
def test_secondary_group_is_the_complement(order):
    vm = Vm(1, hpt_order=order)
    groups = (1 << order) // 128
    for va in addresses(12):
        primary = group_of(vm.machine, va, 12, 0) // 8
        secondary = group_of(vm.machine, va, 12, 1) // 8
        assert 0 <= primary < groups
        assert primary ^ secondary == groups - 1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("secondary", [0, 1])
def test_va_of_hpte_inverts_the_hash(order, shift, secondary):
    vm = Vm(1, hpt_order=order)
    for va in addresses(shift):
        v = U64(hpte_v_of(va, shift) | 2 * secondary)
        for slot in (0, 7):
            index = group_of(vm.machine, va, shift, secondary) + slot
            got = va_of_hpte(vm.machine, v, shift, index)
            assert got >> shift == int(va) >> shift


@pytest.mark.parametrize("shift", SHIFTS)
def test_avpn_is_the_same_all_over_a_page(shift):
    """The AVPN of a large page has 0 in the bits of its offset (`hpte_encode_avpn`)."""
    for va in addresses(shift, 50):
        end = va | U64((1 << shift) - 1)
        assert hpte_v_of(end, shift) == hpte_v_of(va, shift)


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("page_shift", [12, 16])
def test_addresses_are_those_of_the_naive_model(page_shift, scattered):
    npages = 5 << 24 - page_shift
    mapping = "scattered" if scattered else "linear"
    vm = Vm(npages, page_shift=page_shift, mapping=mapping, seed=99)
    model = Naive("null", page_shift, vm.hpt_order, 1, npages, scattered, 99)
    for view in range(4):
        for gfn in range(0, npages, 97):
            assert address_of(vm.machine, view, gfn) == model.address(view, gfn)


@pytest.mark.parametrize("page_shift", [12, 16])
def test_scattered_addresses_are_all_different(page_shift):
    npages = 3000
    vm = Vm(npages, page_shift=page_shift, mapping="scattered", seed=3)
    for view in (VIEW_BASE, VIEW_SMALL):
        assert len({int(address_of(vm.machine, view, gfn)) for gfn in range(npages)}) == npages


@pytest.mark.parametrize("mapping", ["linear", "scattered"])
def test_large_page_is_one_hpte(mapping):
    vm, _ = build("null", 512, page_shift=16, populated=False, mapping=mapping)
    vm.populate(0, view=VIEW_LARGE)
    for gfn in (0, 127, 128, 255):
        assert vm.store([gfn], 1, view=VIEW_LARGE) == 1
        vm.store([gfn + 256], 1, view=VIEW_LARGE)
    assert vm.events()["hash_misses"] == 0
    assert len(hptes_of(vm, 0)) == len(hptes_of(vm, 256)) == 1


def test_secondary_group_takes_what_the_primary_cannot():
    vm, _ = build("null", 64 * 2048, hpt_order=18, populated=False)
    gfns = list(range(0, 16 * 2048, 2048))
    assert vm.store(gfns, 1) == 16
    assert vm.events()["evictions"] == 0
    flags = [read(vm, hpte_of(vm, gfn))[0] >> 1 & 1 for gfn in gfns]
    assert flags == [0] * 8 + [1] * 8
    assert vm.store(gfns, 2, vcpu=0) == 16
    assert vm.events()["hash_misses"] == 16


def test_bolted_hptes_are_not_evicted():
    vm, _ = build("null", 64 * 2048, hpt_order=18, populated=False)
    gfns = list(range(0, 64 * 2048, 2048))
    vm.store(gfns[:16], 1)
    victims = gfns[2], gfns[11]  # one in the primary group, one in the secondary
    bolted = [hpte_of(vm, gfn) for gfn in gfns[:16] if gfn not in victims]
    vm.arrays.hpt[[2 * index for index in bolted]] |= np.uint64(BOLTED)
    assert vm.store(gfns[16:], 1) == len(gfns) - 16
    assert vm.events()["evictions"] == len(gfns) - 16
    assert [gfn for gfn in gfns[:16] if not hptes_of(vm, gfn)] == list(victims)


ALL_BOLTED_BUT_ONE = """
import numpy as np
from conftest import build, hpte_of
vm, _ = build("null", 17 * 2048, hpt_order=18, populated=False)
gfns = list(range(0, 17 * 2048, 2048))
vm.store(gfns[:16], 1)
bolted = [hpte_of(vm, gfn) for gfn in gfns[:16] if gfn != gfns[11]]
vm.arrays.hpt[[2 * index for index in bolted]] |= np.uint64(0x10)
assert vm.store(gfns[16:], 1) == 1
"""


def test_group_of_bolted_hptes_does_not_stop_the_guest():
    """The victim is in the other group. A guest that spins in compiled code cannot be stopped."""
    build("null", 1)[0].store([0], 1)  # what is compiled here is not compiled there
    path = os.pathsep.join([str(Path(strategies.__file__).parents[1]), str(TESTS)])
    subprocess.run(
        [sys.executable, "-c", ALL_BOLTED_BUT_ONE],
        env=os.environ | {"PYTHONPATH": path},
        timeout=600,
        check=True,
    )


def test_evictions_take_both_groups_in_turn_and_their_places_one_after_the_other():
    vm, _ = build("null", 64 * 2048, hpt_order=18, populated=False)
    gfns = list(range(0, 22 * 2048, 2048))
    vm.store(gfns[:16], 1)
    evicted = []
    for gfn in gfns[16:]:
        vm.store([gfn], 1)
        evicted += [k for k in range(16) if k not in evicted and not hptes_of(vm, gfns[k])]
    assert evicted == [0, 8, 1, 9, 2, 10]
