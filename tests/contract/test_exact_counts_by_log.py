"""Exact counts of the trackers that are younger than the thread: a slot of N pages, W words.

As in `test_exact_counts`; here each tracker's formulas stand together, D pages being written in
`WRITTEN`, or two by the host, and a harvest following at once.
"""

import numpy as np
import pytest
from conftest import STAMP, build, build_large, harvest, hpte_of, protect
from naive import RWRW, RXRX

from strategies.contract.bench import WRITTEN
from strategies.contract.counts import counted
from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_LARGE
from strategies.core.hostfault import host_store
from strategies.core.tlb import flush_tlbs

N, W, D = 100, 2, len(WRITTEN)
GROUPS = (1 << 18) // 16 // 8
SWEPT = GROUPS + -(-N // 16)
"""Blocks that a sweep reads: the HPT's groups, and the rmap words in sixteens."""

_PASSED = {"rmap_steps": N, "pages_scanned": N}
_STORED = {"stores": D, "tlb_misses": D, "changed_bits_set": D}
_FAULTED = {"stores": D, "tlb_misses": 2 * D, "write_faults": D, "tlbies": D}
_PROTECTED = {"pages_protected": N, "rmap_steps": N, "flushes": 1}
_READ = {"bitmap_words_read": W}
_OPEN = {"bitmap_words_read": 2 * W, "pages_scanned": N, "rmap_steps": N}

COUNTS = {
    "c_bit_scan_batched": {
        "enable": _PASSED,
        "store": _STORED,
        "harvest": _PASSED | {"pages_cleared": D, "flushes": 1},
        "nothing": _PASSED,
        "of the host's": _PASSED | {"pages_cleared": 2, "flushes": 1},
    },
    "c_bit_scan_pipelined": {
        "enable": {"pages_passed": N},
        "store": _STORED,
        "harvest": {"pages_passed": N - D}
        | dict.fromkeys(("pages_scanned", "rmap_steps", "pages_cleared", "tlbies"), D),
        "nothing": {"pages_passed": N},
        "of the host's": {"pages_passed": N - 2}
        | dict.fromkeys(("pages_scanned", "rmap_steps", "pages_cleared"), 2),
    },
    "hpt_sweep:1048576": {
        "enable": {"blocks_swept": SWEPT},
        "store": _STORED,
        "harvest": {"blocks_swept": SWEPT, "shared_waits": 1}
        | dict.fromkeys(("pages_cleared", "shared_tlbies"), D),
        "nothing": {"blocks_swept": SWEPT},
        "of the host's": {"blocks_swept": SWEPT}
        | dict.fromkeys(("pages_scanned", "rmap_steps", "pages_cleared"), 2),
    },
    "write_protect_summary": {
        "enable": _PROTECTED,
        "store": _FAULTED,
        "harvest": {"bitmap_words_read": 2 + W, "words_taken": W, "flushes": 1}
        | dict.fromkeys(("rmap_steps", "pages_rearmed"), D),
        "nothing": {"bitmap_words_read": 1},
        "of the host's": {"bitmap_words_read": 3, "words_taken": 1, "flushes": 1}
        | dict.fromkeys(("rmap_steps", "pages_rearmed"), 2),
    },
    "dirty_ring": {
        "enable": _PROTECTED,
        "store": _FAULTED | {"log_pushes": D},
        "harvest": {"flushes": 1} | dict.fromkeys(("rmap_steps", "pages_rearmed"), D),
        "nothing": {},
        "of the host's": _READ | {"words_taken": 1},
    },
    "pml": {
        "enable": _PROTECTED | {"spills": 1},
        "store": _STORED | {"log_pushes": D},
        "harvest": _READ
        | {"spills": 1, "words_taken": 2, "flushes": 1}
        | dict.fromkeys(("rmap_steps", "pages_cleared"), D),
        "nothing": _READ | {"spills": 1},
        "of the host's": _READ
        | {"spills": 1, "words_taken": 1, "flushes": 1}
        | dict.fromkeys(("rmap_steps", "pages_cleared"), 2),
    },
    "manual_protect": {
        "enable": _PROTECTED,
        "store": _FAULTED,
        "harvest": {"bitmap_words_read": 2 * W, "words_taken": 2, "flushes": 1}
        | dict.fromkeys(("rmap_steps", "pages_rearmed"), D),
        "nothing": {"bitmap_words_read": 2 * W},
        "of the host's": {"bitmap_words_read": 2 * W, "words_taken": 1, "flushes": 1}
        | dict.fromkeys(("rmap_steps", "pages_rearmed"), 2),
    },
    "dbm_hybrid": {
        "enable": {"pages_protected": N, "pages_scanned": N, "rmap_steps": 2 * N, "flushes": 2},
        "store": _STORED,
        "harvest": _OPEN | {"pages_cleared": D, "flushes": 1},
        "nothing": _OPEN,
        "of the host's": _OPEN | {"words_taken": 1},
    },
}

DEFINITIVE = {
    "c_bit_scan_batched": {
        "rmap_steps": 2 * N,
        "pages_scanned": 2 * N,
        "shared_tlbies": N,
        "shared_waits": 1,
    },
    "c_bit_scan_pipelined": _PASSED | {"tlbies": N},
    "hpt_sweep:1048576": {"blocks_swept": SWEPT, "shared_tlbies": N, "shared_waits": 1},
    "pml": _READ | {"spills": 1, "flushes": 2, "words_taken": 2, "rmap_steps": D},
    "dbm_hybrid": _OPEN | {"flushes": 2},
}
"""Where TLBs keep C back and no vCPU runs: besides the D pages that are cleared."""


@pytest.fixture(params=COUNTS)
def name(request):
    return request.param


def test_counts_of_enabling_of_stores_and_of_harvests(name):
    expected = COUNTS[name]
    vm, tracker = build(name, N, enabled=False)
    assert counted(vm, lambda: tracker.enable_logging(0)) == (expected["enable"], {})
    vm.store(range(N), STAMP)  # so that groups are open, and C was set once
    harvest(tracker)
    _, stored = counted(vm, lambda: vm.store(WRITTEN, STAMP))
    assert stored == expected["store"]
    assert counted(vm, lambda: vm.store(WRITTEN, STAMP)) == ({}, {"stores": D})
    assert counted(vm, lambda: harvest(tracker)) == (expected["harvest"], {})
    assert counted(vm, lambda: harvest(tracker)) == (expected["nothing"], {})
    vm.host_store(7, STAMP)
    vm.host_store(8, STAMP)
    assert counted(vm, lambda: harvest(tracker)) == (expected["of the host's"], {})
    assert counted(vm, lambda: harvest(tracker)) == (expected["nothing"], {})


TAKES_WORDS = ["write_protect", "write_protect_batched", "write_protect_summary"]
TAKES_WORDS += ["double_buffer", "pml", "manual_protect"]


@pytest.mark.parametrize("name", TAKES_WORDS)
def test_a_word_of_clean_pages_is_only_read(name):
    vm, tracker = build(name, 300)
    vm.store([70, 80], STAMP)
    host, _ = counted(vm, lambda: harvest(tracker))
    assert host["words_taken"] == 1


@pytest.mark.parametrize(
    "name", ["write_protect", "write_protect_batched", "double_buffer", "pml", "manual_protect"]
)
def test_a_page_that_no_hpte_maps_costs_no_step(name):
    vm, tracker = build(name, N, populated=False)
    vm.host_store(3, STAMP)
    host, _ = counted(vm, lambda: harvest(tracker))
    assert (host["words_taken"], host.get("rmap_steps", 0)) == (1, 0)


def test_a_fault_that_maps_an_absent_hpte_gives_it_its_permission_too():
    vm, tracker = build("pte_flush", N)
    vm.store([3], STAMP)
    for flags in (RXRX, RWRW):
        protect(vm, hpte_of(vm, 3), flags)
    harvest(tracker)
    _, guest = counted(vm, lambda: vm.store([3], STAMP))
    assert guest == {"stores": 1, "tlb_misses": 2, "map_faults": 1}


@pytest.mark.parametrize("name", DEFINITIVE)
def test_counts_of_a_definitive_harvest(name):
    vm, tracker = build(name, N, delayed_c=True)
    vm.store(WRITTEN, STAMP)
    if name == "dbm_hybrid":
        vm.store([20, 80], STAMP)
        harvest(tracker)
        vm.store(WRITTEN, STAMP)
    host, _ = counted(vm, lambda: harvest(tracker))
    assert host == DEFINITIVE[name] | {"pages_cleared": D}


def test_a_page_is_counted_as_reported_twice_if_it_was_not_cleared_in_between():
    vm, tracker = build("manual_protect", N)
    out = tracker.buffer(0)
    for pages, twice in (([1, 2, 70], 0), ([3], 3), ([], 4)):
        vm.store(pages, STAMP)
        host, _ = counted(vm, lambda: tracker.copy_dirty_log(0, out))
        assert host == _READ | ({"pages_reported_twice": twice} if twice else {})
    host, _ = counted(vm, lambda: tracker.clear_dirty_log(0, 0, 64, out[:1]))
    cleared = dict.fromkeys(("pages_rearmed", "rmap_steps"), 3)
    assert host == {"bitmap_words_read": 1, "words_taken": 1, "flushes": 1} | cleared
    tracker.clear_dirty_log(0, 64, N - 64, out[1:])
    vm.store([1, 70], STAMP)
    host, _ = counted(vm, lambda: tracker.copy_dirty_log(0, out))
    assert host == _READ  # what was cleared is not reported twice


def test_a_full_log_matters_to_no_store_that_finds_c_set():
    vm, _ = build("pml:2", N)
    vm.store([1, 2], STAMP)
    flush_tlbs(vm.machine, 0)
    assert counted(vm, lambda: vm.store([1, 2], STAMP)) == ({}, {"stores": 2, "tlb_misses": 2})


def test_a_store_that_opens_a_group_is_counted_with_all_its_pages():
    vm, tracker = build("dbm_hybrid:10", N)
    _, guest = counted(vm, lambda: vm.store([15], STAMP))
    opened = {"groups_opened": 1, "pages_opened": 10, "rmap_steps": 10, "changed_bits_set": 1}
    assert guest == opened | {"stores": 1, "tlb_misses": 2, "write_faults": 1, "tlbies": 1}
    assert counted(vm, lambda: vm.store([10, 19], STAMP)) == (
        {},
        {"stores": 2, "tlb_misses": 2, "changed_bits_set": 2},
    )
    host, _ = counted(vm, lambda: harvest(tracker))
    assert (host["pages_scanned"], host["pages_cleared"]) == (10, 3)


def test_a_page_that_two_hptes_report_is_counted_once():
    vm, tracker = build_large("c_bit_scan", 16)
    vm.populate(0, view=VIEW_BASE)
    vm.store([0], STAMP, view=VIEW_LARGE)  # which reports pages 0 to 255
    vm.store([70, 300], STAMP)
    host, _ = counted(vm, lambda: harvest(tracker))
    assert host["pages_cleared"] == 2


def test_a_clean_page_of_two_hptes_is_scanned_and_not_counted_as_cleared():
    vm, tracker = build("c_bit_scan_pipelined", N)
    vm.load([3], view=VIEW_ALIAS)
    host, _ = counted(vm, lambda: harvest(tracker))
    assert host == {"pages_passed": N - 1, "pages_scanned": 1, "rmap_steps": 2}


def test_a_harvest_that_makes_nothing_absent_waits_for_no_tlb():
    vm, tracker = build("adaptive", N, delayed_c=True)
    host, _ = counted(vm, lambda: harvest(tracker))
    assert "shared_waits" not in host


def test_the_hardware_logs_no_page_of_a_slot_that_is_not_logged_so():
    vm, _ = build("pml", N, guest_pages=2 * N)
    vm.populate(vm.add_memslot(N, N))
    _, guest = counted(vm, lambda: vm.store([1, N + 1], STAMP))
    assert (guest["log_pushes"], guest["changed_bits_set"]) == (1, 2)


def test_a_full_log_is_counted_as_an_exit():
    vm, _ = build("pml:2", N)
    host, guest = counted(vm, lambda: vm.store([1, 2, 3], STAMP))
    assert (host, guest["log_pushes"], guest["log_exits"]) == ({}, 3, 1)
    vm, tracker = build("dirty_ring:66", N)
    host, guest = counted(vm, lambda: vm.store([1], STAMP))
    assert (host, guest["log_pushes"], guest.get("log_exits", 0)) == ({}, 1, 0)
    host, guest = counted(vm, lambda: vm.store([2, 3], STAMP))
    # Each fills the ring, which is reaped at once: its own page is read-only again, comes twice.
    assert (host, guest["log_pushes"], guest["log_exits"]) == ({}, 4, 2)
    assert harvest(tracker) == {1, 2, 3}


def test_what_the_host_stores_for_a_vcpu_makes_it_leave_only_if_its_ring_is_full():
    vm, _ = build("dirty_ring:66", N)
    for gfn, exits in ((1, 0), (2, 1)):
        _, guest = counted(vm, lambda gfn=gfn: host_store(vm.machine, 0, gfn, np.uint64(STAMP)))
        assert (guest["log_pushes"], guest.get("log_exits", 0)) == (1, exits)
