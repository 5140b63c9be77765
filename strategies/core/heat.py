"""What is known of a slot whose pages are hot or cold (LOG_HEAT), where fault handlers reach it.

A page is hot when its bit is set in the second half of the slot's bitmap, and that of the bitmap's
word in `heat`, where a harvest looks first: its HPTEs may permit stores, and C tells of them. A
cold page's HPTEs are read-only, with C clear; the first store faults and heats it. Each group of
pages has a word of its own: a debt, which faults raise and time lowers, and whether the group is
open, that is, hot as a whole. Who raises the debt to the price of opening opens the group
(`core/groups`), if that price is not too much to lose (`may_open`). It doubles when a group closes
that was not worth opening; the debt at which a group closes doubles when it closed too soon.
Where everything is due, each fault opens its group, and those after it for as much as it costs.

Words of a slot in `heat`: HEAT_WORDS of what is known of all of it, a word for each group, then a
bit for each word of the bitmap that may name a hot page; MAY_BE_HOT stands for all these bits. A
group's word is read and written by vCPUs and the harvest; of the others vCPUs change FAULTS,
OPENED, MAY_BE_HOT and the bits, and read costs, HARVEST, IS_SWEPT, LEAD, STAKES and IS_DUE.
"""

from strategies.core import atomics
from strategies.core.jit import inlined
from strategies.core.machine import (
    SLOT_BITMAP_WORDS,
    SLOT_GROUP,
    SLOT_HEAT,
    SLOT_NPAGES,
)
from strategies.core.memslot import PAGES_PER_WORD, bitmap_start, slot_field
from strategies.core.words import I64, ONE, U64, ZERO, bit

HARVEST = 0  # number of the harvest to come, from 1 on
FAULTS = 1  # pages heated since the last harvest
OPENED = 2  # pages opened with their groups since then
IS_SWEPT = 3  # 1: the next harvest sweeps, whatever is hot
PATIENCE = 4  # harvests for which a page stays hot after its last store
PRICE = 5  # of a hot page in a harvest, bitmap words included
WAITED = 6  # what pages have cost that waited to be cooled
HOT = 7  # hot pages at the last harvest that looked
WARM = 8  # pages written within the patience, when they were last counted
BY_FAULTS = 9  # what all harvests would have cost if all that was written had faulted
BY_SCANS = 10  # if everything had been open, and scanned
OWN = 11  # what they have cost
LEAD = 12  # so many faults in an interval, and scanning everything would have cost less
STAKES = 13  # with fewer, what opening groups in it may cost
REGRET_COLD = 14  # by how much more than a sweep of everything
REGRET_SWEPT = 15  # by how much a sweep has cost more than to scan what is warm
IS_FLUSHED = 16  # 1: the harvest under way ends with a flush of all TLBs
MAY_BE_HOT = 17  # 0: no word of the bitmap has its bit; a harvest looks at none
IS_DUE = 18  # 1: everything is to be opened, by faults
COSTS = 19  # unit costs in picoseconds, in the order of `UnitCosts`, then that of a sweep
FIRST_WRITE, PAGE_SCAN, WORD_READ, PAGE_OPEN, PAGE_COOL, FLUSH = range(COSTS, COSTS + 6)
PAGE_WRITTEN = COSTS + 8
COOL_TLBIE, FLUSH_ALL = COSTS + 9, COSTS + 10
SWEEP = COSTS + 11  # a sweep of a clean slot; 0: none is offered
SAVED = 32  # by age: faults that waiting to that age has saved
SPENT = 48  # by age: what it has cost
AGES = 16
HEAT_WORDS = 64

OPEN = bit(63)
PAID = bit(62)  # it was worth opening
CLOSED = bit(61)  # it has closed, and no fault has come since: what reopening costs is its debt
WAIT_SHIFT = U64(58)  # by how many powers of two the debt is raised at which it closes
LEVEL_SHIFT = U64(56)  # and that at which it opens
LEVEL_MASK = U64(3)
HARVEST_SHIFT = U64(32)  # up to which harvest time has lowered its debt, modulo 2**24
HARVESTS = 1 << 24
DEBT_MASK = U64(0xFFFFFFFF)  # in ns
"""A group's word."""

MAX_LEVEL = 3
PS_PER_NS = 1000

LEAST_FAULTS = 3
"""That open a group where everything can be swept: to sweep is the better choice soon after."""


@inlined
def heat_start(machine, slot):
    """Return the first word in `heat` of a slot."""
    return slot_field(machine, slot, SLOT_HEAT)


