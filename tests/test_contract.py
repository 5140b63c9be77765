"""The contract of every tracker that logs, with the vCPUs stopped: exact sets, nothing lost."""

import numpy as np
import pytest
from conftest import (
    STAMP,
    build,
    bulk_remove,
    changes,
    clear_mod,
    clear_ref,
    enter,
    hardware,
    harvest,
    hpte_of,
    hptes_of,
    protect,
    read,
    remove,
)
from naive import (
    ABSENT,
    LARGE,
    LINUX_RIGHTS,
    LP_64K,
    PP,
    PP0,
    RWRW,
    RXRX,
    C,
    M,
    R,
)

from strategies import registry
from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_LARGE, VIEW_SMALL
from strategies.core.machine import MAX_SLOTS
from strategies.core.vm import Vm

WRITTEN = [0, 1, 63, 64, 99]
FAULTS = {"write_faults", "map_faults", "upgrade_faults", "spurious_faults"}

machines = pytest.mark.parametrize(
    ("page_shift", "mapping"),
    [(shift, mapping) for shift in (12, 16) for mapping in ("linear", "scattered")],
)
page_shifts = pytest.mark.parametrize("page_shift", [12, 16])


def large_page(vm, number=0):
    """The gfns of a 16 MiB page."""
    pages = 1 << 24 - vm.page_shift
    return set(range(number * pages, (number + 1) * pages))


def build_large(strategy, page_shift, **options):
    """A machine with one slot of two large pages, mapped at VIEW_LARGE."""
    npages = 2 << 24 - page_shift
    vm, tracker = build(
        strategy, npages, page_shift=page_shift, enabled=False, populated=False, **options
    )
    vm.populate(0, view=VIEW_LARGE)
    tracker.enable_logging(0)
    return vm, tracker


def ptel_of(vm, gfn, rights=LINUX_RIGHTS):
    """Dword 1 of a base page."""
    return gfn << vm.page_shift | (LP_64K if vm.page_shift == 16 else 0) | rights


def overwrite(vm, gfn, other):
    """Let the HPTE of a page map another page; return its index."""
    index = hpte_of(vm, gfn)
    v, _ = read(vm, index)
    assert remove(vm, index)[0] == 0
    assert enter(vm, index, v, ptel_of(vm, other), 1 << 39)[0] == 0
    return index


# Exact sets.


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


def test_read_page_is_reported_by_pte_flush_alone(strategy):
    vm, tracker = build(strategy, 100)
    assert vm.load([3, 4]) == 2
    vm.store([4, 5], STAMP)
    expected = {3, 4, 5} if strategy == "pte_flush" else {4, 5}
    assert harvest(tracker) == expected


def test_read_page_is_not_reported_where_the_guest_may_not_store(strategy):
    vm, tracker = build(strategy, 100)
    assert protect(vm, hpte_of(vm, 3), RXRX)[0] == 0
    assert vm.load([3]) == 1
    assert vm.store([3], STAMP) == 0
    assert vm.events()["guest_protection_faults"] == 1
    assert vm.arrays.stamps[3] == 0
    assert harvest(tracker) == set()


# Slots.


def test_slots_have_each_their_own_log(strategy):
    vm = Vm(40 * MAX_SLOTS)
    tracker = registry.get(strategy)(vm)
    slots = [vm.add_memslot(3 + 40 * k, 1 + k) for k in range(MAX_SLOTS)]
    for slot in slots:
        vm.populate(slot)
        tracker.enable_logging(slot)
    last_pages = {slot: sum(vm.slots[slot]) - 1 for slot in slots}
    vm.store(sorted(last_pages.values()), STAMP)
    for slot in reversed(slots):
        assert harvest(tracker, slot) == {last_pages[slot]}
    vm.store([last_pages[9]], STAMP)
    assert [len(harvest(tracker, slot)) for slot in slots] == [slot == 9 for slot in slots]


