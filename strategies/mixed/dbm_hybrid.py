"""Let one write fault open a group of pages, and scan the changed bits of open pages alone."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.changed import IN_PLACE, scan_slot, test_clear_dirty
from strategies.core.clock import monotonic_ns
from strategies.core.events import (
    BITMAP_WORDS_READ,
    PAGES_CLEARED,
    PAGES_SCANNED,
    WORDS_TAKEN,
    count,
)
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_GROUPS, SLOT_BASE_GFN, SLOT_GROUP, SLOT_WORDS
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    clear_log,
    report_pages,
    slot_field,
)
from strategies.core.protect import READONLY, start_logging, stop_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ONE, U64, ZERO, ctz, popcount


@kernel
def _start(machine, slot, group_pages, out):
    """Protect all pages of a slot, no group being open, then clear what C they have from before.

    Pages that open meanwhile may lose their C, too: who enables logging copies them afterwards.
    """
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_GROUP, U64(group_pages))
    start_logging(machine, slot, LOG_GROUPS, READONLY)
    scan_slot(machine, slot, out, IN_PLACE)
    flush_tlbs(machine, machine.nvcpus)


@inlined
def _take_marks(machine, slot, number, out):
    """Report what the host's own stores have marked in a word of the bitmap that is not 0."""
    count(machine, machine.nvcpus, WORDS_TAKEN, 1)
    mask = atomics.exchange(machine.bitmap, bitmap_start(machine, slot, 0) + number, ZERO)
    atomics.store_own(out, number, atomics.load_own(out, number) | mask)


@inlined
def _scan_open(machine, slot, number, mask, out):
    """Clear C of the open pages that a word names and report the written; return how many."""
    count(machine, machine.nvcpus, PAGES_SCANNED, popcount(mask))
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    cleared = 0
    while mask:
        page = number * PAGES_PER_WORD + ctz(mask)
        npages = test_clear_dirty(machine, base + page, IN_PLACE)
        if npages:
            cleared += report_pages(out, page, npages)
        mask &= mask - ONE
    count(machine, machine.nvcpus, PAGES_CLEARED, cleared)
    return cleared


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Take the marks, clear C of open pages in place, flush once; return nanoseconds.

    Where TLBs keep C back, one more flush before the first page makes them pay. Marks come after
    the scan, which counts what it reports first: without a flush for a page that was marked, too, a
    TLB would keep its C.
    """
    start = monotonic_ns()
    clear_log(out, words)
    if machine.delayed_c:
        flush_tlbs(machine, machine.nvcpus)
    bitmap, is_open = bitmap_start(machine, slot, 0), bitmap_start(machine, slot, 1)
    cleared = 0
    for word in range(words):
        mask = atomics.load(machine.bitmap, is_open + word)
        if mask:
            cleared += _scan_open(machine, slot, word, mask, out)
        if atomics.load(machine.bitmap, bitmap + word):
            _take_marks(machine, slot, word, out)
    if cleared:
        flush_tlbs(machine, machine.nvcpus)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, 2 * words)
    return monotonic_ns() - start


class DbmHybrid(DirtyTracker):
    """Start write-protected; the first fault in a group of pages opens all of it, and C tells then.

    After the arm64 series of Kolothum (RFC, 2023, not merged), in which a fault turns on hardware
    dirty state (DBM) for about 64 pages around the one written, and a harvest scans only those.
    No mainline kernel has it. Here groups lie side by side in the slot, and an open one stays open
    until logging stops: the scan never shrinks. `core/groups` says which orders keep it from losing
    a page.

    C is cleared in place and one flush ends the harvest, as `c_bit_scan_batched` does where a
    store sets C at once. Where a TLB may keep C back (`Vm(delayed_c=True)`) one more flush comes
    first, so that a harvest with no vCPU running is definitive. What the host itself writes is
    marked in a bitmap. Large pages report every page they cover.

    Its parameter is the number of pages that one fault opens.
    """

    name = "dbm_hybrid"
    bitmaps = 2

    def _enable(self, slot):
        before = self.buffer(slot)  # what was written before is not reported
        _start(self.vm.machine, slot, self.value, atomics.address_of(before))

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)