@inlined
def known(machine, heat, field):
    """Return a word of a slot that the harvest alone changes."""
    return I64(atomics.load_own(machine.heat, heat + field))


@inlined
def learn(machine, heat, field, value):
    """Change a word of a slot that vCPUs do not read."""
    atomics.store_own(machine.heat, heat + field, U64(value))


@inlined
def add(machine, heat, field, value):
    """Add to a word of a slot that vCPUs do not read."""
    learn(machine, heat, field, known(machine, heat, field) + value)


@inlined
def word_bit(machine, slot, number):
    """Return the index in `heat` of the word with the bit of a word of the bitmap, and the bit."""
    start = heat_start(machine, slot) + HEAT_WORDS + slot_field(machine, slot, SLOT_BITMAP_WORDS)
    return start + number // PAGES_PER_WORD, ONE << U64(number % PAGES_PER_WORD)


@inlined
def may_have_hot(machine, slot, number):
    """Say whether a harvest looks at a word of the bitmap."""
    at, mask = word_bit(machine, slot, number)
    if atomics.load(machine.heat, at) & mask == ZERO:
        return False
    return atomics.load(machine.heat, heat_start(machine, slot) + MAY_BE_HOT) != ZERO


@inlined
def make_hot(machine, slot, number, mask):
    """Make pages that a word of the bitmap names hot.

    Both bits and MAY_BE_HOT are set, in this order, before the page counts as hot. A harvest that
    takes a word's bit away, for it names no page, looks at the word once more; one that takes
    MAY_BE_HOT away, for there is no such bit, looks at the bits once more.
    """
    atomics.fetch_or(machine.bitmap, bitmap_start(machine, slot, 1) + number, mask)
    at, word = word_bit(machine, slot, number)
    atomics.fetch_or(machine.heat, at, word)
    atomics.fetch_or(machine.heat, heat_start(machine, slot) + MAY_BE_HOT, ONE)


@inlined
def group_pages(machine, slot, group):
    """Return how many pages a group has."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    return min(pages, slot_field(machine, slot, SLOT_NPAGES) - group * pages)


@inlined
def spared_by_flush(machine, heat, pages):
    """Return what a flush of all TLBs spares, in ps, beside a tlbie for each of so many pages."""
    return max(pages * known(machine, heat, COOL_TLBIE) - known(machine, heat, FLUSH_ALL), 0)


@inlined
def toggle_price(machine, heat, pages):
    """Return what opening so many pages and cooling them together again cost, in ps."""
    each = known(machine, heat, PAGE_OPEN) + known(machine, heat, PAGE_COOL)
    return pages * each - spared_by_flush(machine, heat, pages)


@inlined
def opening_price(machine, heat, pages):
    """Return the debt in ns at which a group of so many pages opens, or closes.

    Half of what opening and cooling it again cost, and of no less than LEAST_FAULTS where all can
    be swept.
    """
    price = toggle_price(machine, heat, pages) // (2 * PS_PER_NS)
    if known(machine, heat, SWEEP):
        price = max(price, LEAST_FAULTS * (known(machine, heat, FIRST_WRITE) // PS_PER_NS))
    return max(price, 1)


@inlined
def level_of(word, shift):
    """Return by how many powers of two a debt is raised at which a group opens, or closes."""
    return I64(word >> shift & LEVEL_MASK)


@inlined
def moved(level, is_up):
    """Return the next level, up or down."""
    return min(level + 1, MAX_LEVEL) if is_up else max(level - 1, 0)


@inlined
def debt_at(machine, heat, word, pages, harvest):
    """Return the debt of a closed group as time has lowered it: to scan it would have cost that.

    Where everything is swept a further hot page costs nothing, and time lowers no debt.
    """
    debt = I64(word & DEBT_MASK)
    if atomics.load(machine.heat, heat + IS_SWEPT):
        return debt
    harvests = (harvest - I64(word >> HARVEST_SHIFT & U64(HARVESTS - 1))) % HARVESTS
    if harvests > HARVESTS // 2:  # a fault of this interval, seen from before it
        return debt
    return max(debt - harvests * pages * known(machine, heat, PAGE_SCAN) // PS_PER_NS, 0)


@inlined
def group_word(flags, level, wait, harvest, debt):
    """Return a group's word."""
    levels = U64(level) << LEVEL_SHIFT | U64(wait) << WAIT_SHIFT
    return flags | levels | U64(harvest % HARVESTS) << HARVEST_SHIFT | U64(min(debt, 0xFFFFFFFF))


