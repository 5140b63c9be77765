"""The sweep of the HPT: what it reads, whose pages it leaves alone, and when it does not sweep."""

import numpy as np
import pytest
from conftest import build, changes, hardware, harvest, hpte_of

from strategies import registry
from strategies.core.atomics import address_of
from strategies.core.guest import address_of as address_of_page
from strategies.core.hpt import group_of
from strategies.core.machine import SET_ASIDE
from strategies.core.sweep import BLOCK_WORDS, BLOCKS_PER_CHUNK, groups_with
from strategies.core.words import U64

SWEEPING = "hpt_sweep:1048576"
HPTES = (1 << 18) // 16
C = 0x80


def test_the_groups_of_a_chunk_that_have_c_set_are_found():
    random = np.random.default_rng(1)
    words = np.zeros(2 * BLOCKS_PER_CHUNK * BLOCK_WORDS, np.uint64)
    words[random.choice(words.size, 60, replace=False)] = C
    words[random.choice(words.size, 60, replace=False)] |= np.uint64(1)
    odd = words.reshape(2, BLOCKS_PER_CHUNK, BLOCK_WORDS)[:, :, 1::2]
    for chunk in range(2):
        found = int(groups_with(address_of(words), chunk, U64(C)))
        expected = (odd[chunk] & np.uint64(C)).any(axis=1)
        assert [bool(found >> k & 1) for k in range(BLOCKS_PER_CHUNK)] == expected.tolist()


@pytest.mark.parametrize(("hptes_per_page", "sweeps"), [(3, False), (4, True)])
def test_where_the_hpt_has_more_hptes_for_each_page_pages_are_scanned(hptes_per_page, sweeps):
    npages = HPTES // 4
    vm, tracker = build(f"hpt_sweep:{hptes_per_page}", npages)
    vm.store([5, 70], 1)
    before = vm.events()
    assert harvest(tracker) == {5, 70}
    got = changes(vm, before)
    assert ("blocks_swept" in got) == sweeps
    assert got.get("pages_passed", 0) == (0 if sweeps else npages - 2)


def test_a_sweep_leaves_the_pages_of_other_slots_alone():
    vm, tracker = build(SWEEPING, 100, guest_pages=300)
    other = vm.add_memslot(200, 100)
    vm.populate(other)
    vm.store([7, 207], 1)
    assert harvest(tracker) == {7}
    assert not hardware(vm, hpte_of(vm, 7))[1] & C
    assert hardware(vm, hpte_of(vm, 207))[1] & C
    log = registry.get(SWEEPING)(vm)
    log.enable_logging(other)  # starts empty
    vm.store([8, 208], 2)
    assert harvest(log, other) == {208}
    assert harvest(tracker) == {8}


@pytest.mark.parametrize(("base_gfn", "npages", "lines"), [(15, 18, 3), (16, 16, 1)])
def test_the_rmap_is_swept_by_lines_of_the_cache(base_gfn, npages, lines):
    vm, tracker = build(SWEEPING, npages, base_gfn=base_gfn)
    before = vm.events()
    harvest(tracker)
    assert changes(vm, before)["blocks_swept"] == HPTES // 8 + lines


def test_all_hptes_of_a_group_are_looked_at():
    vm, tracker = build(SWEEPING, HPTES, populated=False, hpt_order=18)
    machine = vm.machine
    addresses = (U64(address_of_page(machine, 0, gfn)) for gfn in range(HPTES))
    full = [gfn for gfn, va in enumerate(addresses) if group_of(machine, va, 12, 0) == 16]
    assert len(full) == 8
    vm.store(full, 1)
    assert harvest(tracker) == set(full)


def test_the_first_and_the_last_groups_are_swept_too():
    vm, tracker = build(SWEEPING, 2048, populated=False)
    groups = {
        group_of(vm.machine, U64(address_of_page(vm.machine, 0, gfn)), 12, 0): gfn
        for gfn in range(2048)
    }
    ends = {groups[group] for group in (0, 8, 63 * 8, 64 * 8, HPTES - 8)}
    vm.store(sorted(ends), 1)
    assert harvest(tracker) == ends
    assert harvest(tracker) == set()


@pytest.mark.parametrize(("npages", "sweeps"), [(1638, False), (1639, True)])
def test_all_hptes_count_when_it_is_decided_whether_to_sweep(npages, sweeps):
    vm, tracker = build("hpt_sweep:10", npages, populated=False)
    before = vm.events()
    harvest(tracker)
    assert ("blocks_swept" in changes(vm, before)) == sweeps


def test_so_many_tlbies_share_a_wait_and_no_more():
    npages = 2 * SET_ASIDE + 3
    vm, tracker = build(SWEEPING, npages, guest_pages=npages + 10)
    vm.populate(vm.add_memslot(npages, 10))
    for written, waits in ((npages, 3), (SET_ASIDE, 1), (SET_ASIDE + 1, 2), (0, 0)):
        vm.store([*range(written), *range(npages, npages + 10)], 1)
        before = vm.events()
        assert harvest(tracker) == set(range(written))
        got = changes(vm, before)
        assert (got.get("shared_tlbies", 0), got.get("shared_waits", 0)) == (written, waits)
