"""H_PROTECT, H_READ, H_CLEAR_REF and H_CLEAR_MOD: hypercalls that keep the HPTE."""

from strategies.core import atomics
from strategies.core.events import HYPERCALLS, count
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_KEY_HI,
    HPTE_R_KEY_LO,
    HPTE_R_N,
    HPTE_R_PP,
    HPTE_R_PP0,
    HPTE_R_R,
    HPTE_R_RC,
    HPTE_V_VALID,
    hpte_is_writable,
    hpte_make_readonly,
)
from strategies.core.jit import kernel
from strategies.core.locks import lock_hpte, unlock_hpte
from strategies.core.papr import (
    H_AVPN,
    H_NOT_FOUND,
    H_PARAMETER,
    H_READ_4,
    H_SUCCESS,
    PRESENT,
    guest_view,
    invalidate_hpte,
    is_named,
    no_such_hpte,
    save_in_rmap,
    set_gpr,
)
from strategies.core.words import I64, U64

CHANGEABLE = HPTE_R_PP0 | HPTE_R_PP | HPTE_R_N | HPTE_R_KEY_HI | HPTE_R_KEY_LO


@kernel
def h_protect(machine, vcpu, flags, pte_index, avpn):
    """H_PROTECT: change PP, N and key of an HPTE as `flags` say (`kvmppc_h_protect`).

    Returns H_SUCCESS, H_PARAMETER (index) or H_NOT_FOUND (as H_REMOVE, H_ANDCOND apart).

    The HPTE never becomes writable here: the next store faults, and the host decides. It is always
    invalidated, changed or not, since a harvest may have left a more permissive translation in a
    TLB until its flush.
    """
    count(machine, vcpu, HYPERCALLS, 1)
    if no_such_hpte(machine, pte_index):
        return H_PARAMETER
    index = I64(pte_index)
    v = lock_hpte(machine, vcpu, index)
    if not is_named(v, flags & H_AVPN, avpn):
        unlock_hpte(machine.hpt, index, v)
        return H_NOT_FOUND
    rights = (flags << U64(55)) & HPTE_R_PP0 | (flags << U64(48)) & HPTE_R_KEY_HI
    rights |= flags & (HPTE_R_PP | HPTE_R_N | HPTE_R_KEY_LO)
    guest_r = (atomics.load(machine.rev, 2 * index) & ~CHANGEABLE) | rights
    atomics.store(machine.rev, 2 * index, guest_r)
    r = invalidate_hpte(machine, vcpu, index, v)
    new = (r & ~CHANGEABLE) | rights
    if hpte_is_writable(new) and not hpte_is_writable(r):
        new = hpte_make_readonly(new)
    atomics.store(machine.hpt, 2 * index + 1, new)
    unlock_hpte(machine.hpt, index, v)
    return H_SUCCESS


@kernel
def h_read(machine, vcpu, flags, pte_index):
    """H_READ: r4, r5 = an HPTE as the guest sees it; with H_READ_4 four of them (`kvmppc_h_read`).

    Returns H_SUCCESS or H_PARAMETER (index). No lock is taken.
    """
    count(machine, vcpu, HYPERCALLS, 1)
    if no_such_hpte(machine, pte_index):
        return H_PARAMETER
    first, hptes = I64(pte_index), 1
    if flags & H_READ_4:
        first, hptes = first & ~3, 4
    for k in range(hptes):
        index = first + k
        v = guest_view(atomics.load(machine.hpt, 2 * index))
        r = atomics.load(machine.hpt, 2 * index + 1)
        if v & HPTE_V_VALID:
            r = atomics.load(machine.rev, 2 * index) | (r & HPTE_R_RC)
        set_gpr(machine, vcpu, 2 * k, v)
        set_gpr(machine, vcpu, 2 * k + 1, r)
    return H_SUCCESS


@kernel
def h_clear_ref(machine, vcpu, pte_index):
    """H_CLEAR_REF: clear R in the guest's view; r4 = dword 1 before (`kvmppc_h_clear_ref`).

    The host's view keeps R, in the rmap word. No tlbie, so that R may miss a later access; KVM
    makes one (`kvmppc_clear_ref_hpte`).
    """
    count(machine, vcpu, HYPERCALLS, 1)
    if no_such_hpte(machine, pte_index):
        return H_PARAMETER
    index = I64(pte_index)
    v = lock_hpte(machine, vcpu, index)
    if not v & PRESENT:
        unlock_hpte(machine.hpt, index, v)
        return H_NOT_FOUND
    r = atomics.fetch_and(machine.hpt, 2 * index + 1, ~HPTE_R_R)
    guest_r = atomics.load(machine.rev, 2 * index) | (r & HPTE_R_RC)
    save_in_rmap(machine, v, guest_r, r & HPTE_R_R, False, index)
    atomics.store(machine.rev, 2 * index, guest_r & ~HPTE_R_R)
    unlock_hpte(machine.hpt, index, v)
    set_gpr(machine, vcpu, 0, guest_r)
    return H_SUCCESS


@kernel
def h_clear_mod(machine, vcpu, pte_index):
    """H_CLEAR_MOD: clear C in the guest's view; r4 = dword 1 before (`kvmppc_h_clear_mod`).

    The HPTE is made absent while C is cleared, and C goes to the rmap word first, so that a later
    harvest knows (cdeee51842b5).
    """
    count(machine, vcpu, HYPERCALLS, 1)
    if no_such_hpte(machine, pte_index):
        return H_PARAMETER
    index = I64(pte_index)
    v = lock_hpte(machine, vcpu, index)
    if not v & PRESENT:
        unlock_hpte(machine.hpt, index, v)
        return H_NOT_FOUND
    r = invalidate_hpte(machine, vcpu, index, v)
    guest_r = atomics.load(machine.rev, 2 * index) | (r & HPTE_R_RC)
    save_in_rmap(machine, v, guest_r, r & HPTE_R_C, False, index)
    atomics.store(machine.hpt, 2 * index + 1, r & ~HPTE_R_C)
    atomics.store(machine.rev, 2 * index, guest_r & ~HPTE_R_C)
    unlock_hpte(machine.hpt, index, v)
    set_gpr(machine, vcpu, 0, guest_r)
    return H_SUCCESS
