"""Groups of pages that one write fault opens: from then on C tells of their stores.

A page is open when its bit is set in the second half of the slot's bitmap. Its HPTEs may then have
the guest's own permissions; those of other pages are read-only. Groups lie side by side from the
slot's first page on. Under LOG_GROUPS the first fault opens a group, which stays so until logging
stops. Under LOG_HEAT a fault opens its page, and `core/heat` says whether groups with it; a harvest
may close pages again.

Two orders matter. The bit comes before the first permission: a store through it must not find a
harvest that passes the page over. And a permission is given under the page's rmap lock, the bit
being set: H_ENTER holds that lock when it looks at the bit, and so does a harvest that closes the
page, after it took the bit away. Each sees the other.
"""

from strategies.core import atomics
from strategies.core.events import GROUPS_OPENED, PAGES_OPENED, count
from strategies.core.heat import heat_page, make_hot, may_have_hot
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_rmap, unlock_rmap, wait_hpte_unlocked
from strategies.core.machine import LOG_GROUPS, LOG_HEAT, SLOT_BASE_GFN, SLOT_GROUP, SLOT_NPAGES
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    is_write_protected,
    log_mode,
    slot_field,
    slot_of_gfn,
)
from strategies.core.protect import RESTORE, change_ring
from strategies.core.words import I64, ONE, U64, ZERO


@inlined
def opens_pages(mode):
    """Say whether a write fault opens pages under a logging mode, of which C tells then."""
    return mode in (LOG_GROUPS, LOG_HEAT)


@inlined
def is_open(machine, slot, mode, gfn):
    """Say whether C tells of stores to a page, and a harvest looks there."""
    page = gfn - slot_field(machine, slot, SLOT_BASE_GFN)
    number = page // PAGES_PER_WORD
    word = atomics.load(machine.bitmap, bitmap_start(machine, slot, 1) + number)
    if word >> U64(page % PAGES_PER_WORD) & ONE == ZERO:
        return False
    return mode != LOG_HEAT or may_have_hot(machine, slot, number)


@inlined
def enters_readonly(machine, slot, mode, gfn):
    """Say whether H_ENTER makes an HPTE of a page read-only; the page's rmap lock is held."""
    return is_write_protected(mode) and not (
        opens_pages(mode) and is_open(machine, slot, mode, gfn)
    )


@inlined
def claim_group(machine, slot, mode, first, end):
    """Set the bits of pages from `first` to before `end`; permissions come after (`open_group`)."""
    start, base = bitmap_start(machine, slot, 1), slot_field(machine, slot, SLOT_BASE_GFN)
    page, end = first - base, end - base
    while page < end:
        bits = min(PAGES_PER_WORD - page % PAGES_PER_WORD, end - page)
        mask = ~ZERO >> U64(PAGES_PER_WORD - bits) << U64(page % PAGES_PER_WORD)
        if mode == LOG_HEAT:
            make_hot(machine, slot, page // PAGES_PER_WORD, mask)
        else:
            atomics.fetch_or(machine.bitmap, start + page // PAGES_PER_WORD, mask)
        page += bits


@inlined
def claim(machine, cpu, slot, mode, gfn):
    """Set the bit of a page that faulted, or of all pages of the groups that its fault opens.

    Returns the first page of these and the one after the last, for `open_group`; the same if the
    fault opens no group.
    """
    base, pages = slot_field(machine, slot, SLOT_BASE_GFN), slot_field(machine, slot, SLOT_GROUP)
    group = (gfn - base) // pages
    beyond = group + 1
    if mode == LOG_HEAT:
        beyond = heat_page(machine, slot, gfn - base, group)
    count(machine, cpu, GROUPS_OPENED, beyond - group)
    first = base + group * pages
    end = base + min(beyond * pages, slot_field(machine, slot, SLOT_NPAGES))
    claim_group(machine, slot, mode, first, end)
    return first, end


@inlined
def _open_page(machine, cpu, slot, mode, gfn):
    """Give a page the guest's own permissions, unless a harvest has closed it meanwhile."""
    busy = I64(0)
    while busy >= 0:
        word = lock_rmap(machine.rmap, gfn)
        busy = I64(-1)
        if is_open(machine, slot, mode, gfn):
            busy = change_ring(machine, cpu, word, RESTORE)
        unlock_rmap(machine.rmap, gfn, word)
        if busy >= 0:
            wait_hpte_unlocked(machine, cpu, busy)


@kernel
def open_group(machine, cpu, first, end):
    """Give the pages that a fault has claimed the guest's own permissions, without a flush.

    The caller is inside a handler section, so that logging cannot stop and start meanwhile, and
    holds no lock. A TLB that has a page read-only walks at the next store.
    """
    slot = slot_of_gfn(machine, first)
    mode = log_mode(machine, slot)
    for gfn in range(first, end):
        _open_page(machine, cpu, slot, mode, gfn)
    count(machine, cpu, PAGES_OPENED, end - first)
