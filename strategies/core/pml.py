"""The log of the hardware: a buffer of each vCPU, of the pages whose C it set (PML, HDBSS).

The buffer is filled in the walk (`core/mmu`). Where it is full the vCPU leaves the guest before C
is set (SDM volume 3, "Page-Modification Logging"), and the access is tried again. Who drains a
buffer marks the pages in the bitmaps of their slots.
"""

from strategies.core import atomics
from strategies.core.events import LOG_EXITS, SPILLS, count
from strategies.core.handlers import enter_handler, leave_handler
from strategies.core.hpt import hpte_gfn, pages_of
from strategies.core.jit import inlined, kernel
from strategies.core.logs import (
    entries_used,
    entry_at,
    gfn_of,
    lock_log,
    log_size,
    pages_of_entry,
    push_entry,
    unlock_log,
)
from strategies.core.machine import (
    LOG_PML,
    LOG_PUSHED,
    LOG_TAKEN,
    LOG_WORDS,
    VCPU_ACCESS,
    VCPU_WORDS,
)
from strategies.core.memslot import log_mode, mark_pages_dirty, slot_of_gfn
from strategies.core.tlb import wait_until_left
from strategies.core.words import ONE, ZERO


@kernel
def pml_is_full(machine, vcpu):
    """Say whether the hardware has no room for an entry; not inlined, as `log_change`."""
    size = log_size(machine.pml, vcpu)
    return size != ZERO and entries_used(machine.pml, vcpu) >= size


@kernel
def log_change(machine, vcpu, r, shift):
    """Log the page of a dword 1 whose C the walk has set, if its slot is logged so.

    Hardware would log the pages of all slots; KVM sets D beforehand where it logs none. Not
    inlined, which keeps the registers of accesses free.
    """
    if log_size(machine.pml, vcpu) != ZERO:
        gfn = hpte_gfn(machine, r, shift)
        if log_mode(machine, slot_of_gfn(machine, gfn)) == LOG_PML:
            push_entry(machine, machine.pml, vcpu, gfn, pages_of(machine, shift))


@inlined
def _drain_log(machine, vcpu):
    """Mark the pages of a vCPU's buffer, of slots that log so, and leave it empty."""
    lock_log(machine.pml, vcpu)
    row = vcpu * LOG_WORDS
    number = atomics.load(machine.pml, row + LOG_TAKEN)
    end = atomics.load(machine.pml, row + LOG_PUSHED)
    while number != end:
        entry = entry_at(machine.pml, vcpu, number)
        slot = slot_of_gfn(machine, gfn_of(entry))
        if log_mode(machine, slot) == LOG_PML:
            mark_pages_dirty(machine, slot, gfn_of(entry), pages_of_entry(entry))
        number += ONE
    atomics.store(machine.pml, row + LOG_TAKEN, end)
    unlock_log(machine.pml, vcpu)


@kernel
def drain_full_log(machine, vcpu):
    """Leave the guest, the buffer being full, and drain it (`vmx_flush_pml_buffer`)."""
    count(machine, vcpu, LOG_EXITS, 1)
    enter_handler(machine, vcpu)
    _drain_log(machine, vcpu)
    leave_handler(machine, vcpu)


@inlined
def spill_logs(machine):
    """Make each vCPU leave the guest, and drain its buffer (`kvm_arch_sync_dirty_log`).

    An access under way may have set C and not logged it yet, while another vCPU stores through
    that C: the buffer is looked at when the access is over. KVM kicks vCPUs and does not wait.
    """
    for vcpu in range(machine.nvcpus):
        wait_until_left(machine.vcpus, vcpu * VCPU_WORDS + VCPU_ACCESS)
        _drain_log(machine, vcpu)
    count(machine, machine.nvcpus, SPILLS, machine.nvcpus)
