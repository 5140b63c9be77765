"""Debts of groups as harvests settle them, and all groups of a slot closed."""

from strategies.core import atomics
from strategies.core.events import GROUPS_CLOSED, count
from strategies.core.heat import (
    CLOSED,
    DEBT_MASK,
    FIRST_WRITE,
    HARVEST,
    HEAT_WORDS,
    LEVEL_SHIFT,
    OPEN,
    PAGE_SCAN,
    PAID,
    PS_PER_NS,
    WAIT_SHIFT,
    debt_at,
    group_pages,
    group_word,
    groups_of,
    known,
    level_of,
    moved,
    opening_price,
    toggle_price,
)
from strategies.core.jit import kernel
from strategies.core.words import I64, ZERO


@kernel
def weigh_group(machine, slot, heat, group, warm, written, saved):
    """Settle a group's debt after a harvest that looked at it; return whether it is open.

    A closed group pays the scan of its cold pages, which it did without; an open one owes that,
    less the faults it is spared, and closes at the price of opening it, or at twice that for each
    time that it closed too soon. It was worth opening if so many pages were once written together
    that their faults cost more than those before it opened, opening and cooling. From then on it
    owes what it costs to open it again, until time has paid that, or a fault comes.
    """
    at = heat + HEAT_WORDS + group
    pages = group_pages(machine, slot, group)
    limit = opening_price(machine, heat, pages)
    harvest = known(machine, heat, HARVEST)
    idle = (pages - warm) * known(machine, heat, PAGE_SCAN) // PS_PER_NS
    pays = written * known(machine, heat, FIRST_WRITE) // PS_PER_NS >= 3 * limit
    while True:
        word = atomics.load(machine.heat, at)
        level, wait = level_of(word, LEVEL_SHIFT), level_of(word, WAIT_SHIFT)
        flags = word & (OPEN | PAID | CLOSED)
        if word & OPEN:
            debt = max(I64(word & DEBT_MASK) + idle - saved // PS_PER_NS, 0)
            if pays:
                flags |= PAID
            if debt >= limit << wait:
                level = moved(level, flags & PAID == ZERO)
                flags, debt = CLOSED, toggle_price(machine, heat, pages) // PS_PER_NS + limit
        else:
            debt = max(debt_at(machine, heat, word, pages, harvest - 1) - idle, 0)
        new = group_word(flags, level, wait, harvest, debt)
        if atomics.compare_and_swap(machine.heat, at, word, new) == word:
            if word & OPEN and flags == CLOSED:
                count(machine, machine.nvcpus, GROUPS_CLOSED, 1)
            return flags & OPEN != ZERO


@kernel
def close_groups(machine, slot, heat):
    """Close all groups: the next harvest cools their pages that are no longer warm."""
    for group in range(groups_of(machine, slot)):
        atomics.exchange(machine.heat, heat + HEAT_WORDS + group, ZERO)
