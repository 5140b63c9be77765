"""Write-protect in two steps: copy the log, and protect pages in chunks before they are sent."""

from strategies.base import ManualTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, PAGES_REPORTED_TWICE, WORDS_TAKEN, count
from strategies.core.handlers import wait_for_handlers
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_WRITE_PROTECT, SLOT_ACTIVE, SLOT_WORDS
from strategies.core.memslot import PAGES_PER_WORD, bitmap_start, set_log_mode
from strategies.core.protect import READONLY, change_dirty_pages, start_logging, stop_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ONE, U64, ZERO, popcount


@inlined
def _copy(machine, slot, out, words):
    """Copy the bitmap and clear nothing; the other half keeps what was reported and not cleared."""
    bitmap, reported = bitmap_start(machine, slot, 0), bitmap_start(machine, slot, 1)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        atomics.store_own(out, word, mask)
        if mask:
            before = atomics.load(machine.bitmap, reported + word)
            count(machine, machine.nvcpus, PAGES_REPORTED_TWICE, popcount(mask & before))
            atomics.store(machine.bitmap, reported + word, mask)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)


@inlined
def _clear(machine, slot, first, words, bits, offset):
    """Take those of the caller's bits that are set, protect their pages, flush once if any.

    Parameters
    ----------
    first, words : int
        The range, in words of the slot's bitmap.
    bits, offset : words, int
        The caller's bits: word `offset + k` is of word `first + k`.
    """
    bitmap = bitmap_start(machine, slot, 0) + first
    reported = bitmap_start(machine, slot, 1) + first
    is_dirty = False
    for word in range(words):
        mask = atomics.load_own(bits, offset + word)
        if mask:
            mask &= atomics.fetch_and(machine.bitmap, bitmap + word, ~mask)
            atomics.fetch_and(machine.bitmap, reported + word, ~mask)
        if mask:
            is_dirty = True
            count(machine, machine.nvcpus, WORDS_TAKEN, 1)
            change_dirty_pages(machine, slot, first + word, mask, READONLY)
    if is_dirty:
        flush_tlbs(machine, machine.nvcpus)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)


@kernel
def _copy_dirty_log(machine, slot, out, words):
    """Copy; return nanoseconds."""
    start = monotonic_ns()
    _copy(machine, slot, out, words)
    return monotonic_ns() - start


@kernel
def _clear_dirty_log(machine, slot, first, words, bits):
    """Clear a range; return nanoseconds."""
    start = monotonic_ns()
    _clear(machine, slot, first, words, bits, 0)
    return monotonic_ns() - start


@kernel
def _get_dirty_log(machine, slot, out, words, chunk):
    """Copy, then clear what the copy has, chunk by chunk; return nanoseconds."""
    start = monotonic_ns()
    _copy(machine, slot, out, words)
    for first in range(0, words, chunk):
        _clear(machine, slot, first, min(chunk, words - first), out, first)
    return monotonic_ns() - start


@kernel
def _start_all_set(machine, slot, npages):
    """Set all bits and walk nothing: the first clear of a page protects it."""
    bitmap, reported = bitmap_start(machine, slot, 0), bitmap_start(machine, slot, 1)
    words = reported - bitmap
    for word in range(words):
        atomics.store(machine.bitmap, bitmap + word, ~ZERO)
        atomics.store(machine.bitmap, reported + word, ZERO)
    if npages % PAGES_PER_WORD:
        last = (ONE << U64(npages % PAGES_PER_WORD)) - ONE
        atomics.store(machine.bitmap, bitmap + words - 1, last)
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_ACTIVE, ZERO)
    set_log_mode(machine, slot, LOG_WRITE_PROTECT)
    wait_for_handlers(machine)


class ManualProtect(ManualTracker):
    """As write_protect_batched, but reading the log and clearing it are two calls.

    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 (2a31b9db1535; its second form in Linux 5.2), which QEMU uses
    where the kernel offers it: KVM_GET_DIRTY_LOG copies the bitmap, and KVM_CLEAR_DIRTY_LOG
    protects the pages of a chunk just before they are sent. A page that is written again before its
    clear is not reported a second time for that; a page whose clear comes after the next copy is,
    and is counted (`pages_reported_twice`).

    `get_dirty_log` does both in turn, so that it keeps the promise of every tracker. Its parameter
    is the pages of a chunk; QEMU's is 2**18 by default (x-clear-bitmap-shift).
    """

    name = "manual_protect"
    bitmaps = 2

    def _enable(self, slot):
        start_logging(self.vm.machine, slot, LOG_WRITE_PROTECT, READONLY)

    def _enable_all_set(self, slot):
        _start_all_set(self.vm.machine, slot, self.vm.slots[slot][1])

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        chunk = self.value // PAGES_PER_WORD
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size, chunk)

    def _copy(self, slot, out):
        return _copy_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)

    def _clear(self, slot, first, bits):
        machine = self.vm.machine
        return _clear_dirty_log(machine, slot, first, bits.size, atomics.address_of(bits))
