"""Write-protect with two summaries above the bitmap, and a log that can be read as a list."""

import numpy as np

from strategies.base import SparseTracker
from strategies.core import atomics
from strategies.core.changed import fetch_page
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, WORDS_TAKEN, count
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_SUMMARY, SLOT_BASE_GFN
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    clear_log,
    slot_field,
    summary_start,
)
from strategies.core.protect import READONLY, change_dirty_pages, start_logging, stop_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.vm import summary_words
from strategies.core.words import I64, ONE, U64, ZERO, ctz

AHEAD = 8
"""Words of a list by which `arm_words` fetches HPTEs ahead, and by twice as many rmap words."""

MIDDLES = PAGES_PER_WORD
"""Words of the first summary that are taken at once for a bitmap: as many as one above names."""


@kernel
def _start(machine, slot):
    """Start an empty log: no fault handler is left that marks the summaries of an older one."""
    for word in range(summary_start(machine, slot, 1), summary_start(machine, slot, 3)):
        atomics.store(machine.bitmap, word, ZERO)
    start_logging(machine, slot, LOG_SUMMARY, READONLY)


@inlined
def places(machine, slot):
    """Return how many words the second summary has."""
    return summary_start(machine, slot, 3) - summary_start(machine, slot, 2)


@inlined
def _take(machine, word):
    """Return a word of the bitmap or of a summary, which is 0 from then on."""
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, 1)
    mask = atomics.load(machine.bitmap, word)
    return atomics.exchange(machine.bitmap, word, ZERO) if mask else mask


@inlined
def _put_back(machine, word, mask):
    """Set bits of a summary again; those below them are set already."""
    if mask:
        atomics.fetch_or(machine.bitmap, word, mask)


@inlined
def _list_bits(machine, word, bits, below, numbers, listed, room):
    """List which words of the level below, from word `below` on, a word's bits name; fetch them.

    Returns the bits that found no room, and how many words are listed.
    """
    while bits and listed < room:
        number = word * PAGES_PER_WORD + ctz(bits)
        atomics.prefetch(machine.bitmap, below + number)
        atomics.store_own(numbers, listed, U64(number))
        listed += 1
        bits &= bits - ONE
    return bits, listed


@inlined
def _list_middles(machine, slot, place, middles, room):
    """Take words of the second summary from `place` on; list what they name, and fetch it.

    Returns how many are listed, and the first place that may have more.
    """
    first, second = summary_start(machine, slot, 1), summary_start(machine, slot, 2)
    end = places(machine, slot)
    listed = 0
    while place < end and listed < room:
        bits = _take(machine, second + place)
        bits, listed = _list_bits(machine, place, bits, first, middles, listed, room)
        _put_back(machine, second + place, bits)
        place += 0 if bits else 1
    return listed, place


@inlined
def _list_words(machine, slot, middles, listed, numbers, room, rest):
    """Take those words of the first summary; list what they name, and fetch it.

    Returns how many are listed, and the first place that may have more: at most `rest`.
    """
    bitmap = bitmap_start(machine, slot, 0)
    first, second = summary_start(machine, slot, 1), summary_start(machine, slot, 2)
    named = 0
    for k in range(listed):
        middle = I64(atomics.load_own(middles, k))
        bits = _take(machine, first + middle)
        bits, named = _list_bits(machine, middle, bits, bitmap, numbers, named, room)
        if bits:
            place = middle // PAGES_PER_WORD
            _put_back(machine, first + middle, bits)
            _put_back(machine, second + place, ONE << U64(middle % PAGES_PER_WORD))
            rest = min(rest, place)
    return named, rest


@inlined
def _take_words(machine, slot, numbers, masks, named):
    """Take those words of the bitmap; return how many are not 0, and are left in the list."""
    bitmap = bitmap_start(machine, slot, 0)
    found = 0
    for k in range(named):
        number = atomics.load_own(numbers, k)
        mask = _take(machine, bitmap + I64(number))
        if mask:
            atomics.store_own(numbers, found, number)
            atomics.store_own(masks, found, mask)
            found += 1
    count(machine, machine.nvcpus, WORDS_TAKEN, found)
    return found