def test_slots_that_share_a_word_of_gfns_do_not_share_a_log(strategy):
    vm = Vm(100)
    tracker = registry.get(strategy)(vm)
    for base, npages in ((10, 20), (30, 3), (33, 67)):
        slot = vm.add_memslot(base, npages)
        vm.populate(slot)
        tracker.enable_logging(slot)
    vm.store([29, 30, 32, 33], STAMP)
    assert harvest(tracker, 1) == {30, 32}
    vm.store([30, 34], STAMP)
    assert [harvest(tracker, slot) for slot in range(3)] == [{29}, {30}, {33, 34}]


def test_slot_that_is_not_logged_costs_nothing(strategy):
    vm, tracker = build(strategy, 50, guest_pages=100)
    vm.populate(vm.add_memslot(50, 50))
    before = vm.events()
    vm.store([50, 99], STAMP)
    assert changes(vm, before) == {"stores": 2, "tlb_misses": 2}
    assert harvest(tracker) == set()


# Enable, disable.


def test_enable_starts_an_empty_log(strategy):
    vm, tracker = build(strategy, 100, enabled=False)
    vm.store([1, 2], STAMP)
    vm.host_store(3, STAMP)
    assert remove(vm, hpte_of(vm, 1))[0] == 0
    tracker.enable_logging(0)
    assert harvest(tracker) == set()
    vm.store([2, 4], STAMP)
    assert harvest(tracker) == {2, 4}


def test_enable_twice_keeps_the_log(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1], STAMP)
    tracker.enable_logging(0)
    assert harvest(tracker) == {1}


def test_disable_and_enable_again_starts_an_empty_log(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1, 2], STAMP)
    tracker.disable_logging(0)
    vm.store([3], STAMP)
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    assert harvest(tracker) == set()
    vm.store([3, 2], STAMP)
    assert harvest(tracker) == {2, 3}


def test_disable_after_a_harvest_and_enable_again(strategy):
    vm, tracker = build(strategy, 100)
    for stamp in range(1, 5):
        vm.store([1, 63, 64], stamp)
        assert harvest(tracker) == {1, 63, 64}
        vm.store([5], stamp)
        tracker.disable_logging(0)
        tracker.enable_logging(0)


@page_shifts
def test_disable_gives_back_the_guests_permissions(strategy, page_shift):
    vm, tracker = build(strategy, 8, page_shift=page_shift, enabled=False)
    rights = {0: RWRW, 1: RXRX, 2: 0, 3: 1, 4: RWRW, 5: 1 << 8 | 2}
    for gfn, flags in rights.items():
        assert protect(vm, hpte_of(vm, gfn), flags)[0] == 0
    vm.load([4])
    vm.store([0, 3], STAMP)
    guest = [read(vm, hpte_of(vm, gfn)) for gfn in range(8)]
    writable = [gfn for gfn in range(8) if gfn not in (1, 5)]
    tracker.enable_logging(0)
    assert vm.store(range(8), STAMP) == len(writable)
    assert harvest(tracker) == set(writable)
    assert vm.store(writable[:2], STAMP) == 2
    tracker.disable_logging(0)
    for gfn in range(8):
        v, r = hardware(vm, hpte_of(vm, gfn))
        assert not v & ABSENT
        assert v == guest[gfn][0]
        assert r & (PP0 | PP) == guest[gfn][1] & (PP0 | PP)
        assert read(vm, hpte_of(vm, gfn)) == guest[gfn]
    before = vm.events()
    assert vm.store(writable, STAMP) == len(writable)
    assert not FAULTS & changes(vm, before).keys()


