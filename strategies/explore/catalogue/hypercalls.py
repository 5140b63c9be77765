"""Losses of the hypercalls (`book3s_hv_rm_mmu.c`)."""

from strategies.core import atomics, h_change, h_enter, h_remove, papr, rmap
from strategies.core.events import HYPERCALLS, count
from strategies.core.h_change import CHANGEABLE
from strategies.core.hpte import (
    HPTE_R_KEY_HI,
    HPTE_R_KEY_LO,
    HPTE_R_N,
    HPTE_R_PP,
    HPTE_R_PP0,
    HPTE_R_R,
    HPTE_R_RC,
    HPTE_V_VALID,
    HPTES_PER_GROUP,
    hpte_is_writable,
    hpte_make_readonly,
)
from strategies.core.locks import lock_hpte, try_lock_hpte, unlock_hpte
from strategies.core.papr import (
    H_AVPN,
    H_EXACT,
    H_NOT_FOUND,
    H_SUCCESS,
    PRESENT,
    invalidate_hpte,
    is_named,
    save_in_rmap,
    set_gpr,
)
from strategies.core.rmap import RMAP_PRESENT, RMAP_REFERENCED
from strategies.core.words import I64, U64, ZERO
from strategies.explore.defect import Defect

_add_to_ring = rmap.add_to_ring
_lock_free_hpte = h_enter._lock_free_hpte


def add_to_ring(rev, word, index):
    """`kvmppc_add_revmap_chain` of 2012, which ended with `*rmap = i | REFERENCED | PRESENT`.

    A guest that enters its HPTE with C set, as Linux does where it may be stored to, escapes:
    H_ENTER has looked at CHANGED before, and lets that C into the HPTE.
    """
    if word & RMAP_PRESENT:
        return _add_to_ring(rev, word, index)
    _add_to_ring(rev, ZERO, index)
    return RMAP_REFERENCED | RMAP_PRESENT | U64(index)


def is_named_if_valid(v, flags, avpn):
    """Say whether a locked HPTE is what a hypercall names, and valid to the hardware."""
    return v & HPTE_V_VALID and is_named(v, flags, avpn)


def lock_free_hpte_at_once(machine, vcpu, flags, pte_index):
    """Lock a free HPTE of a group, and take what another holds locked for taken."""
    if flags & H_EXACT:
        return _lock_free_hpte(machine, vcpu, flags, pte_index)
    group = I64(pte_index) & ~(HPTES_PER_GROUP - 1)
    for free in range(group, group + HPTES_PER_GROUP):
        if try_lock_hpte(machine.hpt, free, PRESENT):
            return free
    return -1


def remove(machine, vcpu, index, v):
    """H_REMOVE that reads dword 1 before the tlbie, not after it."""
    r = atomics.load(machine.hpt, 2 * index + 1)
    invalidate_hpte(machine, vcpu, index, v)
    guest_r = atomics.load(machine.rev, 2 * index) | (r & HPTE_R_RC)
    save_in_rmap(machine, v, guest_r, r, True, index)
    unlock_hpte(machine.hpt, index, ZERO)
    return guest_r


def _h_protect(machine, vcpu, flags, pte_index, avpn, tlbie_is_needed):
    """H_PROTECT that makes its tlbie, if one is needed, after it computed the new dword 1."""
    count(machine, vcpu, HYPERCALLS, 1)
    index = I64(pte_index)
    v = lock_hpte(machine, vcpu, index)
    if not is_named(v, flags & H_AVPN, avpn):
        unlock_hpte(machine.hpt, index, v)
        return H_NOT_FOUND
    rights = (flags << U64(55)) & HPTE_R_PP0 | (flags << U64(48)) & HPTE_R_KEY_HI
    rights |= flags & (HPTE_R_PP | HPTE_R_N | HPTE_R_KEY_LO)
    guest_r = (atomics.load(machine.rev, 2 * index) & ~CHANGEABLE) | rights
    atomics.store(machine.rev, 2 * index, guest_r)
    r = atomics.load(machine.hpt, 2 * index + 1)
    new = (r & ~CHANGEABLE) | rights
    if hpte_is_writable(new) and not hpte_is_writable(r):
        new = hpte_make_readonly(new)
    if tlbie_is_needed(r):
        invalidate_hpte(machine, vcpu, index, v)
    atomics.store(machine.hpt, 2 * index + 1, new)
    unlock_hpte(machine.hpt, index, v)
    return H_SUCCESS


