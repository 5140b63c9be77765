"""Losses through translations that live too long."""

from strategies.core import atomics, mmu, papr, tlb
from strategies.core.events import TLBIES, count
from strategies.core.hpt import va_of_hpte
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_R,
    HPTE_V_ABSENT,
    HPTE_V_HVLOCK,
    HPTE_V_VALID,
    hpte_page_shift,
)
from strategies.core.machine import TLB_DATA, TLB_GENERATION, TLB_OWED_C, TLB_TAG
from strategies.core.tlb import ANY_HPTE, pay_c, tlb_entry, tlb_tag
from strategies.core.words import I64, ONE, U64, ZERO
from strategies.explore.defect import Defect

_invalidate_hpte = papr.invalidate_hpte


def invalidate_without_tlbie(machine, _cpu, index, v):
    """Make a locked HPTE absent and leave it in the TLBs."""
    absent = (v & ~HPTE_V_VALID) | HPTE_V_ABSENT | HPTE_V_HVLOCK
    atomics.exchange(machine.hpt, 2 * index, absent)
    return atomics.load(machine.hpt, 2 * index + 1)


def invalidate_what_is_valid(machine, cpu, index, v):
    """Make a locked HPTE absent, and make no tlbie if it was absent already."""
    if v & HPTE_V_VALID:
        return _invalidate_hpte(machine, cpu, index, v)
    return atomics.load(machine.hpt, 2 * index + 1)


def tlbie_without_ptesync(machine, cpu, v, r, index):
    """Clear the TLB entries and do not wait for the accesses that had found them."""
    count(machine, cpu, TLBIES, 1)
    shift = hpte_page_shift(v, r)
    va = va_of_hpte(machine, v, shift, index)
    for vcpu in range(machine.nvcpus):
        entry = tlb_entry(vcpu, va, shift)
        atomics.compare_and_swap(machine.tlb, entry, tlb_tag(va, shift), ZERO)


def fill_without_second_look(machine, entry, tag, generation, _index, _v, data):
    """Install a TLB entry and do not read the HPTE again."""
    atomics.store_own(machine.tlb, entry + TLB_DATA, data)
    atomics.store_own(machine.tlb, entry + TLB_GENERATION, generation)
    atomics.exchange(machine.tlb, entry + TLB_TAG, tag)


def pay_c_without_lock(tlb_words, hpt, entry, index, owed):
    """Let a TLB entry pay the C that it owes, and do not lock what it owes."""
    word = entry + TLB_OWED_C
    debt = atomics.load(tlb_words, word)
    if index == ANY_HPTE or debt == U64(index + 1):
        atomics.store(tlb_words, word, owed)
        if debt:
            atomics.fetch_or(hpt, 2 * I64(debt - ONE) + 1, HPTE_R_C)


def set_rc_late_by_store(tlb_words, hpt, entry, index, r, needed):
    """Set R in an HPTE by a load and a store, over a C that another TLB entry pays."""
    owed = U64(index + 1) if needed & ~r & HPTE_R_C else ZERO
    pay_c(tlb_words, hpt, entry, ANY_HPTE, owed)
    r = atomics.load(hpt, 2 * index + 1) | HPTE_R_R
    atomics.store(hpt, 2 * index + 1, r)
    return r | needed


DEFECTS = (
    Defect(
        name="no-tlbie",
        what="An HPTE is changed while TLBs still have it.",
        origin="design: what tlbie means",
        lived="-",
        program="store-remove",
        strategy="c_bit_scan",
        replaces=((papr.invalidate_hpte, invalidate_without_tlbie),),
    ),
    Defect(
        name="no-tlbie-of-an-absent-hpte",
        what="An HPTE that a harvest, its flush to come, made absent is removed without a tlbie.",
        origin="design: H_REMOVE invalidates an absent HPTE, too",
        lived="-",
        program="remove-store-harvest",
        strategy="pte_flush",
        replaces=((papr.invalidate_hpte, invalidate_what_is_valid),),
    ),
    Defect(
        name="no-ptesync-wait",
        what="The tlbie clears the TLBs and returns while a store through the translation is under "
        "way.",
        origin="design: what tlbie means",
        lived="-",
        program="restore-harvest",
        strategy="c_bit_scan",
        replaces=((tlb.tlbie, tlbie_without_ptesync),),
    ),
    Defect(
        name="fill-without-second-look",
        what="A vCPU fills its TLB from an HPTE that was invalidated since, after the tlbie.",
        origin="design: a fill re-reads dword 0",
        lived="-",
        program="store-harvest",
        strategy="c_bit_scan",
        replaces=((mmu._fill, fill_without_second_look),),
    ),
    Defect(
        name="owed-c-without-lock",
        what="A TLB entry that goes pays its C to an HPTE that was removed and entered meanwhile.",
        origin="design: whoever makes the entry go pays",
        lived="-",
        program="delayed-c-replaced",
        strategy="c_bit_scan",
        replaces=((tlb.pay_c, pay_c_without_lock),),
    ),
    Defect(
        name="r-by-load-and-store",
        what="The hardware sets R by a load and a store, over a C that another TLB entry pays.",
        origin="design: words that two threads touch change by read-modify-writes",
        lived="-",
        program="delayed-c-load",
        strategy="c_bit_scan",
        replaces=((tlb.set_rc_late, set_rc_late_by_store),),
    ),
)
