"""PAPR's numbers, and what all hypercalls that change an HPTE share (PAPR 14.5.4).

A hypercall takes the calling vCPU and its registers as 64-bit words and returns a PAPR code;
results go to r4 and up (`set_gpr`). A vCPU in a hypercall has no access announced.

Two views of R and C are kept: the guest's in `guest_rpte`, the host's in the HPTE and, when an HPTE
goes, in the rmap word.
"""

from strategies.core import atomics
from strategies.core.hpt import hpte_gfn, pages_of
from strategies.core.hpte import (
    HPTE_V_ABSENT,
    HPTE_V_HVLOCK,
    HPTE_V_VALID,
    HPTES_PER_GROUP,
    hpte_page_shift,
)
from strategies.core.jit import inlined
from strategies.core.locks import lock_rmap, unlock_rmap
from strategies.core.machine import GPR_WORDS
from strategies.core.rmap import remove_from_ring, save_rc
from strategies.core.tlb import tlbie
from strategies.core.words import U64, bit, ctz

H_SUCCESS = 0
H_FUNCTION = -2
H_PARAMETER = -4
H_PTEG_FULL = -6
H_NOT_FOUND = -7

# Flags: PAPR counts bits from the most significant.
H_EXACT = bit(63 - 24)
H_READ_4 = bit(63 - 26)
H_AVPN = bit(63 - 32)
H_ANDCOND = bit(63 - 33)

AVPN_MASK = ~U64(0x7F)
PRESENT = HPTE_V_VALID | HPTE_V_ABSENT


@inlined
def set_gpr(machine, vcpu, number, value):
    """Set register r4 + `number` of a vCPU."""
    atomics.store_own(machine.gpr, vcpu * GPR_WORDS + number, value)


@inlined
def get_gpr(machine, vcpu, number):
    """Return register r4 + `number` of a vCPU."""
    return atomics.load_own(machine.gpr, vcpu * GPR_WORDS + number)


@inlined
def no_such_hpte(machine, pte_index):
    """Say whether a PTE index from the guest is beyond the HPT."""
    return pte_index >= U64((machine.group_mask + 1) * HPTES_PER_GROUP)


@inlined
def invalidate_hpte(machine, cpu, index, v):
    """Make a locked HPTE absent, wait until no TLB has it, and return dword 1: now R and C rest.

    What the hardware still set before the tlbie was complete is in it (1e5bf454f587). An absent
    HPTE is treated as a valid one: a harvest may have left its flush for the end.
    """
    absent = (v & ~HPTE_V_VALID) | HPTE_V_ABSENT | HPTE_V_HVLOCK
    atomics.exchange(machine.hpt, 2 * index, absent)
    tlbie(machine, cpu, v, atomics.load(machine.rev, 2 * index), index)
    return atomics.load(machine.hpt, 2 * index + 1)


@inlined
def save_in_rmap(machine, v, guest_r, r, unlink, index):
    """Save R and C of `r` in the page's rmap word and, with `unlink`, take the HPTE off its ring.

    The HPTE lock is held; the rmap lock is taken and released.
    """
    shift = hpte_page_shift(v, guest_r)
    gfn = hpte_gfn(machine, guest_r, shift)
    word = lock_rmap(machine.rmap, gfn)
    if unlink:
        word = remove_from_ring(machine.rev, word, index)
    order = ctz(U64(pages_of(machine, shift)))
    unlock_rmap(machine.rmap, gfn, save_rc(word, r, order))


@inlined
def guest_view(v):
    """Return dword 0 as the guest may see it: neither lock nor ABSENT."""
    if v & HPTE_V_ABSENT:
        v = (v & ~HPTE_V_ABSENT) | HPTE_V_VALID
    return v & ~HPTE_V_HVLOCK


@inlined
def is_named(v, flags, avpn):
    """Say whether a locked HPTE is present and meets H_AVPN or H_ANDCOND."""
    if not v & PRESENT:
        return False
    if flags & H_AVPN and (v & AVPN_MASK) != avpn:
        return False
    return not (flags & H_ANDCOND and guest_view(v) & avpn)
