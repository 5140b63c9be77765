"""What faults alone and scans alone would have cost, and when all of a slot goes over to a sweep.

A harvest tells which pages were written, of cold ones by their faults: so the cost of both is known
to the page, whatever was done.
"""

from strategies.core import atomics
from strategies.core.events import BITMAP_WORDS_READ, BLOCKS_SWEPT, count
from strategies.core.heat import (
    BY_FAULTS,
    BY_SCANS,
    FIRST_WRITE,
    FLUSH,
    HARVEST,
    HOT,
    IS_DUE,
    IS_SWEPT,
    LEAD,
    OPENED,
    OWN,
    PAGE_SCAN,
    PAGE_WRITTEN,
    REGRET_COLD,
    REGRET_SWEPT,
    STAKES,
    SWEEP,
    WARM,
    add,
    heat_start,
    known,
    learn,
    toggle_price,
)
from strategies.core.jit import inlined, kernel
from strategies.core.machine import SLOT_BASE_GFN, SLOT_BITMAP_WORDS, SLOT_NPAGES
from strategies.core.memslot import bitmap_start, slot_field
from strategies.core.sweep import BLOCK_WORDS
from strategies.core.words import I64, U64, ZERO, popcount
from strategies.mixed.debts import close_groups
from strategies.mixed.patience import is_warm

SHARE = 8
"""An eighth of what faults alone would have cost may be lost, where they lead, by all that is not
to take a fault."""

CLOSES_AT = 4
"""Times the price of opening and cooling all at which all is cooled; it is due to be opened at half
that price, as a group is. What closes has to learn anew, by faults, what it opened at."""

STOCK = 32
"""Harvests from one count of the warm pages to the next, while everything is swept."""


@kernel
def is_swept(machine, slot):
    """Say whether the next harvest sweeps."""
    return atomics.load(machine.heat, heat_start(machine, slot) + IS_SWEPT) != ZERO


@inlined
def _clean_scan(machine, slot, heat):
    """Return what a scan of a clean slot costs: a sweep where one is offered."""
    sweep, look = known(machine, heat, SWEEP), known(machine, heat, PAGE_SCAN)
    return sweep if sweep else slot_field(machine, slot, SLOT_NPAGES) * look


@inlined
def left_to_lose(machine, heat):
    """Return what may be lost yet, in ps, where faults lead: below 0, if too much was."""
    by_faults = known(machine, heat, BY_FAULTS)
    return by_faults + by_faults // SHARE - known(machine, heat, OWN)


@inlined
def faults_lead(machine, heat):
    """Say whether faults alone would have cost no more so far than scans alone."""
    return known(machine, heat, BY_FAULTS) <= known(machine, heat, BY_SCANS)


@kernel
def set_stakes(machine, slot, heat):
    """Tell the fault handler what it may open until the next harvest."""
    ahead = known(machine, heat, BY_SCANS) + _clean_scan(machine, slot, heat)
    ahead -= known(machine, heat, BY_FAULTS)
    lead = ahead // known(machine, heat, FIRST_WRITE) + 1
    atomics.store(machine.heat, heat + LEAD, U64(max(lead, 0)))
    atomics.store(machine.heat, heat + STAKES, U64(max(left_to_lose(machine, heat), 0)))


@kernel
def note_costs(machine, slot, heat, scan, faults, written):
    """Note what an interval has cost, and would have: its harvest's scan, its faults and pages.

    Returns what faults have cost, and what they opened: that is charged with cooling it again.
    """
    opened = I64(atomics.exchange(machine.heat, heat + OPENED, ZERO))
    stores = written * known(machine, heat, PAGE_WRITTEN)
    fault, flush = known(machine, heat, FIRST_WRITE), I64(0)
    if written:
        flush = known(machine, heat, FLUSH)
    add(machine, heat, BY_FAULTS, written * fault + flush)
    add(machine, heat, BY_SCANS, _clean_scan(machine, slot, heat) + stores + flush)
    spent = faults * fault + toggle_price(machine, heat, opened)
    add(machine, heat, OWN, scan + spent + stores + flush)
    return spent


@kernel
def _regret_cold(machine, slot, heat, hot, paid):
    """Let faults open everything if what was paid, more than a sweep of it, is half the price.

    If all is hot there is nothing to regret.
    """
    cold = slot_field(machine, slot, SLOT_NPAGES) - hot
    regret = max(known(machine, heat, REGRET_COLD) + paid, 0) if cold else I64(0)
    is_due = cold > 0 and 2 * regret >= toggle_price(machine, heat, cold)
    learn(machine, heat, REGRET_COLD, regret)
    atomics.store(machine.heat, heat + IS_DUE, U64(is_due))


@kernel
def _regret_swept(machine, slot, heat, hot, paid):
    """Close all groups if sweeps have cost too much; return whether they did.

    More than to scan what is warm by CLOSES_AT times the price of opening and cooling, or too much
    beside faults alone. Nothing is due then.
    """
    regret = max(known(machine, heat, REGRET_SWEPT) + paid, 0)
    has_lost = faults_lead(machine, heat) and left_to_lose(machine, heat) < 0
    closes = has_lost or regret >= CLOSES_AT * toggle_price(machine, heat, hot)
    if closes:
        close_groups(machine, slot, heat)
        learn(machine, heat, REGRET_COLD, 0)
        atomics.store(machine.heat, heat + IS_DUE, ZERO)
        regret = I64(0)
    learn(machine, heat, REGRET_SWEPT, regret)
    return closes


@kernel
def weigh_sweep(machine, slot, heat, hot, spent, missed):
    """Choose how the next harvest scans, where a sweep of everything is offered.

    What is hot is scanned page by page as long as that costs less.
    """
    swept = is_swept(machine, slot)
    if swept and known(machine, heat, HARVEST) % STOCK == 0:
        _take_stock(machine, slot, heat)
        hot = known(machine, heat, HOT)
    sweep, look = known(machine, heat, SWEEP), known(machine, heat, PAGE_SCAN)
    _regret_cold(machine, slot, heat, hot, spent + (0 if swept else hot * look - sweep))
    learn(machine, heat, HOT, hot)
    sweeps = hot * look > sweep
    if swept:
        paid = sweep - known(machine, heat, WARM) * look - missed
        sweeps = not _regret_swept(machine, slot, heat, hot, paid) and sweeps
    atomics.store(machine.heat, heat + IS_SWEPT, U64(sweeps))


@kernel
def _take_stock(machine, slot, heat):
    """Count the pages that are warm, and those that are hot."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    pages = slot_field(machine, slot, SLOT_NPAGES)
    warm = hot = I64(0)
    for gfn in range(base, base + pages):
        warm += I64(is_warm(machine, heat, gfn))
    start, words = bitmap_start(machine, slot, 1), slot_field(machine, slot, SLOT_BITMAP_WORDS)
    for word in range(start, start + words):
        hot += popcount(atomics.load(machine.bitmap, word))
    learn(machine, heat, WARM, warm)
    learn(machine, heat, HOT, hot)
    count(machine, machine.nvcpus, BLOCKS_SWEPT, pages // BLOCK_WORDS)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
