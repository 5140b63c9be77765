"""How pages become cold: their bits go, then the permission, then a flush, then C is looked at.

Where TLBs keep C back, HPTEs are absent meanwhile, and read-only when they are valid again.
"""

from strategies.core import atomics
from strategies.core.changed import (
    ABSENT_FLUSHED,
    ABSENT_WRITABLE,
    FINISH,
    FINISH_COLD,
    IN_PLACE,
    is_clean,
    test_clear_dirty,
)
from strategies.core.events import (
    BITMAP_WORDS_READ,
    PAGES_CLEARED,
    PAGES_FLUSHED,
    PAGES_REARMED,
    count,
)
from strategies.core.groups import is_open
from strategies.core.heat import COOL_TLBIE, IS_FLUSHED, known, learn, spared_by_flush, word_bit
from strategies.core.jit import kernel
from strategies.core.machine import LOG_HEAT, SLOT_BASE_GFN
from strategies.core.memslot import PAGES_PER_WORD, bitmap_start, report_pages, slot_field
from strategies.core.protect import READONLY, change_page
from strategies.core.words import I64, ONE, ZERO, ctz, popcount
from strategies.mixed.patience import is_warm, note_written


@kernel
def take(machine, gfn, action):
    """Do as `test_clear_dirty`, compiled once for all actions."""
    return test_clear_dirty(machine, gfn, action)


@kernel
def report(machine, slot, heat, out, page, npages):
    """Report pages of which the first was found written; return as `note_written`."""
    count(machine, machine.nvcpus, PAGES_CLEARED, 1)
    report_pages(out, page, npages)
    return note_written(machine, heat, slot_field(machine, slot, SLOT_BASE_GFN) + page)


@kernel
def cool_word(machine, slot, heat, number, mask, out, seen):
    """Make pages that a word names cold: their bits go first, then the permission.

    What stores still come through a translation is found by the second look, after the flush.
    """
    word = bitmap_start(machine, slot, 1) + number
    atomics.fetch_and(machine.bitmap, word, ~mask)
    atomics.store_own(seen, number, atomics.load_own(seen, number) | mask)
    is_flushed = known(machine, heat, IS_FLUSHED)
    count(machine, machine.nvcpus, PAGES_REARMED, popcount(mask))
    count(machine, machine.nvcpus, PAGES_FLUSHED, is_flushed * popcount(mask))
    action = ABSENT_FLUSHED if is_flushed else ABSENT_WRITABLE
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    while mask:
        page = number * PAGES_PER_WORD + ctz(mask)
        mask &= mask - ONE
        if machine.delayed_c:
            npages = take(machine, base + page, action)
            if npages:
                report(machine, slot, heat, out, page, npages)
        else:
            change_page(machine, machine.nvcpus, base + page, READONLY)


@kernel
def _old_pages(machine, slot, heat, number, mask):
    """Return which of the pages that a word names are no longer warm."""
    base = slot_field(machine, slot, SLOT_BASE_GFN) + number * PAGES_PER_WORD
    old, rest = ZERO, mask
    while rest:
        if not is_warm(machine, heat, base + ctz(rest)):
            old |= rest & (~rest + ONE)
        rest &= rest - ONE
    return old


@kernel
def _count_old(machine, slot, heat, first, words):
    """Return how many hot pages are no longer warm, of words of the bitmap as in `cool_group`."""
    start = bitmap_start(machine, slot, 1)
    old = I64(0)
    while words:
        number = first + ctz(words)
        words &= words - ONE
        mask = atomics.load(machine.bitmap, start + number)
        old += popcount(_old_pages(machine, slot, heat, number, mask))
    return old


@kernel
def cool_group(machine, slot, heat, first, words, out, seen):
    """Make those pages cold that are no longer warm, of the words of the bitmap from `first` on.

    Where a flush costs less than their tlbies, it stands for those of all that this harvest cools
    from now on.
    """
    start = bitmap_start(machine, slot, 1)
    if known(machine, heat, COOL_TLBIE) > 0:
        old = _count_old(machine, slot, heat, first, words)
        if spared_by_flush(machine, heat, old) > 0:
            learn(machine, heat, IS_FLUSHED, 1)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, popcount(words))
    while words:
        number = first + ctz(words)
        words &= words - ONE
        mask = atomics.load(machine.bitmap, start + number)
        cold = _old_pages(machine, slot, heat, number, mask)
        if cold:
            cool_word(machine, slot, heat, number, cold, out, seen)
        if cold == mask:
            drop_word(machine, slot, number)


@kernel
def drop_word(machine, slot, number):
    """Take away the bit of a word with no hot page; one heated meanwhile brings it back."""
    at, mask = word_bit(machine, slot, number)
    atomics.fetch_and(machine.heat, at, ~mask)
    if atomics.load(machine.bitmap, bitmap_start(machine, slot, 1) + number):
        atomics.fetch_or(machine.heat, at, mask)


@kernel
def look_again(machine, slot, heat, out, seen, words):
    """Look at C of the pages that were cooled, once more; return how many had it.

    A store that was under way when its page became read-only may have set C after the first look.
    """
    found = I64(0)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for number in range(words):
        mask = atomics.load_own(seen, number)
        while mask:
            page = number * PAGES_PER_WORD + ctz(mask)
            mask &= mask - ONE
            if not is_clean(machine, base + page, IN_PLACE):
                npages = take(machine, base + page, IN_PLACE)
                if npages:
                    report(machine, slot, heat, out, page, npages)
                    found += 1
    return found


@kernel
def finish(machine, slot, heat, out, seen, words):
    """Make the HPTEs valid again that the harvest made absent: C clear, cold pages read-only."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for number in range(words):
        mask = atomics.load_own(seen, number)
        while mask:
            page = number * PAGES_PER_WORD + ctz(mask)
            mask &= mask - ONE
            is_hot = is_open(machine, slot, LOG_HEAT, base + page)
            action = FINISH if is_hot else FINISH_COLD
            npages = take(machine, base + page, action)
            if npages:
                report_pages(out, page, npages)
                note_written(machine, heat, base + page)
