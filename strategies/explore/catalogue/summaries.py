"""Losses where summaries above the bitmap say which words a harvest looks at."""

from strategies.core import atomics, memslot
from strategies.core.clock import monotonic_ns
from strategies.core.machine import LOG_SUMMARY, SLOT_ACTIVE, SLOT_BASE_GFN, SLOT_DIRTY, SLOT_WORDS
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    clear_log,
    log_mode,
    mark_summaries,
    slot_field,
    summary_start,
)
from strategies.core.protect import READONLY, change_dirty_pages
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ONE, U64, ZERO
from strategies.explore.defect import Defect
from strategies.fault import write_protect_summary
from strategies.fault.write_protect_summary import MIDDLES, arm_words, copy_words, find_words

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


def _find(machine, slot, numbers, masks):
    """Take the log of a small slot to a list; return how many words it has."""
    room = MIDDLES * PAGES_PER_WORD
    return find_words(machine, slot, 0, numbers, masks, MIDDLES, room)[0]


def arm_then_find(machine, slot, out, words, numbers, masks):
    """Make all dirty pages read-only first, then take the log, then flush."""
    start = monotonic_ns()
    clear_log(out, words)
    bitmap = bitmap_start(machine, slot, 0)
    for number in range(words):
        mask = atomics.load(machine.bitmap, bitmap + number)
        change_dirty_pages(machine, slot, number, mask, READONLY)
    found = _find(machine, slot, numbers, masks)
    copy_words(numbers, masks, found, out)
    flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


def flush_before_arming(machine, slot, out, words, numbers, masks):
    """Take the log, flush, and only then make its pages read-only."""
    start = monotonic_ns()
    clear_log(out, words)
    found = _find(machine, slot, numbers, masks)
    copy_words(numbers, masks, found, out)
    flush_tlbs(machine, machine.nvcpus)
    arm_words(machine, slot, numbers, masks, found)
    return monotonic_ns() - start


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
    Defect(
        name="summary-armed-before-found",
        what="All dirty pages are armed before the log is taken; a store between marks and opens "
        "one, and the new mark is taken with the old.",
        origin="design: a page's mark is taken before the page is armed",
        lived="-",
        program="store-harvest",
        strategy="write_protect_summary",
        replaces=((write_protect_summary._harvest, arm_then_find),),
    ),
    Defect(
        name="summary-flushed-before-armed",
        what="The flush comes when all is found, before it is armed, and a TLB still lets stores "
        "through.",
        origin="design: the flush comes last",
        lived="-",
        program="store-harvest",
        strategy="write_protect_summary",
        replaces=((write_protect_summary._harvest, flush_before_arming),),
    ),
)
