"""Losses where summaries above the bitmap say which words a harvest looks at."""

from strategies.core import atomics, memslot
from strategies.core.machine import LOG_SUMMARY, SLOT_ACTIVE, SLOT_BASE_GFN, SLOT_DIRTY, SLOT_WORDS
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    log_mode,
    mark_summaries,
    slot_field,
    summary_start,
)
from strategies.core.words import ONE, U64, ZERO
from strategies.explore.defect import Defect

_mark_summaries = mark_summaries


def _mark(machine, slot, gfn):
    """Set the bit of a page as `mark_pages_dirty` does; return its word, and whether it was set."""
    half = slot_field(machine, slot, SLOT_ACTIVE)
    page = gfn - slot_field(machine, slot, SLOT_BASE_GFN)
    word = bitmap_start(machine, slot, half) + page // PAGES_PER_WORD
    mask = ONE << U64(page % PAGES_PER_WORD)
    was_set = atomics.load(machine.bitmap, word) & mask != ZERO
    if not was_set:
        atomics.fetch_add(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY + half, ONE)
        atomics.fetch_or(machine.bitmap, word, mask)
    return page // PAGES_PER_WORD, was_set


def mark_after_summaries(machine, slot, gfn, npages):
    """Set the bits of the summaries, then the page's own."""
    for page in range(gfn, gfn + npages):
        if log_mode(machine, slot) == LOG_SUMMARY:
            number = page - slot_field(machine, slot, SLOT_BASE_GFN)
            _mark_summaries(machine, slot, number // PAGES_PER_WORD)
        _mark(machine, slot, page)


def mark_summaries_of_new_bits(machine, slot, gfn, npages):
    """Set the bits of the summaries where the page's own was not set."""
    for page in range(gfn, gfn + npages):
        word, was_set = _mark(machine, slot, page)
        if log_mode(machine, slot) == LOG_SUMMARY and not was_set:
            _mark_summaries(machine, slot, word)


def mark_summaries_from_above(machine, slot, word):
    """Set the bit of the upper summary before that of the lower."""
    for level, bit in ((2, word // PAGES_PER_WORD), (1, word)):
        at = summary_start(machine, slot, level) + bit // PAGES_PER_WORD
        atomics.fetch_or(machine.bitmap, at, ONE << U64(bit % PAGES_PER_WORD))


DEFECTS = (
    Defect(
        name="summary-before-bit",
        what="The summaries are marked before the page: a harvest takes them and finds a word "
        "that is 0 still.",
        origin="design: each level is marked after the one below it",
        lived="-",
        program="store-two-harvests",
        strategy="write_protect_summary",
        replaces=((memslot.mark_pages_dirty, mark_after_summaries),),
    ),
    Defect(
        name="summary-of-new-bits-alone",
        what="Who finds the page's bit set leaves the summaries alone, though whoever set it has "
        "not come that far.",
        origin="design: who finds a bit set looks at the one above all the same",
        lived="-",
        program="aliases-harvest",
        strategy="write_protect_summary",
        replaces=((memslot.mark_pages_dirty, mark_summaries_of_new_bits),),
    ),
    Defect(
        name="summary-upper-before-lower",
        what="The upper summary is marked before the lower: a harvest takes it and finds none.",
        origin="design: each level is marked after the one below it",
        lived="-",
        program="store-two-harvests",
        strategy="write_protect_summary",
        replaces=((memslot.mark_summaries, mark_summaries_from_above),),
    ),
)
