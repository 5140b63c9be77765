"""H_ENTER (`kvmppc_do_h_enter`)."""

from strategies.core import atomics
from strategies.core.events import HYPERCALLS, count
from strategies.core.groups import enters_readonly
from strategies.core.hpt import hpte_gfn, pages_of
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_RC,
    HPTE_V_ABSENT,
    HPTE_V_HVLOCK,
    HPTE_V_VALID,
    HPTES_PER_GROUP,
    SHIFT_16M,
    hpte_cache_flags_ok,
    hpte_make_readonly,
    hpte_page_shift,
)
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_hpte, lock_rmap, try_lock_hpte, unlock_hpte, unlock_rmap
from strategies.core.machine import (
    LOG_ABSENT,
    LOG_GROUPS,
    LOG_HEAT,
    LOG_PML,
    SLOT_BASE_GFN,
    SLOT_LARGE,
    SLOT_NPAGES,
    SLOT_WORDS,
)
from strategies.core.memslot import log_mode, slot_field, slot_of_gfn
from strategies.core.papr import (
    H_EXACT,
    H_PARAMETER,
    H_PTEG_FULL,
    H_SUCCESS,
    PRESENT,
    no_such_hpte,
    set_gpr,
)
from strategies.core.rmap import RMAP_RC_SHIFT, add_to_ring
from strategies.core.words import I64, ONE, U64


@inlined
def _slot_for(machine, pteh, ptel, shift):
    """Return the slot that an H_ENTER maps, or -1: no memory, not aligned in it, not cacheable."""
    gfn = hpte_gfn(machine, ptel, shift)
    slot = slot_of_gfn(machine, gfn)
    if slot < 0 or not hpte_cache_flags_ok(ptel):
        return -1
    pages = pages_of(machine, shift)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    if pages > 1 and (base | slot_field(machine, slot, SLOT_NPAGES)) & (pages - 1):
        return -1
    return slot


@inlined
def _lock_free_hpte(machine, vcpu, flags, pte_index):
    """Lock a free HPTE: the one named (H_EXACT) or the first of its group; -1 when there is none.

    The first pass skips what is locked, the second waits: a slot may be on its way to be free.
    """
    index = I64(pte_index)
    if flags & H_EXACT:
        v = lock_hpte(machine, vcpu, index)
        if not v & PRESENT:
            return index
        unlock_hpte(machine.hpt, index, v)
        return -1
    group = index & ~(HPTES_PER_GROUP - 1)
    for free in range(group, group + HPTES_PER_GROUP):
        if try_lock_hpte(machine.hpt, free, PRESENT):
            return free
    for free in range(group, group + HPTES_PER_GROUP):
        v = lock_hpte(machine, vcpu, free)
        if not v & PRESENT:
            return free
        unlock_hpte(machine.hpt, free, v)
    return -1


@kernel
def h_enter(machine, vcpu, flags, pte_index, pteh, ptel):
    """H_ENTER: enter an HPTE; r4 = its index (`kvmppc_do_h_enter`).

    Returns H_SUCCESS, H_PTEG_FULL, or H_PARAMETER: index out of range, page size unknown, address
    outside every slot or not aligned in it, WIMG not that of memory.

    Locks: the HPTE's, then the page's rmap. The logging mode is read under the rmap lock: an
    enable that changed it before locks every rmap after, so one of the two sees the other. R and
    C start at 0 unless the rmap has them already ("Only set R/C in real HPTE if ..."). Dword 1 is
    written before the rmap lock goes: a scan that takes CHANGED must see the C that comes of it.
    Where the hardware logs, or C tells of open pages alone, C starts at 0: set from the start, it
    would speak for pages of a large page that were never written.
    """
    count(machine, vcpu, HYPERCALLS, 1)
    shift = hpte_page_shift(pteh, ptel)
    if no_such_hpte(machine, pte_index) or shift == 0:
        return H_PARAMETER
    slot = _slot_for(machine, pteh, ptel, shift)
    if slot < 0:
        return H_PARAMETER
    index = _lock_free_hpte(machine, vcpu, flags, pte_index)
    if index < 0:
        return H_PTEG_FULL
    atomics.store(machine.rev, 2 * index, ptel)
    if shift == SHIFT_16M:
        atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_LARGE, ONE)
    gfn = hpte_gfn(machine, ptel, shift)
    word = lock_rmap(machine.rmap, gfn)
    mode = log_mode(machine, slot)
    r = ptel & ((word >> RMAP_RC_SHIFT) | ~HPTE_R_RC)
    if enters_readonly(machine, slot, mode, gfn):
        r = hpte_make_readonly(r)
    if mode in (LOG_PML, LOG_GROUPS, LOG_HEAT):
        r &= ~HPTE_R_C
    state = HPTE_V_ABSENT if mode == LOG_ABSENT else HPTE_V_VALID
    atomics.store(machine.hpt, 2 * index + 1, r)
    unlock_rmap(machine.rmap, gfn, add_to_ring(machine.rev, word, index))
    unlock_hpte(machine.hpt, index, (pteh & ~(PRESENT | HPTE_V_HVLOCK)) | state)
    set_gpr(machine, vcpu, 0, U64(index))
    return H_SUCCESS