def h_protect_reading_early(machine, vcpu, flags, pte_index, avpn):
    """H_PROTECT that computes the new dword 1 before the tlbie and stores it after."""
    return _h_protect(machine, vcpu, flags, pte_index, avpn, lambda r: True)


def h_protect_trusting_r(machine, vcpu, flags, pte_index, avpn):
    """H_PROTECT that makes no tlbie where the HPTE forbids stores already."""
    return _h_protect(machine, vcpu, flags, pte_index, avpn, hpte_is_writable)


def h_clear_ref(machine, vcpu, pte_index):
    """H_CLEAR_REF that clears R by a load and a store, over a C that is set between them."""
    count(machine, vcpu, HYPERCALLS, 1)
    index = I64(pte_index)
    v = lock_hpte(machine, vcpu, index)
    r = atomics.load(machine.hpt, 2 * index + 1)
    atomics.store(machine.hpt, 2 * index + 1, r & ~HPTE_R_R)
    guest_r = atomics.load(machine.rev, 2 * index) | (r & HPTE_R_RC)
    save_in_rmap(machine, v, guest_r, r & HPTE_R_R, False, index)
    atomics.store(machine.rev, 2 * index, guest_r & ~HPTE_R_R)
    unlock_hpte(machine.hpt, index, v)
    set_gpr(machine, vcpu, 0, guest_r)
    return H_SUCCESS


DEFECTS = (
    Defect(
        name="full-at-one-look",
        what="H_ENTER says H_PTEG_FULL where the one free HPTE is locked for a moment.",
        origin="design: the first pass skips what is locked, the second waits",
        lived="-",
        program="enter-any,clear-mod@full",
        strategy="c_bit_scan",
        replaces=((h_enter._lock_free_hpte, lock_free_hpte_at_once),),
    ),
    Defect(
        name="changed-overwritten",
        what="H_ENTER stores a new rmap word over the CHANGED that H_REMOVE saved there.",
        origin="in bad3b5075eeb to 7ed661bf, gone in 010e85f9e47c; what fixed it is not known",
        lived="2011-12 to 2012-12 or later",
        program="in-turn-enter-clean",
        strategy="c_bit_scan",
        replaces=((rmap.add_to_ring, add_to_ring),),
    ),
    Defect(
        name="remove-reads-c-early",
        what="H_REMOVE takes C before the tlbie, when a store may still set it.",
        origin="fixed by 1e5bf454f587; came with 6f22bd3265fb",
        lived="until 1e5bf454f587",
        program="store-remove",
        strategy="c_bit_scan",
        replaces=((h_remove._remove, remove),),
    ),
    Defect(
        name="protect-reads-c-early",
        what="H_PROTECT computes dword 1 before the tlbie and stores it after, over a new C.",
        origin="fixed by f064a0de1579; came with a8606e20e41a, June 2011",
        lived="2011-06 to f064a0de1579",
        program="store-protect",
        strategy="c_bit_scan",
        replaces=((h_change.h_protect, h_protect_reading_early),),
    ),
    Defect(
        name="protect-skips-its-tlbie",
        what="H_PROTECT makes no tlbie where a harvest, its flush to come, "
        "made the HPTE read-only.",
        origin="fixed in x86 by 6dbf79e7164e",
        lived="x86, until 6dbf79e7164e",
        program="protect-harvest",
        strategy="write_protect_batched",
        replaces=((h_change.h_protect, h_protect_trusting_r),),
    ),
    Defect(
        name="absent-is-not-found",
        what="H_REMOVE does not find an HPTE that the host made absent for a while.",
        origin="ABSENT of KVM: the guest sees such an HPTE as valid",
        lived="-",
        program="remove-store-harvest",
        strategy="pte_flush",
        replaces=((papr.is_named, is_named_if_valid),),
    ),
    Defect(
        name="clear-ref-by-load-and-store",
        what="H_CLEAR_REF writes dword 1 without R, over the C that the hardware sets meanwhile.",
        origin="kvmppc_clear_ref_hpte writes the byte that has R, not the one that has C",
        lived="-",
        program="store-clear-ref",
        strategy="c_bit_scan",
        replaces=((h_change.h_clear_ref, h_clear_ref),),
    ),
)
