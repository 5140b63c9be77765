"""Take permissions from all HPTEs of a page, or give them back: what trackers do to re-arm.

One walk serves all actions; the action is a constant at each call and compiles to straight code.
"""

from strategies.core import atomics
from strategies.core.events import PAGES_CLEARED, PAGES_PROTECTED, PAGES_REARMED, RMAP_STEPS, count
from strategies.core.handlers import wait_for_handlers
from strategies.core.hpt import pages_of
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_PERMISSION,
    HPTE_V_ABSENT,
    HPTE_V_VALID,
    SHIFT_16M,
    hpte_is_writable,
    hpte_make_readonly,
)
from strategies.core.jit import inlined, kernel
from strategies.core.locks import (
    lock_rmap,
    try_lock_hpte,
    unlock_hpte,
    unlock_rmap,
    wait_hpte_unlocked,
)
from strategies.core.machine import (
    LOG_OFF,
    SLOT_ACTIVE,
    SLOT_BASE_GFN,
    SLOT_BITMAP_WORDS,
    SLOT_DIRTY,
    SLOT_LARGE,
    SLOT_NPAGES,
    SLOT_WORDS,
)
from strategies.core.memslot import PAGES_PER_WORD, bitmap_start, set_log_mode, slot_field
from strategies.core.papr import PRESENT, invalidate_hpte
from strategies.core.rmap import RMAP_PRESENT, ring_head, ring_next
from strategies.core.tlb import flush_tlbs
from strategies.core.words import I64, ONE, ZERO, ctz, popcount

READONLY_TLBIE = 0  # absent, tlbie, read-only, valid again: for each HPTE
READONLY = 1  # in place; a flush of the TLBs must follow
ABSENT = 2  # not valid to the hardware; a flush of the TLBs must follow
RESTORE = 3  # the guest's own permissions, valid
CLEAN = 4  # C clear, in place; the guest keeps its own; a flush of the TLBs must follow

LARGE_PAGE_SHIFT = SHIFT_16M


@inlined
def set_permission(hpt, index, permission):
    """Change the permission bits of dword 1 while the hardware may be setting R and C."""
    while True:
        r = atomics.load(hpt, 2 * index + 1)
        new = (r & ~HPTE_R_PERMISSION) | permission
        if atomics.compare_and_swap(hpt, 2 * index + 1, r, new) == r:
            return


@inlined
def give_permission(machine, cpu, index, v, permission):
    """Give a locked HPTE its permission bits; R and C stay as the hardware made them.

    As `kvmppc_book3s_hv_page_fault` does, a valid HPTE is made absent first, with a tlbie, and R
    and C are those of dword 1 after it. An absent one may yet get R and C, from an access that
    found it valid: who made it absent may have left the flush for later.
    """
    if v & HPTE_V_VALID:
        r = invalidate_hpte(machine, cpu, index, v)
        atomics.store(machine.hpt, 2 * index + 1, (r & ~HPTE_R_PERMISSION) | permission)
    else:
        set_permission(machine.hpt, index, permission)


@inlined
def _apply(machine, cpu, index, action):
    """Apply an action to a locked HPTE and release its lock."""
    v = atomics.load(machine.hpt, 2 * index)
    r = atomics.load(machine.hpt, 2 * index + 1)
    if action == READONLY_TLBIE and v & HPTE_V_VALID and hpte_is_writable(r):
        r = invalidate_hpte(machine, cpu, index, v)
        atomics.store(machine.hpt, 2 * index + 1, hpte_make_readonly(r))
    elif action == READONLY and v & HPTE_V_VALID and hpte_is_writable(r):
        set_permission(machine.hpt, index, hpte_make_readonly(r) & HPTE_R_PERMISSION)
    elif action == ABSENT and v & HPTE_V_VALID:
        v = (v & ~HPTE_V_VALID) | HPTE_V_ABSENT
    elif action == RESTORE and v & PRESENT:
        guest_r = atomics.load(machine.rev, 2 * index)
        set_permission(machine.hpt, index, guest_r & HPTE_R_PERMISSION)
        v = (v & ~HPTE_V_ABSENT) | HPTE_V_VALID
    elif action == CLEAN and v & PRESENT and r & HPTE_R_C:
        atomics.store(machine.rev, 2 * index, atomics.load(machine.rev, 2 * index) | HPTE_R_C)
        atomics.fetch_and(machine.hpt, 2 * index + 1, ~HPTE_R_C)
    unlock_hpte(machine.hpt, index, v)


