"""Memory slots: which pages of the guest a log speaks of, and how a page is marked dirty."""

from strategies.core import atomics
from strategies.core.jit import inlined, kernel
from strategies.core.machine import (
    LOG_ABSENT,
    LOG_GROUPS,
    LOG_HEAT,
    LOG_RING,
    LOG_SUMMARY,
    LOG_WRITE_PROTECT,
    MAX_SLOTS,
    SLOT_ACTIVE,
    SLOT_BASE_GFN,
    SLOT_BITMAP,
    SLOT_BITMAP_WORDS,
    SLOT_DIRTY,
    SLOT_LOG_MODE,
    SLOT_NPAGES,
    SLOT_WORDS,
)
from strategies.core.words import I64, ONE, U64, ZERO

SLOT_COUNT = MAX_SLOTS * SLOT_WORDS
PAGES_PER_WORD = 64


@inlined
def slot_field(machine, slot, field):
    """Return a word of a slot's row as an index or count."""
    return I64(atomics.load(machine.slots, slot * SLOT_WORDS + field))


@inlined
def slot_of_gfn(machine, gfn):
    """Return the slot that holds a page (`gfn_to_memslot`), or -1."""
    for slot in range(I64(atomics.load(machine.slots, SLOT_COUNT))):
        offset = gfn - slot_field(machine, slot, SLOT_BASE_GFN)
        if 0 <= offset < slot_field(machine, slot, SLOT_NPAGES):
            return slot
    return -1


@inlined
def log_mode(machine, slot):
    """Return the logging mode of a slot (LOG_OFF ...)."""
    return slot_field(machine, slot, SLOT_LOG_MODE)


@inlined
def set_log_mode(machine, slot, mode):
    """Change the logging mode of a slot; whoever locks a page's rmap or HPTE later sees it."""
    atomics.exchange(machine.slots, slot * SLOT_WORDS + SLOT_LOG_MODE, U64(mode))


@inlined
def is_write_protected(mode):
    """Say whether pages are read-only under a logging mode until their first store faults."""
    return mode in (LOG_WRITE_PROTECT, LOG_RING, LOG_GROUPS, LOG_HEAT, LOG_SUMMARY)


@inlined
def logs_in_fault(mode):
    """Say whether the fault handler logs the page that it makes writable."""
    return mode in (LOG_WRITE_PROTECT, LOG_RING, LOG_ABSENT, LOG_SUMMARY)


@inlined
def bitmap_start(machine, slot, half):
    """Return the first word in `bitmap` of one half of a slot's bitmap."""
    words = slot_field(machine, slot, SLOT_BITMAP_WORDS)
    return slot_field(machine, slot, SLOT_BITMAP) + half * words


@inlined
def summary_start(machine, slot, level):
    """Return the first word in `bitmap` of a summary of half 0; of level 3, which is none, the end.

    Level 1 has a bit for each word of the bitmap, level 2 one for each word of level 1.
    """
    words = slot_field(machine, slot, SLOT_BITMAP_WORDS)
    start = bitmap_start(machine, slot, 2)
    while level > 1:
        words = (words + PAGES_PER_WORD - 1) // PAGES_PER_WORD
        start += words
        level -= 1
    return start


@inlined
def clear_log(out, words):
    """Set all words of the caller's buffer to 0."""
    for word in range(words):
        atomics.store_own(out, word, ZERO)


@kernel
def report_pages(out, first, npages):
    """Set the bits of pages from `first` on; not inlined, which keeps the scan's registers free.

    Returns whether the bit of `first` was not set before: 1 or 0.
    """
    is_new = not atomics.load_own(out, first // PAGES_PER_WORD) >> U64(first % PAGES_PER_WORD) & ONE
    for page in range(first, first + npages):
        word = page // PAGES_PER_WORD
        mask = atomics.load_own(out, word) | ONE << U64(page % PAGES_PER_WORD)
        atomics.store_own(out, word, mask)
    return I64(is_new)


@inlined
def mark_summaries(machine, slot, word):
    """Set the bits of a word of the bitmap in both summaries, after the page's own bit.

    A harvest takes them in the other order, so what it passes over has no bit above yet, and the
    next one finds it. Who finds a bit set looks at the one above all the same: whoever set it may
    not have come that far.
    """
    for level in range(1, 3):
        at = summary_start(machine, slot, level) + word // PAGES_PER_WORD
        mask = ONE << U64(word % PAGES_PER_WORD)
        if not atomics.load(machine.bitmap, at) & mask:
            atomics.fetch_or(machine.bitmap, at, mask)
        word //= PAGES_PER_WORD


@inlined
def mark_pages_dirty(machine, slot, gfn, npages):
    """Set the bits of adjacent pages in the active half, and count them.

    `mark_page_dirty` of KVM; the caller is inside a handler section (`enter_handler`), so that a
    harvest that switches halves can wait for it. The count comes before the bit: who finds the bit
    set relies on the count being above 0. Two who mark at once may both count; only 0 matters.
    """
    half = slot_field(machine, slot, SLOT_ACTIVE)
    start = bitmap_start(machine, slot, half)
    first = gfn - slot_field(machine, slot, SLOT_BASE_GFN)
    is_summed = log_mode(machine, slot) == LOG_SUMMARY
    for page in range(first, first + npages):
        mask = ONE << U64(page % PAGES_PER_WORD)
        word = start + page // PAGES_PER_WORD
        if not atomics.load(machine.bitmap, word) & mask:
            atomics.fetch_add(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY + half, ONE)
            atomics.fetch_or(machine.bitmap, word, mask)
        if is_summed:
            mark_summaries(machine, slot, page // PAGES_PER_WORD)
