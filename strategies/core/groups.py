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
from strategies.core.heat import end_of_opening, heat_page, make_hot, may_have_hot
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
def _opened_with(machine, slot, gfn):
    """Return the first page of what a page's fault opens and the one after the last of it.

    A group, or several under LOG_HEAT. If a harvest changes that between claim and permissions,
    these go to pages with their bits alone; those with a bit and no permission fault once more.
    """
    pages = slot_field(machine, slot, SLOT_GROUP)
    group = (gfn - slot_field(machine, slot, SLOT_BASE_GFN)) // pages
    end = group + 1
    if log_mode(machine, slot) == LOG_HEAT:
        end = end_of_opening(machine, slot, group)
    return group * pages, min(end * pages, slot_field(machine, slot, SLOT_NPAGES))


@inlined
def claim_group(machine, cpu, slot, gfn):
    """Set the bits of what a page's fault opens; permissions come after it (`open_group`)."""
    first, end = _opened_with(machine, slot, gfn)
    start, mode = bitmap_start(machine, slot, 1), log_mode(machine, slot)
    page = first
    while page < end:
        bits = min(PAGES_PER_WORD - page % PAGES_PER_WORD, end - page)
        mask = ~ZERO >> U64(PAGES_PER_WORD - bits) << U64(page % PAGES_PER_WORD)
        if mode == LOG_HEAT:
            make_hot(machine, slot, page // PAGES_PER_WORD, mask)
        else:
            atomics.fetch_or(machine.bitmap, start + page // PAGES_PER_WORD, mask)
        page += bits
    pages = slot_field(machine, slot, SLOT_GROUP)
    count(machine, cpu, GROUPS_OPENED, (end - first + pages - 1) // pages)


@inlined
def claim(machine, cpu, slot, mode, gfn):
    """Set the bit of a page that faulted, or of groups; return whether those are to be opened."""
    if mode == LOG_HEAT and not heat_page(machine, slot, gfn):
        return False
    claim_group(machine, cpu, slot, gfn)
    return True


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
def open_group(machine, cpu, gfn):
    """Give all pages that a page's fault opens the guest's own permissions, without a flush.

    The caller is inside a handler section, so that logging cannot stop and start meanwhile, and
    holds no lock. A TLB that has a page read-only walks at the next store.
    """
    slot = slot_of_gfn(machine, gfn)
    base, mode = slot_field(machine, slot, SLOT_BASE_GFN), log_mode(machine, slot)
    first, end = _opened_with(machine, slot, gfn)
    for page in range(first, end):
        _open_page(machine, cpu, slot, mode, base + page)
    count(machine, cpu, PAGES_OPENED, end - first)
