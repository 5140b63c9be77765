"""Losses of the trackers that read logs: dirty rings."""

from strategies.core import atomics, logs, rings
from strategies.core.events import LOG_EXITS, LOG_PUSHES, count
from strategies.core.logs import entry_at, gfn_of, log_size
from strategies.core.machine import (
    LOG_ENTRIES,
    LOG_PUSHED,
    LOG_RING,
    LOG_TAKEN,
    LOG_WORDS,
    SLOT_BASE_GFN,
)
from strategies.core.memslot import mark_pages_dirty, report_pages, slot_field
from strategies.core.protect import READONLY, change_page
from strategies.core.rings import push_entry
from strategies.core.tlb import flush_tlbs
from strategies.core.words import I64, ONE, U64
from strategies.explore.defect import Defect

SLOT = 0
"""The one slot of the explored machine."""


def log_pages_of_vcpus_alone(machine, cpu, slot, mode, gfn, npages):
    """Log what a vCPU writes in its ring, and what the host's own thread writes nowhere."""
    if mode != LOG_RING:
        mark_pages_dirty(machine, slot, gfn, npages)
    elif cpu < machine.nvcpus:
        push_entry(machine, machine.rings, cpu, gfn, npages)


def reap_without_flush(machine, cpu, slot, out):
    """Take the entries and leave the writable translations in the TLBs."""
    for vcpu, number in _untaken(machine):
        rings._reset_entry(machine, cpu, slot, entry_at(machine.rings, vcpu, number), out)


def reap_without_reset(machine, _cpu, _slot, out):
    """Report the entries and leave the pages writable."""
    for vcpu, number in _untaken(machine):
        gfn = gfn_of(entry_at(machine.rings, vcpu, number))
        report_pages(out, gfn - slot_field(machine, SLOT, SLOT_BASE_GFN), 1)


def _untaken(machine):
    """Yield each entry of each ring that is not taken, and take them at the ring's end."""
    for vcpu in range(machine.nvcpus):
        row = vcpu * LOG_WORDS
        number = atomics.load(machine.rings, row + LOG_TAKEN)
        end = atomics.load(machine.rings, row + LOG_PUSHED)
        while number != end:
            yield vcpu, number
            number += ONE
        atomics.store(machine.rings, row + LOG_TAKEN, end)


def reap_full_ring_unlocked(machine, vcpu):
    """Take the entries of the own ring, then mark their pages, beside a harvest."""
    count(machine, vcpu, LOG_EXITS, 1)
    row = vcpu * LOG_WORDS
    first = atomics.load(machine.rings, row + LOG_TAKEN)
    end = atomics.load(machine.rings, row + LOG_PUSHED)
    atomics.store(machine.rings, row + LOG_TAKEN, end)
    for number in range(int(first), int(end)):
        gfn = gfn_of(entry_at(machine.rings, vcpu, U64(number)))
        mark_pages_dirty(machine, SLOT, gfn, 1)
        change_page(machine, vcpu, gfn, READONLY)
    flush_tlbs(machine, vcpu)


def is_never_full(_machine, _vcpu):
    """Let the vCPU go on, and overwrite what was not taken."""
    return False


def push_index_first(machine, words, vcpu, gfn, _npages):
    """Say that an entry is there, then write it."""
    row = vcpu * LOG_WORDS
    pushed = atomics.load(words, row + LOG_PUSHED)
    atomics.store(words, row + LOG_PUSHED, pushed + ONE)
    place = I64(pushed % log_size(words, vcpu))
    atomics.store(words, row + LOG_ENTRIES + place, U64(gfn))
    count(machine, vcpu, LOG_PUSHES, 1)


DEFECTS = (
    Defect(
        name="ring-without-bitmap",
        what="What the host writes with no vCPU running is in no ring, and nowhere else.",
        origin="86bdf3ebcfe1 adds the bitmap (arm64 writes the tables of its VGIC so)",
        lived="-",
        program="host-store-harvest",
        strategy="dirty_ring",
        replaces=((rings.log_pages, log_pages_of_vcpus_alone),),
    ),
    Defect(
        name="ring-reset-without-flush",
        what="Entries are reset, and a TLB still lets stores through to their pages.",
        origin="KVM_RESET_DIRTY_RINGS ends with one kvm_flush_remote_tlbs",
        lived="-",
        program="store-harvest",
        strategy="dirty_ring",
        replaces=((rings.reap_rings, reap_without_flush),),
    ),
    Defect(
        name="ring-collected-not-reset",
        what="Entries are collected and their slots used again, but the pages stay writable.",
        origin="api.rst: the reset must come before the pages are read",
        lived="-",
        program="stores-harvests",
        strategy="dirty_ring",
        replaces=((rings.reap_rings, reap_without_reset),),
    ),
    Defect(
        name="ring-reaped-by-two",
        what="A vCPU whose ring is full takes its entries without the lock, and marks them after a "
        "harvest has looked.",
        origin="QEMU reaps under one lock",
        lived="-",
        program="ring-full-harvest",
        strategy="dirty_ring:66",
        replaces=((rings.reap_full_ring, reap_full_ring_unlocked),),
    ),
    Defect(
        name="ring-overwritten",
        what="A vCPU goes on with a full ring and writes over entries that nobody took.",
        origin="KVM_EXIT_DIRTY_RING_FULL",
        lived="-",
        program="in-turn-many",
        strategy="dirty_ring:66",
        replaces=((rings.ring_is_full, is_never_full),),
    ),
    Defect(
        name="ring-index-before-entry",
        what="The index says that an entry is there before it is written.",
        origin="smp_wmb of kvm_dirty_ring_push",
        lived="-",
        program="pages-harvest",
        strategy="dirty_ring",
        replaces=((logs.push_entry, push_index_first),),
    ),
)
