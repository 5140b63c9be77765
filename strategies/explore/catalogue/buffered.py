"""Losses that need a store buffer: one thread's store is still in it when its next load is made.

Under sequentially consistent interleavings alone each of these is correct.
"""

from strategies.core import atomics, hostfault, mmu, tlb
from strategies.core.events import HOST_STORES, count
from strategies.core.handlers import enter_handler, leave_handler
from strategies.core.hpte import HPTE_R_C, HPTE_V_HVLOCK
from strategies.core.locks import lock_rmap, unlock_rmap
from strategies.core.machine import (
    LOG_C_BIT,
    TLB_DATA,
    TLB_GENERATION,
    TLB_TAG,
    VCPU_ACCESS,
    VCPU_WORDS,
)
from strategies.core.memslot import log_mode, logs_in_fault, mark_pages_dirty, slot_of_gfn
from strategies.core.rmap import save_rc
from strategies.core.words import ONE, ZERO
from strategies.explore.defect import Defect


def announce_by_store(machine, vcpu):
    """Announce an access by a plain store."""
    word = vcpu * VCPU_WORDS + VCPU_ACCESS
    sequence = atomics.load(machine.vcpus, word) + ONE
    atomics.store(machine.vcpus, word, sequence)
    return sequence


def fill_by_store(machine, entry, tag, generation, index, v, data):
    """Install a TLB entry by a plain store, then read the HPTE again."""
    atomics.store_own(machine.tlb, entry + TLB_DATA, data)
    atomics.store_own(machine.tlb, entry + TLB_GENERATION, generation)
    atomics.store(machine.tlb, entry + TLB_TAG, tag)
    if (atomics.load(machine.hpt, 2 * index) ^ v) & ~HPTE_V_HVLOCK:
        atomics.exchange(machine.tlb, entry + TLB_TAG, ZERO)


def host_store_that_waits(machine, cpu, gfn, stamp):
    """Store as the host by a plain store, then look whether the page is marked already."""
    slot = slot_of_gfn(machine, gfn)
    if slot < 0:
        return False
    count(machine, cpu, HOST_STORES, 1)
    enter_handler(machine, cpu)
    atomics.store(machine.stamps, gfn, stamp)
    mode = log_mode(machine, slot)
    if mode == LOG_C_BIT:
        word = lock_rmap(machine.rmap, gfn)
        unlock_rmap(machine.rmap, gfn, save_rc(word, HPTE_R_C, 0))
    elif logs_in_fault(mode):
        mark_pages_dirty(machine, slot, gfn, 1)
    leave_handler(machine, cpu)
    return True


DEFECTS = (
    Defect(
        name="announced-by-a-plain-store",
        what="A vCPU looks into its TLB while its announcement is still in its store buffer.",
        origin="design: announcing and clearing a TLB entry are a Dekker pair",
        lived="-",
        program="restore-harvest",
        strategy="c_bit_scan",
        replaces=((tlb.announce_access, announce_by_store),),
        memory="tso",
    ),
    Defect(
        name="filled-by-a-plain-store",
        what="A vCPU reads the HPTE again while the TLB entry is still in its store buffer.",
        origin="design: filling an entry and invalidating the HPTE are a Dekker pair",
        lived="-",
        program="store-harvest",
        strategy="c_bit_scan",
        replaces=((mmu._fill, fill_by_store),),
        memory="tso",
    ),
    Defect(
        name="host-store-may-wait",
        what="The host sees its page marked already while its data is still in its store buffer.",
        origin="this machine, until store buffers were explored",
        lived="-",
        program="host-store-enable-harvest",
        strategy="write_protect",
        replaces=((hostfault.host_store, host_store_that_waits),),
        memory="tso",
    ),
)
