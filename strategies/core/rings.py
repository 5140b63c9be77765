"""Dirty rings: what a write fault writes down, and how it is taken (virt/kvm/dirty_ring.c).

A page is in a ring from before it becomes writable until it is read-only again. KVM lets the VMM
collect entries and reset them in two steps, and asks it to read pages only after the reset; here
both are one. The VMM's own bitmap, and the one that KVM keeps for writes that no vCPU makes, are
the slot's.
"""

from strategies.core import atomics
from strategies.core.events import LOG_EXITS, PAGES_REARMED, count
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
from strategies.core.machine import LOG_PUSHED, LOG_RING, LOG_TAKEN, LOG_WORDS, SLOT_BASE_GFN
from strategies.core.memslot import (
    log_mode,
    mark_pages_dirty,
    report_pages,
    slot_field,
    slot_of_gfn,
)
from strategies.core.protect import READONLY, change_page
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ONE, U64, ZERO

RESERVED = 64
"""Entries of a ring that are left when the vCPU exits (KVM_DIRTY_RING_RSVD_ENTRIES)."""

NO_SLOT = -1


@inlined
def log_pages(machine, cpu, slot, mode, gfn, npages):
    """Log adjacent pages that become dirty (`mark_page_dirty_in_slot`).

    In the ring of the vCPU that runs; what the host's own thread writes, in the bitmap, as with
    KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP (86bdf3ebcfe1). The caller is inside a handler section.
    """
    if mode == LOG_RING and cpu < machine.nvcpus:
        push_entry(machine, machine.rings, cpu, gfn, npages)
    else:
        mark_pages_dirty(machine, slot, gfn, npages)


@inlined
def ring_is_full(machine, vcpu):
    """Say whether a vCPU must leave the guest (`kvm_dirty_ring_soft_full`)."""
    size = log_size(machine.rings, vcpu)
    return size != ZERO and entries_used(machine.rings, vcpu) + U64(RESERVED) >= size


@inlined
def _reset_entry(machine, cpu, slot, entry, out):
    """Report the pages of an entry, or mark them, and take the permission to store away."""
    gfn, npages = gfn_of(entry), pages_of_entry(entry)
    of = slot_of_gfn(machine, gfn)
    if log_mode(machine, of) != LOG_RING:
        return
    if of == slot:
        report_pages(out, gfn - slot_field(machine, of, SLOT_BASE_GFN), npages)
    else:
        mark_pages_dirty(machine, of, gfn, npages)
    count(machine, cpu, PAGES_REARMED, 1)
    change_page(machine, cpu, gfn, READONLY)


@inlined
def reap_rings(machine, cpu, slot, out):
    """Take all entries of all rings; flush the TLBs once if there were any.

    The lock of ring 0, which serves for all, is held (QEMU reaps under one lock, too). A page that
    is dirty again meanwhile is in an entry behind, for the next time.

    Parameters
    ----------
    cpu : int
        Row of the event counters: a vCPU, or the host.
    slot : int
        Whose pages are reported in `out`; those of other slots are marked in their bitmaps. With
        NO_SLOT all are.
    """
    found = False
    for vcpu in range(machine.nvcpus):
        row = vcpu * LOG_WORDS
        number = atomics.load(machine.rings, row + LOG_TAKEN)
        end = atomics.load(machine.rings, row + LOG_PUSHED)
        while number != end:
            found = True
            _reset_entry(machine, cpu, slot, entry_at(machine.rings, vcpu, number), out)
            number += ONE
        atomics.store(machine.rings, row + LOG_TAKEN, end)
    if found:
        flush_tlbs(machine, cpu)


@kernel
def reap_full_ring(machine, vcpu):
    """Leave the guest, the ring being full, and let the VMM's thread of this vCPU reap.

    KVM_EXIT_DIRTY_RING_FULL, as QEMU answers it: all rings are reaped. No lock is held, and no
    handler section entered. Another may have reaped while this thread waited for the lock.
    """
    count(machine, vcpu, LOG_EXITS, 1)
    lock_log(machine.rings, 0)
    if ring_is_full(machine, vcpu):
        reap_rings(machine, vcpu, NO_SLOT, machine.bitmap)
    unlock_log(machine.rings, 0)