@inlined
def change_ring(machine, cpu, word, action):
    """Apply an action along a ring; return the first HPTE whose lock another has, or -1."""
    if not word & RMAP_PRESENT:
        return -1
    head = ring_head(word)
    index = head
    while True:
        count(machine, cpu, RMAP_STEPS, 1)
        if not try_lock_hpte(machine.hpt, index, ZERO):
            return index
        _apply(machine, cpu, index, action)
        index = ring_next(machine.rev, index)
        if index == head:
            return -1


@inlined
def change_page(machine, cpu, gfn, action):
    """Apply an action to each HPTE of a page; `cpu` is whose events are counted.

    Holds the page's rmap lock and tries each HPTE lock; on failure it releases the rmap, waits and
    starts the page again. Every HPTE is locked, also one that looks right: a fault handler that
    has marked the page but not yet made it writable holds that lock.
    """
    busy = I64(0)
    while busy >= 0:
        word = lock_rmap(machine.rmap, gfn)
        busy = change_ring(machine, cpu, word, action)
        unlock_rmap(machine.rmap, gfn, word)
        if busy >= 0:
            wait_hpte_unlocked(machine, cpu, busy)


@inlined
def change_dirty_pages(machine, slot, number, mask, action):
    """Apply an action to the pages of a slot that one word of its bitmap names; count them.

    A 16 MiB page is one HPTE on the ring of its first page, yet its bits are in many words: that
    ring is re-armed with every word, or a store to a page whose bit was taken late would find the
    HPTE still writable and leave no mark. (The bits of a 64 KiB page are in one word, and its
    first page's is set first.)

    Parameters
    ----------
    number : int
        Which word of the slot's bitmap.
    mask : uint64
        The pages: bit b is page 64 * number + b of the slot.
    """
    event = PAGES_CLEARED if action == CLEAN else PAGES_REARMED
    count(machine, machine.nvcpus, event, popcount(mask))
    first = slot_field(machine, slot, SLOT_BASE_GFN) + number * PAGES_PER_WORD
    if slot_field(machine, slot, SLOT_LARGE):
        pages = pages_of(machine, LARGE_PAGE_SHIFT)
        change_page(machine, machine.nvcpus, first & ~(pages - 1), action)
    while mask:
        change_page(machine, machine.nvcpus, first + ctz(mask), action)
        mask &= mask - ONE


@kernel
def change_slot(machine, slot, action):
    """Apply an action to every page of a slot."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for gfn in range(base, base + slot_field(machine, slot, SLOT_NPAGES)):
        change_page(machine, machine.nvcpus, gfn, action)


@kernel
def start_logging(machine, slot, mode, action):
    """Start an empty log: clear the bitmap, set the mode, take the permissions, flush once.

    The mode comes first: an HPTE entered after the walk has passed its page sees it. A store of the
    host that did not see it has left when the log starts.
    """
    start = bitmap_start(machine, slot, 0)
    for word in range(start, start + 2 * slot_field(machine, slot, SLOT_BITMAP_WORDS)):
        atomics.store(machine.bitmap, word, ZERO)
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_ACTIVE, ZERO)
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY, ZERO)
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY + 1, ZERO)
    set_log_mode(machine, slot, mode)
    wait_for_handlers(machine)
    if machine.delayed_c and action == CLEAN:
        flush_tlbs(machine, machine.nvcpus)  # C that is owed comes before all C is cleared
    change_slot(machine, slot, action)
    count(machine, machine.nvcpus, PAGES_PROTECTED, slot_field(machine, slot, SLOT_NPAGES))
    flush_tlbs(machine, machine.nvcpus)


@kernel
def stop_logging(machine, slot):
    """Give the guest back its own permissions; R and C are as they were.

    Returns when no fault handler can still be marking the old log.
    """
    set_log_mode(machine, slot, LOG_OFF)
    wait_for_handlers(machine)
    change_slot(machine, slot, RESTORE)
