"""Debts of groups as harvests settle them, and all groups of a slot opened or closed."""

from strategies.core import atomics
from strategies.core.events import GROUPS_CLOSED, count
from strategies.core.groups import claim_group, open_group
from strategies.core.heat import (
    DEBT_MASK,
    FIRST_WRITE,
    HARVEST,
    HEAT_WORDS,
    MAX_LEVEL,
    OPEN,
    OPENED,
    PAGE_SCAN,
    PAID,
    PS_PER_NS,
    debt_at,
    group_pages,
    group_word,
    known,
    level_of,
    opening_price,
)
from strategies.core.jit import inlined, kernel
from strategies.core.machine import SLOT_BASE_GFN, SLOT_GROUP, SLOT_NPAGES
from strategies.core.memslot import slot_field
from strategies.core.words import I64, U64, ZERO


@kernel
def weigh_group(machine, slot, heat, group, warm, written, saved):
    """Settle a group's debt after a harvest that looked at it; return whether it is open.

    A closed group pays the scan of its cold pages, which it did without; an open one owes that,
    less the faults it is spared, and closes at the price of opening it. It was worth opening if so
    many pages were once written together that their faults cost more than those before it opened,
    opening and cooling.
    """
    at = heat + HEAT_WORDS + group
    pages = group_pages(machine, slot, group)
    limit = opening_price(machine, heat, pages)
    harvest = known(machine, heat, HARVEST)
    idle = (pages - warm) * known(machine, heat, PAGE_SCAN) // PS_PER_NS
    pays = written * known(machine, heat, FIRST_WRITE) // PS_PER_NS >= 3 * limit
    while True:
        word = atomics.load(machine.heat, at)
        level, flags = level_of(word), word & (OPEN | PAID)
        if word & OPEN:
            debt = max(I64(word & DEBT_MASK) + idle - saved // PS_PER_NS, 0)
            if pays:
                flags |= PAID
            if debt >= limit:
                level = max(level - 1, 0) if flags & PAID else min(level + 1, MAX_LEVEL)
                flags, debt = ZERO, I64(0)
        else:
            debt = max(debt_at(machine, heat, word, pages, harvest - 1) - idle, 0)
        new = group_word(flags, level, harvest, debt)
        if atomics.compare_and_swap(machine.heat, at, word, new) == word:
            if word & OPEN and not flags:
                count(machine, machine.nvcpus, GROUPS_CLOSED, 1)
            return flags != ZERO


@inlined
def _groups(machine, slot):
    """Return how many groups a slot has."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    return (slot_field(machine, slot, SLOT_NPAGES) + pages - 1) // pages


@kernel
def open_all(machine, slot, heat, cold):
    """Make every page of a slot hot, of which so many are cold."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    atomics.fetch_add(machine.heat, heat + OPENED, U64(cold))
    for group in range(_groups(machine, slot)):
        claim_group(machine, machine.nvcpus, slot, base + group * pages)
        open_group(machine, machine.nvcpus, base + group * pages)


@kernel
def close_groups(machine, slot, heat):
    """Close all groups: the next harvest cools their pages that are no longer warm."""
    for group in range(_groups(machine, slot)):
        atomics.exchange(machine.heat, heat + HEAT_WORDS + group, ZERO)