def test_disable_keeps_r_and_c_as_the_guest_sees_them(strategy):
    vm, tracker = build(strategy, 8, populated=False, enabled=False)
    donor, _ = build(strategy, 8)  # its guest enters the same addresses
    indices = [hpte_of(donor, gfn) for gfn in range(8)]
    for gfn, index in enumerate(indices):
        assert enter(vm, index, read(donor, index)[0], ptel_of(vm, gfn, M | RWRW), 1 << 39)[0] == 0
    tracker.enable_logging(0)
    vm.load([1])
    vm.store([2], STAMP)
    harvest(tracker)
    vm.load([3])
    vm.store([4], STAMP)
    tracker.disable_logging(0)
    got = [read(vm, index)[1] & (R | C) for index in indices]
    assert got == [0, R, R | C, R, R | C, 0, 0, 0]


# What the guest sees.


def views_of_a_run(strategy):
    """All present HPTEs, as H_READ shows them, after each step of a guest's life."""
    vm, tracker = build(strategy, 40, populated=False, enabled=False, vcpus=2)
    views = []

    def look():
        present = np.flatnonzero(vm.arrays.hpt[::2] & np.uint64(0x21))
        views.append({int(index): read(vm, int(index)) for index in present})

    vm.populate(0)
    for gfn in range(0, 40, 2):
        index = hpte_of(vm, gfn)
        v, _ = read(vm, index)
        remove(vm, index)
        enter(vm, index, v, ptel_of(vm, gfn, M | RWRW), 1 << 39)
    vm.store([0, 1], STAMP, vcpus=2)
    look()
    for _ in range(2):
        tracker.enable_logging(0)
        for first in range(0, 40, 5):
            look()
            vm.load(range(first, first + 4))
            vm.store([first, first + 1, 2, 3], STAMP, vcpus=2)
            look()
            protect(vm, hpte_of(vm, first), RXRX)
            clear_mod(vm, hpte_of(vm, first + 1))
            vm.store([first + 1, first], STAMP)
            harvest(tracker) if strategy != registry.BASELINE else None
            look()
            clear_mod(vm, hpte_of(vm, 2))
            overwrite(vm, first + 4, first + 4)
            protect(vm, hpte_of(vm, first), RWRW)
            clear_ref(vm, hpte_of(vm, 39))
            vm.store([first + 4], STAMP)
        tracker.disable_logging(0)
        look()
    return views


def test_logging_does_not_show_in_h_read(strategy):
    assert views_of_a_run(strategy) == views_of_a_run(registry.BASELINE)


# The guest changes its HPTEs before the harvest.


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
    assert harvest(tracker) == ({1} if strategy == "pte_flush" else set())


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
    assert read(vm, hpte_of(vm, 1))[1] & C
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


# Several HPTEs on one page.


@machines
def test_alias_reports_the_page_once(strategy, page_shift, mapping):
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping)
    vm.populate(0, view=VIEW_ALIAS)
    for views in ([VIEW_BASE], [VIEW_ALIAS], [VIEW_BASE, VIEW_ALIAS], [VIEW_ALIAS, VIEW_BASE]):
        for view in views:
            vm.store([1], STAMP, view=view)
        assert harvest(tracker) == {1}
        assert harvest(tracker) == set()


@pytest.mark.parametrize("removed", [0, 1])
def test_alias_removed_before_the_harvest(strategy, removed):
    vm, tracker = build(strategy, 100)
    vm.populate(0, view=VIEW_ALIAS)
    vm.store([1], STAMP, view=VIEW_BASE)
    vm.store([2], STAMP, view=VIEW_ALIAS)
    for gfn in (1, 2, 3):
        remove(vm, hptes_of(vm, gfn)[removed])
    assert harvest(tracker) == {1, 2}
    vm.store([1], STAMP, view=VIEW_ALIAS)
    vm.store([2], STAMP, view=VIEW_BASE)
    assert harvest(tracker) == {1, 2}


def test_alias_protected_leaves_the_other_writable(strategy):
    vm, tracker = build(strategy, 100)
    first = hpte_of(vm, 1)
    vm.populate(0, view=VIEW_ALIAS)
    protect(vm, first, RXRX)
    assert vm.store([1], STAMP) == 0
    assert harvest(tracker) == set()
    assert vm.store([1], STAMP, view=VIEW_ALIAS) == 1
    assert harvest(tracker) == {1}