@inlined
def groups_of(machine, slot):
    """Return how many groups a slot has."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    return (slot_field(machine, slot, SLOT_NPAGES) + pages - 1) // pages


@inlined
def end_of_opening(machine, slot, group):
    """Return the group after the last one that a fault in a group opens, if it opens any.

    Where everything is due it opens, beside its own, those that follow for as much as it costs.
    """
    heat = heat_start(machine, slot)
    if atomics.load(machine.heat, heat + IS_DUE) == ZERO:
        return group + 1
    price = slot_field(machine, slot, SLOT_GROUP) * known(machine, heat, PAGE_OPEN)
    beside = known(machine, heat, FIRST_WRITE) // max(price, 1)
    return min(group + 1 + beside, groups_of(machine, slot))


@inlined
def may_open(machine, slot, group, end):
    """Say whether a fault may open groups, from its own up to that before `end`.

    It may where scanning everything would have cost less by now than faults alone. Else opening and
    cooling all groups of the interval must not cost more than may be lost; vCPUs that open groups
    side by side may each spend what is left.
    """
    heat, group_size = heat_start(machine, slot), slot_field(machine, slot, SLOT_GROUP)
    if atomics.load(machine.heat, heat + FAULTS) >= atomics.load(machine.heat, heat + LEAD):
        return True
    pages = min(end * group_size, slot_field(machine, slot, SLOT_NPAGES)) - group * group_size
    pages += I64(atomics.load(machine.heat, heat + OPENED))
    return toggle_price(machine, heat, pages) <= I64(atomics.load(machine.heat, heat + STAKES))


@inlined
def owe_fault(machine, slot, group, end):
    """Raise the debt of a group by a fault; return whether this one opens it, and all before `end`.

    A compare and swap, for vCPUs fault side by side: one of them finds the price reached. The first
    fault after a group has closed tells whether it closed too soon: if to scan it until now would
    have cost less than to open it again.
    """
    heat = heat_start(machine, slot)
    at = heat + HEAT_WORDS + group
    pages = group_pages(machine, slot, group)
    fault = known(machine, heat, FIRST_WRITE) // PS_PER_NS
    is_due = atomics.load(machine.heat, heat + IS_DUE) != ZERO
    while True:
        word = atomics.load(machine.heat, at)
        if word & OPEN:
            return False
        level, wait = level_of(word, LEVEL_SHIFT), level_of(word, WAIT_SHIFT)
        harvest = I64(atomics.load(machine.heat, heat + HARVEST))
        debt = debt_at(machine, heat, word, pages, harvest)
        if word & CLOSED:
            wait, debt = moved(wait, debt > 0), I64(0)
        debt += fault
        price = I64(0) if is_due else opening_price(machine, heat, pages) << level
        opens = debt >= price and may_open(machine, slot, group, end)
        new = group_word(ZERO, level, wait, harvest, debt)
        if opens:
            new = group_word(OPEN, level, wait, harvest, 0)
        if atomics.compare_and_swap(machine.heat, at, word, new) == word:
            if opens:
                atomics.fetch_add(machine.heat, heat + OPENED, U64(pages))
            return opens


@inlined
def open_beside(machine, slot, group, end):
    """Let those groups be open that a fault opens beside its own: all before `end`."""
    heat = heat_start(machine, slot)
    harvest = I64(atomics.load(machine.heat, heat + HARVEST))
    for beside in range(group + 1, end):
        at = heat + HEAT_WORDS + beside
        word = atomics.load(machine.heat, at)
        level, wait = level_of(word, LEVEL_SHIFT), level_of(word, WAIT_SHIFT)
        before = atomics.exchange(machine.heat, at, group_word(OPEN, level, wait, harvest, 0))
        if before & OPEN == ZERO:
            atomics.fetch_add(machine.heat, heat + OPENED, U64(group_pages(machine, slot, beside)))


@inlined
def heat_page(machine, slot, page, group):
    """Make a page of a slot hot, before it becomes writable, and groups, if its fault opens any.

    Returns the group after the last of these; `group`, which is the page's own, if there are none.
    """
    make_hot(machine, slot, page // PAGES_PER_WORD, ONE << U64(page % PAGES_PER_WORD))
    atomics.fetch_add(machine.heat, heat_start(machine, slot) + FAULTS, ONE)
    end = end_of_opening(machine, slot, group)
    if not owe_fault(machine, slot, group, end):
        return group
    open_beside(machine, slot, group, end)
    return end
