"""Memory slots, their bitmaps, the memory of the tables, and the rows of the counters."""

import mmap

import numpy as np
import pytest
from conftest import STAMP, build, changes, enter, harvest, hpte_of, read, remove

from strategies.contract.bench import EXACT
from strategies.core import events
from strategies.core.machine import (
    HPTE_BYTES,
    SLOT_ACTIVE,
    SLOT_BITMAP,
    SLOT_DIRTY,
    SLOT_WORDS,
    TLB_WORDS,
    VCPU_WORDS,
)
from strategies.core.memory import HUGE_PAGE_BYTES, zeros
from strategies.core.memslot import slot_of_gfn
from strategies.core.vm import Vm, bitmap_words

LINE_WORDS = 8


def row(vm, slot=0):
    return vm.arrays.slots[slot * SLOT_WORDS : (slot + 1) * SLOT_WORDS]


def test_slot_of_gfn():
    vm = Vm(100)
    for base, npages in ((10, 20), (30, 1), (40, 60)):
        vm.add_memslot(base, npages)
    got = [slot_of_gfn(vm.machine, gfn) for gfn in (0, 9, 10, 29, 30, 31, 39, 40, 99, 100)]
    assert got == [-1, -1, 0, 0, 1, -1, -1, 2, 2, -1]


@pytest.mark.parametrize(
    ("npages", "words"), [(1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (4099, 65)]
)
def test_bitmap_words(npages, words):
    assert bitmap_words(npages) == words


def test_mark_sets_a_bit_and_counts_it_once():
    vm, _ = build("write_protect", 130, base_gfn=7)
    for gfn in (7, 7 + 63, 7 + 64, 7 + 129, 7):
        vm.host_store(gfn, STAMP)
    assert vm.arrays.bitmap[:3].tolist() == [1 | 1 << 63, 1, 2]
    assert row(vm)[SLOT_DIRTY] == 4
    assert vm.events()["host_stores"] == 5


def test_marks_of_a_slot_stay_in_its_words():
    vm, tracker = build("write_protect", 65, guest_pages=200)
    other = vm.add_memslot(65, 64)
    tracker.enable_logging(other)
    vm.host_store(64, STAMP)
    vm.host_store(65, STAMP)
    first, second = (int(row(vm, slot)[SLOT_BITMAP]) for slot in (0, other))
    assert np.flatnonzero(vm.arrays.bitmap).tolist() == [first + 1, second]
    assert vm.arrays.bitmap[[first + 1, second]].tolist() == [1, 1]


def test_double_buffer_marks_its_halves_in_turn():
    vm, tracker = build("double_buffer", 64)
    for half in (0, 1, 0):
        vm.host_store(5, STAMP)
        assert row(vm)[SLOT_ACTIVE] == half
        assert row(vm)[SLOT_DIRTY : SLOT_DIRTY + 2].tolist() == [1 - half, half]
        assert vm.arrays.bitmap[half] == 32
        tracker.get_dirty_log(0, tracker.buffer(0))
        assert not vm.arrays.bitmap.any()
        assert not row(vm)[SLOT_DIRTY : SLOT_DIRTY + 2].any()


def test_a_marked_page_is_entered_read_only_all_the_same():
    """In the second half, too: there a bit lets H_ENTER permit stores where pages are opened."""
    vm, tracker = build("double_buffer", 64)
    for stamp in range(2):
        vm.store([5], stamp)
        index = hpte_of(vm, 5)
        v, r = read(vm, index)
        assert remove(vm, index)[0] == 0
        assert enter(vm, index, v, r, EXACT)[0] == 0
        before = vm.events()
        vm.store([5], STAMP)
        assert changes(vm, before)["write_faults"] == 1
        assert harvest(tracker) == {5}


def test_nothing_is_marked_while_nothing_is_logged():
    vm, _ = build("write_protect", 64, enabled=False)
    vm.host_store(5, STAMP)
    vm.store([6], STAMP)
    assert not vm.arrays.bitmap.any()


@pytest.mark.parametrize("count", [1, 511, 512, 513, 2 * HUGE_PAGE_BYTES // 8])
def test_memory_is_zero_and_aligned(count):
    words = zeros(count)
    assert words.size == count
    assert words.dtype == "uint64"
    assert words.flags.writeable
    assert words.ctypes.data % mmap.PAGESIZE == 0
    assert not words.any()


def test_rows_of_threads_share_no_cache_line():
    assert events.ROW % LINE_WORDS == VCPU_WORDS % LINE_WORDS == SLOT_WORDS % LINE_WORDS == 0
    assert len(events.NAMES) <= events.ROW
    assert LINE_WORDS % TLB_WORDS == 0


def test_hpt_and_revmap_have_16_bytes_for_each_hpte():
    vm = Vm(1, hpt_order=20)
    assert vm.arrays.hpt.nbytes == vm.arrays.rev.nbytes == 1 << 20
    assert vm.arrays.hpt.size // 2 == (1 << 20) // HPTE_BYTES


def test_events_are_counted_where_they_happen():
    vm, tracker = build("write_protect", 100, vcpus=3)
    vm.store([1, 2, 1, 2], STAMP, vcpu=1, vcpus=2)
    vm.load([3], vcpu=0)
    tracker.get_dirty_log(0, tracker.buffer(0))
    rows = vm.arrays.events.reshape(-1, events.ROW)
    assert rows[:, events.STORES].tolist() == [0, 2, 2, 0]
    assert rows[:, events.LOADS].tolist() == [1, 0, 0, 0]
    assert rows[:, events.WRITE_FAULTS].tolist() == [0, 1, 1, 0]
    assert rows[:, events.TLBIES].tolist() == [0, 1, 1, 2]  # a fault on a valid HPTE has one
    assert vm.events()["stores"] == 4


def test_events_have_a_name_for_each_column():
    columns = [value for name, value in vars(events).items() if name.lower() in events.NAMES]
    assert sorted(columns) == list(range(len(events.NAMES)))
    assert all(getattr(events, name.upper()) == k for k, name in enumerate(events.NAMES))