@pytest.mark.parametrize("mapping", ["linear", "scattered"])
def test_small_pages_in_a_64k_page(strategy, mapping):
    vm, tracker = build(strategy, 100, page_shift=16, mapping=mapping)
    vm.populate(0, view=VIEW_SMALL)
    assert len(hptes_of(vm, 1)) == 2
    assert [bool(read(vm, index)[0] & LARGE) for index in sorted(hptes_of(vm, 1))].count(True) == 1
    vm.store([1, 99], STAMP, view=VIEW_SMALL)
    assert harvest(tracker) == {1, 99}
    vm.store([1, 2], STAMP)
    vm.store([1, 3], STAMP + 1, view=VIEW_SMALL)
    assert vm.arrays.stamps[[1, 2, 3]].tolist() == [STAMP + 1, STAMP, STAMP + 1]
    assert harvest(tracker) == {1, 2, 3}
    assert harvest(tracker) == set()


# Large pages.


@machines
def test_large_page_reports_all_its_pages(strategy, page_shift, mapping):
    vm, tracker = build_large(strategy, page_shift, mapping=mapping)
    gfn = max(large_page(vm, 1)) - 70
    vm.store([gfn], STAMP, view=VIEW_LARGE)
    assert np.flatnonzero(vm.arrays.stamps).tolist() == [gfn]
    assert harvest(tracker) == large_page(vm, 1)
    assert harvest(tracker) == set()


@page_shifts
def test_large_page_stored_again_between_and_after_harvests(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift, vcpus=2)
    for stamp, gfn in enumerate([0, 1, 64, 130, 255, 0], start=1):
        vm.store([gfn], stamp, view=VIEW_LARGE)
        assert harvest(tracker) == large_page(vm)
        vm.store([gfn + 256, gfn, gfn + 1], stamp, view=VIEW_LARGE, vcpus=2)
        vm.store([gfn], stamp, view=VIEW_LARGE, vcpu=1)
        both = large_page(vm) | (large_page(vm, 1) if page_shift == 16 else set())
        assert harvest(tracker) == both
    assert harvest(tracker) == set()


