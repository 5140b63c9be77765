"""Groups of pages that one write fault opens (LOG_GROUPS): from then on C tells of their stores.

A page is open when its bit is set in the second half of the slot's bitmap. Its HPTEs may then have
the guest's own permissions; those of other pages are read-only. Groups lie side by side from the
slot's first page on, and an open one stays so until logging stops.

Two orders matter. The bit comes before the first permission: a store through it must not find a
harvest that passes the page over. And a permission is given under the page's rmap lock, which
H_ENTER holds when it looks at the bit: either sees the other.
"""

from strategies.core import atomics
from strategies.core.events import GROUPS_OPENED, PAGES_OPENED, count
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_GROUPS, SLOT_BASE_GFN, SLOT_GROUP, SLOT_NPAGES
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    is_write_protected,
    slot_field,
    slot_of_gfn,
)
from strategies.core.protect import RESTORE, change_page
from strategies.core.words import ONE, U64, ZERO


@inlined
def is_open(machine, slot, gfn):
    """Say whether C tells of stores to a page."""
    page = gfn - slot_field(machine, slot, SLOT_BASE_GFN)
    word = atomics.load(machine.bitmap, bitmap_start(machine, slot, 1) + page // PAGES_PER_WORD)
    return word >> U64(page % PAGES_PER_WORD) & ONE != ZERO


@inlined
def enters_readonly(machine, slot, mode, gfn):
    """Say whether H_ENTER makes an HPTE of a page read-only; the page's rmap lock is held."""
    return is_write_protected(mode) and not (mode == LOG_GROUPS and is_open(machine, slot, gfn))


@inlined
def _group_of(machine, slot, gfn):
    """Return the first page of a page's group and the one after its last, within the slot."""
    pages = slot_field(machine, slot, SLOT_GROUP)
    first = (gfn - slot_field(machine, slot, SLOT_BASE_GFN)) // pages * pages
    return first, min(first + pages, slot_field(machine, slot, SLOT_NPAGES))


@inlined
def claim_group(machine, cpu, slot, gfn):
    """Set the bits of a page's group; the caller gives permissions after it (`open_group`)."""
    first, end = _group_of(machine, slot, gfn)
    start = bitmap_start(machine, slot, 1)
    page = first
    while page < end:
        bits = min(PAGES_PER_WORD - page % PAGES_PER_WORD, end - page)
        mask = ~ZERO >> U64(PAGES_PER_WORD - bits) << U64(page % PAGES_PER_WORD)
        atomics.fetch_or(machine.bitmap, start + page // PAGES_PER_WORD, mask)
        page += bits
    count(machine, cpu, GROUPS_OPENED, 1)


@kernel
def open_group(machine, cpu, gfn):
    """Give all pages of a page's group the guest's own permissions, without a flush.

    The caller is inside a handler section, so that logging cannot stop and start meanwhile, and
    holds no lock. A TLB that has a page read-only walks at the next store.
    """
    slot = slot_of_gfn(machine, gfn)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    first, end = _group_of(machine, slot, gfn)
    for page in range(first, end):
        change_page(machine, cpu, base + page, RESTORE)
    count(machine, cpu, PAGES_OPENED, end - first)