@inlined
def find_words(machine, slot, place, numbers, masks, middles, room):
    """Take the log from a word of the second summary on, level by level, to a list.

    Parameters
    ----------
    middles, room : int
        Words of the first summary and of the bitmap that there is room for; the list has `room`,
        which is not less. What finds no room stays in the log.

    Returns
    -------
    found : int
        Words in the list.
    place : int
        The first word of the second summary that may have more.
    """
    listed, rest = _list_middles(machine, slot, place, masks, middles)
    named, rest = _list_words(machine, slot, masks, listed, numbers, room, rest)
    return _take_words(machine, slot, numbers, masks, named), rest


@inlined
def _first_page(numbers, masks, k):
    """Return the first page that a word of a list names."""
    return I64(atomics.load_own(numbers, k)) * PAGES_PER_WORD + ctz(atomics.load_own(masks, k))


@kernel
def arm_words(machine, slot, numbers, masks, found):
    """Make the pages of a list that was taken read-only; a flush of the TLBs must follow."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for k in range(found):
        far, near = min(k + 2 * AHEAD, found - 1), min(k + AHEAD, found - 1)
        atomics.prefetch(machine.rmap, base + _first_page(numbers, masks, far))
        fetch_page(machine, base + _first_page(numbers, masks, near))
        number, mask = I64(atomics.load_own(numbers, k)), atomics.load_own(masks, k)
        change_dirty_pages(machine, slot, number, mask, READONLY)


@inlined
def copy_words(numbers, masks, found, out):
    """Set the bits of a list in the caller's bitmap."""
    for k in range(found):
        number = I64(atomics.load_own(numbers, k))
        mask = atomics.load_own(out, number) | atomics.load_own(masks, k)
        atomics.store_own(out, number, mask)


@kernel
def _harvest(machine, slot, out, words, numbers, masks):
    """Write the whole bitmap by lists of MIDDLES * 64 words; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    is_dirty = False
    place, end = 0, places(machine, slot)
    while place < end:
        found, place = find_words(
            machine, slot, place, numbers, masks, MIDDLES, MIDDLES * PAGES_PER_WORD
        )
        arm_words(machine, slot, numbers, masks, found)
        copy_words(numbers, masks, found, out)
        is_dirty |= found > 0
    if is_dirty:
        flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


@kernel
def _harvest_list(machine, slot, numbers, masks, room):
    """Write a list of words; return how many, whether there may be more, and nanoseconds."""
    start = monotonic_ns()
    found, rest = find_words(machine, slot, 0, numbers, masks, room, room)
    if found:
        arm_words(machine, slot, numbers, masks, found)
        flush_tlbs(machine, machine.nvcpus)
    return found, rest < places(machine, slot), monotonic_ns() - start


class WriteProtectSummary(SparseTracker):
    """As write_protect_batched, but what is clean is not looked at.

    Above the bitmap are two summaries: a bit for each word of 64 pages, and a bit for each 64 of
    those. A fault handler sets them from below, each after the one under it, and a harvest takes
    them from above: what it passes over is found by the next one. `get_dirty_words` gives the words
    that are not 0 as a list, for to clear and copy a bitmap takes the longer, the larger a slot is.

    A harvest finds, then arms, then flushes: it takes all that it will report, level by level, then
    makes these pages read-only, then flushes once. KVM arms each word's pages before it takes the
    next word; what must come in order is the same. A page that is writable, or may be so in a TLB,
    has its mark, or is in the list of a harvest that has yet to flush.

    - A store through such a translation, after the page's mark was taken: the page is in the list,
      and who copies it does so after the flush, which waits for the store.
    - One that faults because the page was armed marks it anew, after the old mark was taken: it is
      in the next list.
    - One whose handler marked the page before the mark was taken, and then makes it writable: the
      handler holds the HPTE lock between the two, for which arming waits.

    The longer a page waits to be armed, the more stores to it fall under the first. To arm before
    taking is what loses one: the fault's new mark goes with the old, and the page stays writable.

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
        numbers, masks = np.empty((2, MIDDLES * PAGES_PER_WORD), "<u8")
        lists = (atomics.address_of(numbers), atomics.address_of(masks))
        return _harvest(self.vm.machine, slot, atomics.address_of(out), out.size, *lists)

    def _harvest_words(self, slot, numbers, masks):
        lists = (atomics.address_of(numbers), atomics.address_of(masks))
        return _harvest_list(self.vm.machine, slot, *lists, numbers.size)
