"""Take the changed bits of pages: what trackers that read C do (`kvm_test_clear_dirty_npages`).

CHANGED in a page's rmap word speaks for HPTEs that are gone, C for those that are there. One walk
serves all actions; the action is a constant at each call and compiles to straight code.
"""

from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import PAGES_CLEARED, PAGES_PASSED, PAGES_SCANNED, RMAP_STEPS, count
from strategies.core.handlers import wait_for_handlers
from strategies.core.hpt import pages_of
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_V_ABSENT,
    HPTE_V_HVLOCK,
    HPTE_V_VALID,
    hpte_is_writable,
    hpte_make_readonly,
    hpte_page_shift,
)
from strategies.core.jit import inlined, kernel
from strategies.core.locks import (
    RMAP_LOCK,
    lock_rmap,
    try_lock_hpte,
    unlock_hpte,
    unlock_rmap,
    wait_hpte_unlocked,
)
from strategies.core.machine import SLOT_BASE_GFN, SLOT_NPAGES
from strategies.core.memslot import clear_log, report_pages, set_log_mode, slot_field
from strategies.core.papr import invalidate_hpte
from strategies.core.rmap import (
    RMAP_CHANGED,
    RMAP_CHANGED_ORDER,
    RMAP_CHANGED_SHIFT,
    RMAP_PRESENT,
    ring_head,
    ring_next,
)
from strategies.core.tlb import fetch_c, shared_tlbie
from strategies.core.words import I64, ONE, ZERO

EACH = 0  # absent, tlbie, C cleared, valid again: one HPTE after the other
EACH_WRITABLE = 1  # also those with C clear that permit stores: C may be on its way from a TLB
IN_PLACE = 2  # C cleared while valid; a flush of the TLBs must follow
ABSENT = 3  # absent, C left; the tlbie's wait and FINISH must follow
ABSENT_WRITABLE = 4  # as EACH_WRITABLE
FINISH = 5  # what is absent: C cleared, valid again; what became valid meanwhile: as EACH
FINISH_COLD = 6  # as FINISH, and read-only
ABSENT_FLUSHED = 7  # as ABSENT_WRITABLE without a tlbie; a flush and FINISH_COLD must follow

AHEAD = 24
"""Pages by which `scan_slot_ahead` fetches HPTEs before it looks at them."""


@inlined
def is_due(machine, index, action):
    """Say whether an HPTE that is not locked is to be changed.

    What forbids stores has no C on its way: what made it so made a tlbie.
    """
    r = atomics.load(machine.hpt, 2 * index + 1)
    if action == FINISH:
        absent = atomics.load(machine.hpt, 2 * index) & HPTE_V_ABSENT
        return absent != ZERO or r & HPTE_R_C != ZERO
    if action == FINISH_COLD:
        return True
    if action in (EACH_WRITABLE, ABSENT_WRITABLE, ABSENT_FLUSHED):
        return r & HPTE_R_C != ZERO or hpte_is_writable(r)
    return r & HPTE_R_C != ZERO


@inlined
def _pages_told(machine, index, v):
    """Tell the guest's view of an HPTE its C; return how many pages C speaks for."""
    guest_r = atomics.load(machine.rev, 2 * index)
    atomics.store(machine.rev, 2 * index, guest_r | HPTE_R_C)
    return pages_of(machine, hpte_page_shift(v, guest_r))


@inlined
def _clear_at_rest(machine, index, r):
    """Clear C of an absent HPTE that no TLB has, if set; return how many pages it spoke for."""
    if not r & HPTE_R_C:
        return 0
    npages = _pages_told(machine, index, atomics.load(machine.hpt, 2 * index))
    atomics.store(machine.hpt, 2 * index + 1, r & ~HPTE_R_C)
    return npages


@inlined
def _clear_in_place(machine, index, v):
    """Clear C of a valid HPTE, the guest's view first; return how many pages it spoke for."""
    npages = _pages_told(machine, index, v)
    atomics.fetch_and(machine.hpt, 2 * index + 1, ~HPTE_R_C)
    return npages


@inlined
def _make_absent(machine, index, v, r, action):
    """Make a valid HPTE absent, its tlbie without a wait; return how many pages C speaks for."""
    absent = (v & ~HPTE_V_VALID) | HPTE_V_ABSENT
    atomics.exchange(machine.hpt, 2 * index, absent | HPTE_V_HVLOCK)
    guest_r = atomics.load(machine.rev, 2 * index)
    if action != ABSENT_FLUSHED:
        shared_tlbie(machine, machine.nvcpus, v, guest_r, index)
    return pages_of(machine, hpte_page_shift(v, guest_r)) if r & HPTE_R_C else 0


@inlined
def _finish_cold(machine, index, action):
    """Make an absent HPTE read-only if the action says so."""
    r = atomics.load(machine.hpt, 2 * index + 1)
    if action == FINISH_COLD and hpte_is_writable(r):
        atomics.store(machine.hpt, 2 * index + 1, hpte_make_readonly(r))


@inlined
def clear_c(machine, index, action):
    """Do an action to a locked HPTE and release it; return how many pages its C spoke for.

    But for IN_PLACE the HPTE is absent while C is cleared: a translation cached with C set would
    never set it again.
    """
    v = atomics.load(machine.hpt, 2 * index)
    npages = 0
    if v & HPTE_V_VALID and is_due(machine, index, action):
        if action == IN_PLACE:
            npages = _clear_in_place(machine, index, v)
        elif action in (ABSENT, ABSENT_WRITABLE, ABSENT_FLUSHED):
            r = atomics.load(machine.hpt, 2 * index + 1)
            npages = _make_absent(machine, index, v, r, action)
            v = (v & ~HPTE_V_VALID) | HPTE_V_ABSENT
        else:
            r = invalidate_hpte(machine, machine.nvcpus, index, v)
            npages = _clear_at_rest(machine, index, r)
            _finish_cold(machine, index, action)
    elif action in (FINISH, FINISH_COLD) and v & HPTE_V_ABSENT:
        fetch_c(machine, v, atomics.load(machine.rev, 2 * index), index)
        npages = _clear_at_rest(machine, index, atomics.load(machine.hpt, 2 * index + 1))
        _finish_cold(machine, index, action)
        v = (v & ~HPTE_V_ABSENT) | HPTE_V_VALID
    unlock_hpte(machine.hpt, index, v)
    return npages


