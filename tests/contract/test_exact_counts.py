"""Exact counts: closed formulas for the trackers named here.

The events of the host (the harvest, the start of a log) and those of the guest (stores, faults)
are told apart, as who pays for them is.
"""

import numpy as np
import pytest
from conftest import STAMP, build, build_large, harvest, hpte_of, page_shifts, protect
from naive import RXRX

from strategies.contract.bench import WRITTEN
from strategies.contract.counts import counted
from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_LARGE
from strategies.errors import InputError

NPAGES = 100
FAULTING = ("write_protect", "write_protect_batched", "double_buffer")
NAMED = ("c_bit_scan", *FAULTING, "pte_flush")
"""The trackers of which the counts are known here. A new one need not be among them."""


def named(*names):
    """Parametrize a test with trackers."""
    return pytest.mark.parametrize("name", names or NAMED)


def words_of(npages):
    return -(-npages // 64)


def of_a_dirty_harvest(name, npages, dirty):
    """The host's events of a harvest: `dirty` pages of a slot were written since the last."""
    d, words, touched = len(dirty), words_of(npages), {page // 64 for page in dirty}
    taken = {
        "bitmap_words_read": words,
        "words_taken": len(touched),
        "pages_rearmed": d,
        "rmap_steps": d,
    }
    return {
        "c_bit_scan": {
            "pages_scanned": npages,
            "pages_cleared": d,
            "rmap_steps": npages,
            "tlbies": d,
        },
        "write_protect": taken | {"tlbies": d},
        "write_protect_batched": taken | {"flushes": 1},
        "double_buffer": taken | {"flushes": 1, "grace_periods": 1},
        "pte_flush": {
            "bitmap_words_read": min(touched) + 1 + words,  # to the first dirty one, then all
            "words_taken": len(touched),
            "rmap_steps": npages,
            "flushes": 1,
        },
    }[name]


def of_a_clean_harvest(name, npages):
    """The same when nothing was written."""
    words = {"bitmap_words_read": words_of(npages)}
    return {
        "c_bit_scan": {"pages_scanned": npages, "rmap_steps": npages},
        "write_protect": words,
        "write_protect_batched": words,
        "double_buffer": {},  # its count of dirty pages says so
        "pte_flush": words,
    }[name]


def of_first_stores(name, d):
    """The guest's events when it stores to d pages, each for the first time since a harvest.

    A store that faults misses the TLB twice. C stays set in an HPTE that was only read-only, or
    absent, for a while: only `c_bit_scan` clears it.
    """
    return {"stores": d, "tlb_misses": d if name == "c_bit_scan" else 2 * d} | {
        "c_bit_scan": {"changed_bits_set": d},
        "write_protect": {"write_faults": d, "tlbies": d},
        "write_protect_batched": {"write_faults": d, "tlbies": d},
        "double_buffer": {"write_faults": d, "tlbies": d},
        "pte_flush": {"map_faults": d},
    }[name]


def of_enabling(name, npages):
    """The host's events of starting a log of a slot that was not written."""
    if name == "c_bit_scan":
        return of_a_clean_harvest(name, npages)
    return {"pages_protected": npages, "rmap_steps": npages, "flushes": 1}


@named()
@pytest.mark.parametrize(("npages", "d"), [(100, 5), (1, 1), (4096, 40), (1000, 1000)])
def test_counts_are_closed_formulas_of_slot_and_dirty_pages(name, npages, d):
    vm, tracker = build(name, npages)
    random = np.random.default_rng(npages)
    vm.store(range(npages), STAMP)
    harvest(tracker)
    for _ in range(3):
        dirty = random.choice(npages, d, replace=False).tolist()
        stored = counted(vm, lambda dirty=dirty: vm.store(dirty, STAMP))
        assert stored == ({}, of_first_stores(name, d))
        got = counted(vm, lambda: harvest(tracker))
        assert got == (of_a_dirty_harvest(name, npages, dirty), {})
        assert counted(vm, lambda: harvest(tracker)) == (of_a_clean_harvest(name, npages), {})


@named()
def test_the_first_store_of_all_sets_c(name):
    vm, _ = build(name, NPAGES)
    stored = of_first_stores(name, 5) | {"changed_bits_set": 5}
    assert counted(vm, lambda: vm.store(WRITTEN, STAMP)) == ({}, stored)


@named()
def test_a_page_is_paid_once_however_often_it_is_stored_to(name):
    vm, tracker = build(name, NPAGES)
    vm.store(range(NPAGES), STAMP)
    harvest(tracker)
    stored = of_first_stores(name, 5) | {"stores": 15}
    assert counted(vm, lambda: vm.store(WRITTEN * 3, STAMP)) == ({}, stored)
    dirty = of_a_dirty_harvest(name, NPAGES, WRITTEN)
    assert counted(vm, lambda: harvest(tracker)) == (dirty, {})


@named()
def test_counts_of_reads(name):
    vm, _ = build(name, NPAGES)
    faults = {"pte_flush": {"tlb_misses": 10, "map_faults": 5}}.get(name, {"tlb_misses": 5})
    assert counted(vm, lambda: vm.load(WRITTEN * 3)) == ({}, {"loads": 15} | faults)


@named()
def test_counts_of_enabling(name):
    vm, tracker = build(name, NPAGES, enabled=False)
    got = counted(vm, lambda: tracker.enable_logging(0))
    assert got == (of_enabling(name, NPAGES), {})


@named()
def test_counts_of_enabling_what_was_written(name):
    vm, tracker = build(name, NPAGES, enabled=False)
    vm.store(WRITTEN, STAMP)
    paid = of_a_dirty_harvest(name, NPAGES, WRITTEN) if name == "c_bit_scan" else {}
    got = counted(vm, lambda: tracker.enable_logging(0))
    assert got == (of_enabling(name, NPAGES) | paid, {})


@pytest.mark.parametrize("harvests", [0, 1])
def test_counts_of_double_buffer_enabled_again(harvests):
    """Neither half has a count from before, whichever was active."""
    vm, tracker = build("double_buffer", NPAGES)
    for _ in range(harvests):
        vm.store(WRITTEN, STAMP)
        harvest(tracker)
    vm.store(WRITTEN, STAMP)
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    assert counted(vm, lambda: harvest(tracker)) == ({}, {})
    vm.store([1], STAMP)
    assert harvest(tracker) == {1}
    assert counted(vm, lambda: harvest(tracker)) == ({}, {})


def test_counts_of_a_definitive_harvest():
    """A tlbie for each writable HPTE, dirty or not: C may still be on its way."""
    vm, tracker = build("c_bit_scan", NPAGES, delayed_c=True)
    for gfn in (10, 11, 12):
        assert protect(vm, hpte_of(vm, gfn), RXRX)[0] == 0
    writable = NPAGES - 3
    for dirty in (WRITTEN, WRITTEN, []):
        vm.store(dirty, STAMP)
        host, guest = counted(vm, lambda: harvest(tracker))
        assert guest == {}
        assert host.pop("pages_cleared", 0) == len(dirty)
        assert host == {"pages_scanned": NPAGES, "rmap_steps": NPAGES, "tlbies": writable}


def test_a_store_that_owes_c_is_counted_as_one_that_sets_it():
    vm, _ = build("c_bit_scan", NPAGES, delayed_c=True)
    assert counted(vm, lambda: vm.store(WRITTEN * 3, STAMP)) == (
        {},
        of_first_stores("c_bit_scan", 5) | {"stores": 15},
    )


def test_a_page_that_left_its_hpte_is_cleared_in_the_rmap():
    vm, tracker = build("c_bit_scan", NPAGES)
    vm.host_store(7, STAMP)
    host, _ = counted(vm, lambda: harvest(tracker))
    assert host == {"pages_scanned": NPAGES, "pages_cleared": 1, "rmap_steps": NPAGES}


@named(*FAULTING)
def test_a_store_through_an_upgraded_hpte_costs_a_tlbie_in_the_fault(name):
    """Each write fault finds a valid HPTE, which the handler invalidates."""
    vm, tracker = build(name, NPAGES)
    vm.populate(0, view=VIEW_ALIAS)
    for views in ([VIEW_BASE], [VIEW_BASE, VIEW_ALIAS]):
        hptes = len(views)
        for view in views:
            _, guest = counted(vm, lambda view=view: vm.store([1], STAMP, view=view))
            assert guest["write_faults"] == guest["tlbies"] == 1
        host, _ = counted(vm, lambda: harvest(tracker))
        assert host["pages_rearmed"] == 1
        assert host.get("tlbies", 0) == (hptes if name == "write_protect" else 0)


@named()
@page_shifts
def test_counts_of_a_large_page(name, page_shift):
    vm, tracker = build_large(name, page_shift)
    pages = 1 << 24 - page_shift
    _, stored = counted(vm, lambda: vm.store([1, 2, 3, 70, 200], STAMP, view=VIEW_LARGE))
    assert stored == of_first_stores(name, 1) | {"stores": 5, "changed_bits_set": 1}
    host, _ = counted(vm, lambda: harvest(tracker))
    assert host.get("pages_cleared", 0) == (name == "c_bit_scan")
    assert host.get("pages_rearmed", 0) == (pages if name in FAULTING else 0)
    assert host.get("tlbies", 0) == (name in ("c_bit_scan", "write_protect"))
    assert host.get("flushes", 0) == (name not in ("c_bit_scan", "write_protect"))


def test_events_of_somebody_else_are_one_clear_error():
    vm, _ = build("c_bit_scan", NPAGES)
    with pytest.raises(InputError, match="accepted are 'host' and 'guest'"):
        vm.events("nobody")
