"""Write-protect with two summaries above the bitmap, and a log that can be read as a list."""

from strategies.base import SparseTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, WORDS_TAKEN, count
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_SUMMARY
from strategies.core.memslot import PAGES_PER_WORD, bitmap_start, clear_log, summary_start
from strategies.core.protect import READONLY, change_dirty_pages, start_logging, stop_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.vm import summary_words
from strategies.core.words import ONE, U64, ZERO, ctz


@kernel
def _start(machine, slot):
    """Start an empty log: no fault handler is left that marks the summaries of an older one."""
    for word in range(summary_start(machine, slot, 1), summary_start(machine, slot, 3)):
        atomics.store(machine.bitmap, word, ZERO)
    start_logging(machine, slot, LOG_SUMMARY, READONLY)


@inlined
def _take(machine, word):
    """Return a word of the bitmap or of a summary, which is 0 from then on."""
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, 1)
    mask = atomics.load(machine.bitmap, word)
    return atomics.exchange(machine.bitmap, word, ZERO) if mask else mask


@inlined
def _take_pages(machine, slot, number):
    """Take a word of the bitmap and make its pages read-only; return it."""
    mask = _take(machine, bitmap_start(machine, slot, 0) + number)
    if mask:
        count(machine, machine.nvcpus, WORDS_TAKEN, 1)
        change_dirty_pages(machine, slot, number, mask, READONLY)
    return mask


@inlined
def _take_below(machine, slot, middle, reply, found):
    """Take what a word of the first summary names; return words found, and what is left of it."""
    is_list, numbers, masks, room = reply
    bits = _take(machine, summary_start(machine, slot, 1) + middle)
    while bits and found < room:
        number = middle * PAGES_PER_WORD + ctz(bits)
        mask = _take_pages(machine, slot, number)
        if mask:
            if is_list:
                atomics.store_own(numbers, found, U64(number))
            atomics.store_own(masks, found if is_list else number, mask)
            found += 1
        bits &= bits - ONE
    return found, bits


@inlined
def _put_back(machine, word, mask):
    """Set bits of a summary again; those below them are set already."""
    if mask:
        atomics.fetch_or(machine.bitmap, word, mask)


@inlined
def _get_dirty_log(machine, slot, reply):
    """Take the summaries from above, the words that they name, flush once; return words found.

    Parameters
    ----------
    reply : tuple
        Whether it is a list, its numbers, its masks (or the caller's whole bitmap), and how many
        words there is room for; what finds no room stays in the log.
    """
    _, _, _, room = reply
    first, top = summary_start(machine, slot, 1), summary_start(machine, slot, 2)
    found = 0
    for place in range(summary_start(machine, slot, 3) - top):
        middles = _take(machine, top + place)
        while middles and found < room:
            middle = place * PAGES_PER_WORD + ctz(middles)
            found, left = _take_below(machine, slot, middle, reply, found)
            _put_back(machine, first + middle, left)
            middles &= middles - (ZERO if left else ONE)
        _put_back(machine, top + place, middles)
    if found:
        flush_tlbs(machine, machine.nvcpus)
    return found


@kernel
def _harvest(machine, slot, out, words):
    """Write the whole bitmap; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    _get_dirty_log(machine, slot, (False, out, out, words + 1))
    return monotonic_ns() - start


@kernel
def _harvest_list(machine, slot, numbers, masks, room):
    """Write a list of words; return how many, and nanoseconds."""
    start = monotonic_ns()
    found = _get_dirty_log(machine, slot, (True, numbers, masks, room))
    return found, monotonic_ns() - start


class WriteProtectSummary(SparseTracker):
    """As write_protect_batched, but what is clean is not looked at.

    Above the bitmap are two summaries: a bit for each word of 64 pages, and a bit for each 64 of
    those. A fault handler sets them from below, each after the one under it, and a harvest takes
    them from above: what it passes over is found by the next one. `get_dirty_words` gives the words
    that are not 0 as a list, for to clear and copy a bitmap takes the longer, the larger a slot is.

    No kernel has it: KVM's KVM_GET_DIRTY_LOG copies a bitmap. The dirty ring is the list that
    kernels have.
    """

    name = "write_protect_summary"
    bitmaps = 1

    @property
    def state_bytes(self):
        """Bytes of the bitmaps and of the summaries of logging slots."""
        pages = (npages for slot, (_, npages) in enumerate(self.vm.slots) if self._logs(slot))
        return super().state_bytes + sum(8 * summary_words(npages) for npages in pages)

    def _enable(self, slot):
        _start(self.vm.machine, slot)

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _harvest(self.vm.machine, slot, atomics.address_of(out), out.size)

    def _harvest_words(self, slot, numbers, masks):
        places = (atomics.address_of(numbers), atomics.address_of(masks))
        return _harvest_list(self.vm.machine, slot, *places, numbers.size)