@inlined
def scan_ring(machine, word, npages, action):
    """Do an action along a ring; return the first HPTE whose lock another has, or -1, and pages.

    An HPTE that cannot be changed is skipped without taking its lock.
    """
    if not word & RMAP_PRESENT:
        return -1, npages
    head = ring_head(word)
    index = head
    while True:
        count(machine, machine.nvcpus, RMAP_STEPS, 1)
        if is_due(machine, index, action):
            if not try_lock_hpte(machine.hpt, index, ZERO):
                return index, npages
            npages = max(npages, clear_c(machine, index, action))
        index = ring_next(machine.rev, index)
        if index == head:
            return -1, npages


@inlined
def test_clear_dirty(machine, gfn, action):
    """Return how many pages from `gfn` on were written: 0, 1, or those of a large page.

    Holds the rmap lock, tries HPTE locks; on failure it releases the rmap, waits, and starts again.
    """
    npages = 0
    busy = I64(0)
    while busy >= 0:
        word = lock_rmap(machine.rmap, gfn)
        if word & RMAP_CHANGED:
            order = (word & RMAP_CHANGED_ORDER) >> RMAP_CHANGED_SHIFT
            npages = max(npages, I64(ONE << order))
            word &= ~(RMAP_CHANGED | RMAP_CHANGED_ORDER)
        busy, npages = scan_ring(machine, word, npages, action)
        unlock_rmap(machine.rmap, gfn, word)
        if busy >= 0:
            wait_hpte_unlocked(machine, machine.nvcpus, busy)
    return npages


@inlined
def scan_slot(machine, slot, out, action):
    """Do an action to every page of a slot (`kvmppc_hv_get_dirty_log`), reporting the written ones.

    Returns how many pages were found written that `out` did not have.
    """
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    pages = slot_field(machine, slot, SLOT_NPAGES)
    cleared = 0
    for first in range(pages):
        npages = test_clear_dirty(machine, base + first, action)
        if npages:
            cleared += report_pages(out, first, npages)
    count(machine, machine.nvcpus, PAGES_SCANNED, pages)
    count(machine, machine.nvcpus, PAGES_CLEARED, cleared)
    return cleared


@inlined
def fetch_page(machine, gfn):
    """Let the cache fetch the first HPTE of a page and its revmap entry."""
    word = atomics.load(machine.rmap, gfn)
    if word & RMAP_PRESENT:
        atomics.prefetch(machine.hpt, 2 * ring_head(word))
        atomics.prefetch(machine.rev, 2 * ring_head(word))


@inlined
def is_clean(machine, gfn, action):
    """Say whether a page is clean for sure; takes no lock.

    Its rmap word names one HPTE, that one's C is clear, and the word is still the same: an HPTE
    that goes leaves its C in the word before it goes, and only a harvest takes that from there. An
    index that was given to another page and back names an HPTE that was clean when it went.
    """
    word = atomics.load(machine.rmap, gfn)
    if word & (RMAP_LOCK | RMAP_CHANGED):
        return False
    if not word & RMAP_PRESENT:
        return True
    index = ring_head(word)
    if is_due(machine, index, action) or ring_next(machine.rev, index) != index:
        return False
    return atomics.load(machine.rmap, gfn) == word


@inlined
def _pass_clean(machine, base, page, pages, action):
    """Return the first page from `page` on that is not clean for sure, or `pages`.

    HPTEs are fetched ahead. A loop of its own, which keeps in registers what it needs.
    """
    while page < pages:
        fetch_page(machine, base + min(page + AHEAD, pages - 1))
        if not is_clean(machine, base + page, action):
            break
        page += 1
    return page


@inlined
def scan_slot_ahead(machine, slot, out, action):
    """Do as `scan_slot`, HPTEs fetched ahead and clean pages passed without a lock."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    pages = slot_field(machine, slot, SLOT_NPAGES)
    scanned = cleared = 0
    page = _pass_clean(machine, base, 0, pages, action)
    while page < pages:
        npages = test_clear_dirty(machine, base + page, action)
        if npages:
            cleared += report_pages(out, page, npages)
        scanned += 1
        page = _pass_clean(machine, base, page + 1, pages, action)
    count(machine, machine.nvcpus, PAGES_PASSED, pages - scanned)
    count(machine, machine.nvcpus, PAGES_SCANNED, scanned)
    count(machine, machine.nvcpus, PAGES_CLEARED, cleared)
    return cleared


@kernel
def harvest_ahead(machine, slot, out, words, is_definitive):
    """Harvest by `scan_slot_ahead`; definitive: with a tlbie for every writable HPTE; return ns."""
    start = monotonic_ns()
    clear_log(out, words)
    if is_definitive:
        scan_slot_ahead(machine, slot, out, EACH_WRITABLE)
    else:
        scan_slot_ahead(machine, slot, out, EACH)
    return monotonic_ns() - start


@kernel
def set_scan_mode(machine, slot, mode):
    """Set the mode and wait until stores of the host that did not see it have left."""
    set_log_mode(machine, slot, mode)
    wait_for_handlers(machine)
