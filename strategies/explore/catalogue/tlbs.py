"""Losses through translations that live too long."""

from strategies.core import atomics, mmu, papr, tlb
from strategies.core.events import TLBIES, count
from strategies.core.hpt import va_of_hpte
from strategies.core.hpte import (
    HPTE_V_ABSENT,
    HPTE_V_HVLOCK,
    HPTE_V_VALID,
    hpte_page_shift,
)
from strategies.core.machine import TLB_DATA, TLB_GENERATION, TLB_TAG
from strategies.core.tlb import tlb_entry, tlb_tag
from strategies.core.words import ZERO
from strategies.explore.defect import Defect


def invalidate_without_tlbie(machine, _cpu, index, v):
    """Make a locked HPTE absent and leave it in the TLBs."""
    absent = (v & ~HPTE_V_VALID) | HPTE_V_ABSENT | HPTE_V_HVLOCK
    atomics.exchange(machine.hpt, 2 * index, absent)
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
)
