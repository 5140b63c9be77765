"""H_REMOVE and H_BULK_REMOVE (`kvmppc_do_h_remove`, `kvmppc_h_bulk_remove`)."""

from strategies.core import atomics
from strategies.core.events import HYPERCALLS, count
from strategies.core.hpte import HPTE_R_RC
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_hpte, unlock_hpte
from strategies.core.papr import (
    AVPN_MASK,
    H_NOT_FOUND,
    H_PARAMETER,
    H_SUCCESS,
    PRESENT,
    get_gpr,
    guest_view,
    invalidate_hpte,
    is_named,
    no_such_hpte,
    save_in_rmap,
    set_gpr,
)
from strategies.core.words import I64, ONE, U64, ZERO

# H_BULK_REMOVE: the type and the flags of a request, in the first byte of a register pair.
BULK_PAIRS = 4
BULK_SHIFT = U64(56)
BULK_INDEX_MASK = (ONE << BULK_SHIFT) - ONE
BULK_REQUEST = U64(1)
BULK_END = U64(3)
BULK_ABSOLUTE, BULK_ANDCOND, BULK_AVPN = U64(0), U64(1), U64(2)
BULK_REMOVED, BULK_NOT_FOUND, BULK_INVALID = U64(0x80), U64(0x90), U64(0xA0)
BULK_RC_SHIFT = U64(56 - 5)


@inlined
def _remove(machine, vcpu, index, v):
    """Remove a locked HPTE; return the guest's view of dword 1. The lock is released."""
    r = invalidate_hpte(machine, vcpu, index, v)
    guest_r = atomics.load(machine.rev, 2 * index) | (r & HPTE_R_RC)
    save_in_rmap(machine, v, guest_r, r, True, index)
    unlock_hpte(machine.hpt, index, ZERO)
    return guest_r


@kernel
def h_remove(machine, vcpu, flags, pte_index, avpn):
    """H_REMOVE: remove an HPTE; r4, r5 = what it was (`kvmppc_do_h_remove`).

    Returns H_SUCCESS, H_PARAMETER (index), or H_NOT_FOUND: not valid, H_AVPN and another AVPN,
    H_ANDCOND and a bit of `avpn` set.
    """
    count(machine, vcpu, HYPERCALLS, 1)
    if no_such_hpte(machine, pte_index):
        return H_PARAMETER
    index = I64(pte_index)
    v = lock_hpte(machine, vcpu, index)
    if not is_named(v, flags, avpn):
        unlock_hpte(machine.hpt, index, v)
        return H_NOT_FOUND
    set_gpr(machine, vcpu, 1, _remove(machine, vcpu, index, v))
    set_gpr(machine, vcpu, 0, guest_view(v))
    return H_SUCCESS


@inlined
def _bulk_remove_one(machine, vcpu, index, kind, condition):
    """Do one request of H_BULK_REMOVE; return the first byte of the response and R, C."""
    v = lock_hpte(machine, vcpu, index)
    found = v & PRESENT != ZERO
    if kind == BULK_ANDCOND:
        found = found and not guest_view(v) & condition
    elif kind == BULK_AVPN:
        found = found and (v & AVPN_MASK) == condition
    if not found:
        unlock_hpte(machine.hpt, index, v)
        return (BULK_NOT_FOUND | kind) << BULK_SHIFT
    r = _remove(machine, vcpu, index, v)
    return (BULK_REMOVED | kind) << BULK_SHIFT | (r & HPTE_R_RC) << BULK_RC_SHIFT


@kernel
def h_bulk_remove(machine, vcpu):
    """H_BULK_REMOVE: up to four requests in r4 to r11, answered in place (`kvmppc_h_bulk_remove`).

    Returns H_SUCCESS, or H_PARAMETER at the first malformed request, which is marked.
    """
    count(machine, vcpu, HYPERCALLS, 1)
    for pair in range(BULK_PAIRS):
        request = get_gpr(machine, vcpu, 2 * pair)
        kind = (request >> BULK_SHIFT) & U64(3)
        pte_index = request & BULK_INDEX_MASK
        if request >> U64(62) == BULK_END:
            break
        if request >> U64(62) != BULK_REQUEST or kind == U64(3) or no_such_hpte(machine, pte_index):
            set_gpr(machine, vcpu, 2 * pair, (BULK_INVALID | kind) << BULK_SHIFT | pte_index)
            return H_PARAMETER
        answer = _bulk_remove_one(
            machine, vcpu, I64(pte_index), kind, get_gpr(machine, vcpu, 2 * pair + 1)
        )
        set_gpr(machine, vcpu, 2 * pair, answer | pte_index)
    return H_SUCCESS
