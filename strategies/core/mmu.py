"""The MMU: what the hardware does for one load or store of a vCPU."""

from strategies.core import atomics
from strategies.core.events import CHANGED_BITS_SET, LOADS, STORES, TLB_MISSES, count
from strategies.core.hpt import find_hpte
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_R,
    HPTE_V_HVLOCK,
    HPTE_V_VALID,
    hpte_gpa,
    hpte_is_writable,
)
from strategies.core.jit import inlined
from strategies.core.machine import (
    TLB_DATA,
    TLB_GENERATION,
    TLB_TAG,
    VCPU_TLB_GENERATION,
    VCPU_WORDS,
)
from strategies.core.pml import log_change, pml_is_full
from strategies.core.tlb import (
    announce_access,
    set_rc_late,
    tlb_entry,
    tlb_tag,
    withdraw_access,
)
from strategies.core.words import I64, ONE, U64, ZERO

FAULT = -1
"""The hardware cannot complete the access: no valid HPTE, it forbids the store, the log is full."""

FILLED = U64(2)
"""Bit 1 of a TLB entry's data: always set, so that an entry is never 0."""

STORABLE = ONE
"""Bit 0 of a TLB entry's data: stores are permitted and C is set or owed: they need no walk."""


@inlined
def _fill(machine, entry, tag, generation, index, v, data):
    """Install a TLB entry; drop it if the HPTE was invalidated meanwhile.

    The HPTE is read again by a read-modify-write: the tlbie's compare and swap of the tag writes
    nothing if it comes too early, so this side must order both words under any memory model.
    """
    atomics.store_own(machine.tlb, entry + TLB_DATA, data)
    atomics.store_own(machine.tlb, entry + TLB_GENERATION, generation)
    atomics.exchange(machine.tlb, entry + TLB_TAG, tag)
    if (atomics.fetch_or(machine.hpt, 2 * index, ZERO) ^ v) & ~HPTE_V_HVLOCK:
        atomics.exchange(machine.tlb, entry + TLB_TAG, ZERO)


@inlined
def _walk(machine, vcpu, va, shift, is_store, entry, generation):
    """Search the HPT, set R (and C for a store), fill the TLB; return the entry's data or 0.

    While the access is announced, the HPTE that was found valid cannot be given to another page:
    who invalidates it waits.
    """
    index = find_hpte(machine, va, shift, HPTE_V_VALID)
    if index < 0:
        return ZERO
    v = atomics.load(machine.hpt, 2 * index)
    r = atomics.load(machine.hpt, 2 * index + 1)
    if not v & HPTE_V_VALID or (is_store and not hpte_is_writable(r)):
        return ZERO
    needed = HPTE_R_R | HPTE_R_C if is_store else HPTE_R_R
    if is_store and (r & needed) != needed and pml_is_full(machine, vcpu):
        return ZERO
    before = r
    if machine.delayed_c:
        r = set_rc_late(machine.tlb, machine.hpt, entry, index, r, needed)
    elif (r & needed) != needed:
        before = atomics.fetch_or(machine.hpt, 2 * index + 1, needed)
        r = before | needed
    if needed & ~before & HPTE_R_C:
        count(machine, vcpu, CHANGED_BITS_SET, 1)
        log_change(machine, vcpu, r, shift)
    data = hpte_gpa(r, shift) | FILLED
    if r & HPTE_R_C and hpte_is_writable(r):
        data |= STORABLE
    _fill(machine, entry, tlb_tag(va, shift), generation, index, v, data)
    return data


@inlined
def access(machine, vcpu, va, shift, is_store, stamp):
    """Load or store one word of the page at a virtual address, as one instruction does.

    Parameters
    ----------
    va : uint64
        Virtual address.
    shift : int
        log2 of the segment's page size in bytes.
    is_store : bool
        Store `stamp` into the page, or read it.

    Returns
    -------
    int
        The gfn that was accessed, or FAULT: then nothing was.
    """
    sequence = announce_access(machine, vcpu)
    generation = atomics.load(machine.vcpus, vcpu * VCPU_WORDS + VCPU_TLB_GENERATION)
    entry = tlb_entry(vcpu, va, shift)
    data = atomics.load_own(machine.tlb, entry + TLB_DATA)
    if (
        atomics.load(machine.tlb, entry + TLB_TAG) != tlb_tag(va, shift)
        or atomics.load_own(machine.tlb, entry + TLB_GENERATION) != generation
        or (is_store and not data & STORABLE)
    ):
        count(machine, vcpu, TLB_MISSES, 1)
        data = _walk(machine, vcpu, va, shift, is_store, entry, generation)
    gfn = I64(FAULT)
    if data:
        offset = va & ((ONE << U64(shift)) - ONE)
        gfn = I64((hpte_gpa(data, shift) | offset) >> U64(machine.page_shift))
        count(machine, vcpu, STORES if is_store else LOADS, 1)
        if is_store:
            atomics.store(machine.stamps, gfn, stamp)
        else:
            atomics.load(machine.stamps, gfn)
    withdraw_access(machine, vcpu, sequence)
    return gfn