@page_shifts
def test_large_page_read(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    vm.load([5], view=VIEW_LARGE)
    assert harvest(tracker) == (large_page(vm) if strategy == "pte_flush" else set())


@page_shifts
def test_large_page_with_base_pages_on_the_same_memory(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    vm.populate(0)
    vm.store([0, 70], STAMP)
    assert harvest(tracker) == {0, 70}
    vm.store([3], STAMP, view=VIEW_LARGE)
    assert harvest(tracker) == large_page(vm)
    vm.store([70], STAMP)
    vm.store([71], STAMP, view=VIEW_LARGE)
    vm.store([72], STAMP)
    assert harvest(tracker) == large_page(vm)
    vm.store([72], STAMP)
    assert harvest(tracker) == {72}
    vm.store([255], STAMP, view=VIEW_LARGE)
    vm.store([3], STAMP)
    assert harvest(tracker) == large_page(vm)
    assert harvest(tracker) == set()


@page_shifts
def test_large_page_dirty_by_a_base_page_only_is_protected_again(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    vm.populate(0)
    vm.store([200], STAMP, view=VIEW_LARGE)
    vm.store([201], STAMP)
    harvest(tracker)
    vm.store([201], STAMP)
    assert harvest(tracker) == {201}
    vm.store([201], STAMP, view=VIEW_LARGE)
    assert harvest(tracker) == large_page(vm)


@page_shifts
@pytest.mark.parametrize("is_entered_again", [False, True])
def test_large_page_removed_before_the_harvest(strategy, page_shift, is_entered_again):
    vm, tracker = build_large(strategy, page_shift)
    vm.store([77], STAMP, view=VIEW_LARGE)
    index = hpte_of(vm, 0)
    v, r = read(vm, index)
    remove(vm, index)
    if is_entered_again:
        enter(vm, index, v, r, 1 << 39)
    assert harvest(tracker) == large_page(vm)
    assert harvest(tracker) == set()
    vm.store([78], STAMP, view=VIEW_LARGE)
    assert harvest(tracker) == large_page(vm)


@page_shifts
def test_large_page_replaced_by_base_pages_before_the_harvest(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    vm.store([77], STAMP, view=VIEW_LARGE)
    remove(vm, hpte_of(vm, 0))
    vm.populate(0)
    vm.store([0], STAMP)
    remove(vm, hptes_of(vm, 0)[0])  # CHANGED of one page must not hide that of the large one
    assert harvest(tracker) == large_page(vm)
    vm.store([0, 77], STAMP)
    assert harvest(tracker) == {0, 77}


@page_shifts
def test_large_page_removed_and_harvested_leaves_base_pages_alone(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    vm.store([77], STAMP, view=VIEW_LARGE)
    remove(vm, hpte_of(vm, 0))
    assert harvest(tracker) == large_page(vm)
    vm.populate(0)
    vm.store([0], STAMP)
    remove(vm, hpte_of(vm, 0))
    assert harvest(tracker) == {0}


@page_shifts
def test_large_page_protected_and_c_cleared_before_the_harvest(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    index = hpte_of(vm, 0)
    vm.store([77], STAMP, view=VIEW_LARGE)
    clear_mod(vm, index)
    protect(vm, index, RXRX)
    assert vm.store([78], STAMP, view=VIEW_LARGE) == 0
    assert harvest(tracker) == large_page(vm)
    protect(vm, index, RWRW)
    assert harvest(tracker) == set()
    assert vm.store([78], STAMP, view=VIEW_LARGE) == 1
    assert harvest(tracker) == large_page(vm)


@page_shifts
def test_large_page_stored_to_by_the_host_reports_one_page(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    vm.host_store(0, STAMP)
    vm.host_store(99, STAMP)
    assert harvest(tracker) == {0, 99}
    vm.store([5], STAMP, view=VIEW_LARGE)
    vm.host_store(0, STAMP)
    assert harvest(tracker) == large_page(vm)


@page_shifts
def test_large_page_enabled_again(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    vm.store([5], STAMP, view=VIEW_LARGE)
    tracker.disable_logging(0)
    vm.store([6], STAMP, view=VIEW_LARGE)
    tracker.enable_logging(0)
    assert harvest(tracker) == set()
    vm.store([6], STAMP, view=VIEW_LARGE)
    assert harvest(tracker) == large_page(vm)


# Full groups.


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


# Exact counts.


def count_of(strategy, steps):
    """The events of each step on a slot of 100 mapped pages."""
    vm, tracker = build(strategy, 100)
    counts = []
    for step in steps:
        before = vm.events()
        step(vm, tracker)
        counts.append(changes(vm, before))
    return counts


def rounds(counts):
    """The counts of each round of three steps."""
    return [counts[k : k + 3] for k in range(0, len(counts), 3)]


def store_thrice(vm, tracker):
    vm.store(WRITTEN * 3, STAMP)


def get(vm, tracker):
    harvest(tracker)


STORED = {"stores": 15, "tlb_misses": 10}  # each first store misses, faults, and misses again


def test_counts_of_c_bit_scan():
    stored, dirty, clean = count_of("c_bit_scan", [store_thrice, get, get])
    assert stored == {"stores": 15, "tlb_misses": 5}
    assert dirty == {"rmap_steps": 100, "tlbies": 5}
    assert clean == {"rmap_steps": 100}


def test_counts_of_write_protect():
    stored, dirty, clean = count_of("write_protect", [store_thrice, get, get])
    assert stored == STORED | {"write_faults": 5}
    assert dirty == {"bitmap_words_read": 2, "rmap_steps": 5, "tlbies": 5}
    assert clean == {"bitmap_words_read": 2}


def test_counts_of_write_protect_batched():
    stored, dirty, clean = count_of("write_protect_batched", [store_thrice, get, get])
    assert stored == STORED | {"write_faults": 5}
    assert dirty == {"bitmap_words_read": 2, "rmap_steps": 5, "flushes": 1}
    assert clean == {"bitmap_words_read": 2}


def test_counts_of_double_buffer():
    first, second, third = rounds(count_of("double_buffer", [store_thrice, get, get] * 3))
    assert first == [
        STORED | {"write_faults": 5},
        {"bitmap_words_read": 2, "rmap_steps": 5, "flushes": 1},
        {},
    ]
    assert second == third == first


def test_counts_of_double_buffer_enabled_again():
    vm, tracker = build("double_buffer", 100)
    vm.store(WRITTEN, STAMP)
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    before = vm.events()
    assert harvest(tracker) == set()
    assert changes(vm, before) == {}


def test_counts_of_pte_flush():
    stored, dirty, clean = count_of("pte_flush", [store_thrice, get, get])
    assert stored == STORED | {"map_faults": 5}
    # One word tells that something is dirty; then both are taken.
    assert dirty == {"bitmap_words_read": 3, "rmap_steps": 100, "flushes": 1}
    assert clean == {"bitmap_words_read": 2}


def test_counts_of_reads(strategy):
    (loaded,) = count_of(strategy, [lambda vm, tracker: vm.load(WRITTEN * 3)])
    if strategy == "pte_flush":
        assert loaded == {"loads": 15, "tlb_misses": 10, "map_faults": 5}
    else:
        assert loaded == {"loads": 15, "tlb_misses": 5}


ENABLED = {
    "c_bit_scan": {"rmap_steps": 100},
    "write_protect": {"rmap_steps": 100, "flushes": 1},
    "write_protect_batched": {"rmap_steps": 100, "flushes": 1},
    "double_buffer": {"rmap_steps": 100, "flushes": 1},
    "pte_flush": {"rmap_steps": 100, "flushes": 1},
}


def test_counts_of_enabling(strategy):
    vm, tracker = build(strategy, 100, enabled=False)
    before = vm.events()
    tracker.enable_logging(0)
    assert changes(vm, before) == ENABLED[strategy]


def test_counts_of_enabling_what_was_written(strategy):
    vm, tracker = build(strategy, 100, enabled=False)
    vm.store(WRITTEN, STAMP)
    before = vm.events()
    tracker.enable_logging(0)
    paid = {"tlbies": 5} if strategy == "c_bit_scan" else {}
    assert changes(vm, before) == ENABLED[strategy] | paid


def test_counts_of_two_hptes_on_a_page():
    vm, tracker = build("write_protect", 100)
    vm.populate(0, view=VIEW_ALIAS)
    for views, hptes in (([VIEW_BASE], 1), ([VIEW_BASE, VIEW_ALIAS], 2)):
        before = vm.events()
        for view in views:
            vm.store([1], STAMP, view=view)
        assert changes(vm, before)["write_faults"] == hptes
        before = vm.events()
        harvest(tracker)
        assert changes(vm, before)["tlbies"] == hptes


@page_shifts
def test_counts_of_a_large_page(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    before = vm.events()
    vm.store([1, 2, 3, 70, 200], STAMP, view=VIEW_LARGE)
    stored = changes(vm, before)
    fault = {"c_bit_scan": {}, "pte_flush": {"map_faults": 1}}.get(strategy, {"write_faults": 1})
    assert stored == {"stores": 5, "tlb_misses": 1 + bool(fault)} | fault
    before = vm.events()
    harvest(tracker)
    got = changes(vm, before)
    tlbies = {"c_bit_scan": 1, "write_protect": 1}.get(strategy, 0)
    assert got.get("tlbies", 0) == tlbies
    assert got.get("flushes", 0) == 1 - tlbies
