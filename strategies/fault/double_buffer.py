"""Two bitmaps, switched at each harvest: x86 as the thread knew it (v3.3)."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, GRACE_PERIODS, WORDS_TAKEN, count
from strategies.core.handlers import wait_for_handlers
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_WRITE_PROTECT, SLOT_ACTIVE, SLOT_DIRTY, SLOT_WORDS
from strategies.core.memslot import bitmap_start, clear_log, slot_field
from strategies.core.protect import READONLY, change_dirty_pages, start_logging, stop_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.words import U64, ZERO


@inlined
def _hand_over(machine, slot, half, out, words):
    """Protect the pages of a half that nobody marks any more, copy it out, leave it clear."""
    bitmap = bitmap_start(machine, slot, half)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        if mask:
            count(machine, machine.nvcpus, WORDS_TAKEN, 1)
            atomics.store(machine.bitmap, bitmap + word, ZERO)
            change_dirty_pages(machine, slot, word, mask, READONLY)
            atomics.store_own(out, word, mask)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY + half, ZERO)


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Switch halves, wait out the grace period, protect, flush once; return nanoseconds.

    A count of 0 needs no look at bitmap or page table. One word says which half is active, so
    that bitmap and count switch together; the other half and its count are clear by then.
    """
    start = monotonic_ns()
    clear_log(out, words)
    half = slot_field(machine, slot, SLOT_ACTIVE)
    if slot_field(machine, slot, SLOT_DIRTY + half):
        atomics.exchange(machine.slots, slot * SLOT_WORDS + SLOT_ACTIVE, U64(1 - half))
        wait_for_handlers(machine)
        count(machine, machine.nvcpus, GRACE_PERIODS, 1)
        _hand_over(machine, slot, half, out, words)
        flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


class DoubleBuffer(DirtyTracker):
    """As write_protect_batched, with two bitmaps and a count of dirty pages for each.

    A clean slot is known by its count alone. Instead of an atomic exchange for each word the
    harvest switches bitmaps and waits until every fault handler that may have seen the old one has
    left (synchronize_srcu_expedited in x86). x86 also went through all shadow pages of the slot
    where no fewer pages were dirty than it had shadow pages (95d4c16ce78c); that has no counterpart
    here, an HPTE being reached only through its rmap.
    """

    name = "double_buffer"
    bitmaps = 2

    def _enable(self, slot):
        start_logging(self.vm.machine, slot, LOG_WRITE_PROTECT, READONLY)

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)
