"""Losses with dirty rings, with the log of the hardware, and where the log is cleared by hand."""

from strategies.core import atomics, h_enter, hostfault, logs, pml, rings
from strategies.core.clock import monotonic_ns
from strategies.core.events import HOST_STORES, LOG_EXITS, LOG_PUSHES, count
from strategies.core.handlers import enter_handler, leave_handler
from strategies.core.hpt import hpte_gfn
from strategies.core.hpte import HPTE_R_C, hpte_page_shift
from strategies.core.logs import entry_at, gfn_of, log_size
from strategies.core.machine import (
    LOG_ENTRIES,
    LOG_PUSHED,
    LOG_RING,
    LOG_TAKEN,
    LOG_WORDS,
    SLOT_BASE_GFN,
)
from strategies.core.memslot import (
    bitmap_start,
    clear_log,
    mark_pages_dirty,
    report_pages,
    slot_field,
)
from strategies.core.papr import get_gpr
from strategies.core.protect import CLEAN, READONLY, change_dirty_pages, change_page
from strategies.core.rings import push_entry
from strategies.core.rmap import RMAP_CHANGED
from strategies.core.tlb import flush_tlbs
from strategies.core.words import I64, ONE, U64, ZERO
from strategies.explore import scene
from strategies.explore.defect import Defect
from strategies.log import manual_protect
from strategies.log import pml as pml_tracker

_h_enter = h_enter.h_enter
_pml_is_full = pml.pml_is_full
_log_change = pml.log_change

SLOT = 0
"""That of the programs by which these are found."""


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


def spill_without_waiting(machine):
    """Drain the buffers while an access may have set C and not logged it."""
    for vcpu in range(machine.nvcpus):
        pml._drain_log(machine, vcpu)


def clear_then_drain(machine, slot, out, words):
    """Clear C of what the bitmap has, flush, and only then drain the buffers and take the log."""
    start = monotonic_ns()
    clear_log(out, words)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap_start(machine, slot, 0) + word)
        change_dirty_pages(machine, slot, word, mask, CLEAN)
    flush_tlbs(machine, machine.nvcpus)
    pml_tracker.spill_logs(machine)
    for word in range(words):
        bits = atomics.exchange(machine.bitmap, bitmap_start(machine, slot, 0) + word, ZERO)
        atomics.store_own(out, word, bits)
    return monotonic_ns() - start


def clear_without_flush(machine, slot, out, words):
    """Clear C and leave translations in the TLBs through which stores set none."""
    start = monotonic_ns()
    clear_log(out, words)
    pml_tracker.spill_logs(machine)
    pml_tracker._take_words(machine, slot, out, words)
    pml_tracker._clear_reported(machine, slot, out, words)
    return monotonic_ns() - start


def flush_after_alone(machine, slot, out, words):
    """Clear C while TLBs owe some, and let them pay in the flush after it."""
    ns = clear_without_flush(machine, slot, out, words)
    flush_tlbs(machine, machine.nvcpus)
    return ns


def flush_then_take(machine, slot, out, words):
    """Let TLBs pay the C that they owe, and take what is marked after that, too."""
    start = monotonic_ns()
    clear_log(out, words)
    pml_tracker.spill_logs(machine)
    flush_tlbs(machine, machine.nvcpus)
    pml_tracker._take_words(machine, slot, out, words)
    pml_tracker._clear_reported(machine, slot, out, words)
    flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


def log_change_or_not(machine, vcpu, r, shift):
    """Log the page whose C is set, unless the buffer is full."""
    if not _pml_is_full(machine, vcpu):
        _log_change(machine, vcpu, r, shift)


def drain_full_log_unlocked(machine, vcpu):
    """Take the entries of the own buffer, then mark their pages, beside a harvest."""
    count(machine, vcpu, LOG_EXITS, 1)
    row = vcpu * LOG_WORDS
    first = atomics.load(machine.pml, row + LOG_TAKEN)
    end = atomics.load(machine.pml, row + LOG_PUSHED)
    atomics.store(machine.pml, row + LOG_TAKEN, end)
    for number in range(int(first), int(end)):
        mark_pages_dirty(machine, SLOT, gfn_of(entry_at(machine.pml, vcpu, U64(number))), 1)


def h_enter_with_c(machine, vcpu, flags, pte_index, pteh, ptel):
    """Enter an HPTE with the C that the rmap has kept."""
    status = _h_enter(machine, vcpu, flags, pte_index, pteh, ptel)
    gfn = hpte_gfn(machine, ptel, hpte_page_shift(pteh, ptel))
    if atomics.load(machine.rmap, gfn) & RMAP_CHANGED:
        atomics.fetch_or(machine.hpt, 2 * I64(get_gpr(machine, vcpu, 0)) + 1, HPTE_R_C)
    return status


def host_store_marked_when_mapped(machine, cpu, gfn, stamp):
    """Mark a page when it is mapped for the host, which then writes to it as long as it likes."""
    enter_handler(machine, cpu)
    count(machine, cpu, HOST_STORES, 1)
    mark_pages_dirty(machine, SLOT, gfn, 1)
    leave_handler(machine, cpu)
    atomics.store(machine.stamps, gfn, stamp)
    return True


def clear_whatever_is_set(machine, slot, first, words, bits, offset):
    """Clear all bits of a range of which the caller names any, also those that it never saw."""
    for word in range(words):
        if atomics.load_own(bits, offset + word):
            bitmap = bitmap_start(machine, slot, 0) + first + word
            mask = atomics.exchange(machine.bitmap, bitmap, ZERO)
            change_dirty_pages(machine, slot, first + word, mask, READONLY)
    flush_tlbs(machine, machine.nvcpus)


def copy_pages_then_clear(self, slot, pages):
    """Send pages first, and clear them afterwards."""
    tracker = self.trackers[slot]
    log = tracker.buffer(slot)
    tracker.copy_dirty_log(slot, log)
    self._copy_pages([page for page in pages if log[0] & ONE << U64(page)])
    tracker.clear_dirty_log(slot, 0, len(self.pages), log)


DEFECTS = (
    Defect(
        name="clear-of-unknown-bits",
        what="A clear takes bits that its caller was never told of, and nobody sends their pages.",
        origin="QEMU 9f4bf4baa8b8 keeps a bitmap, so as not to 'clear any unknown dirty bits'",
        lived="-",
        program="in-turn-section",
        strategy="manual_protect",
        replaces=((manual_protect._clear, clear_whatever_is_set),),
    ),
    Defect(
        name="sent-before-cleared",
        what="Pages are sent before they are cleared, and a store in between is cleared with them.",
        origin="api.rst: the clear comes before the pages are read",
        lived="-",
        program="store-clear",
        strategy="manual_protect",
        replaces=((scene.Scene.get_and_clear, copy_pages_then_clear),),
    ),
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
    Defect(
        name="pml-drained-before-it-spilled",
        what="A buffer is drained while an access of its vCPU has set C and not logged it; another "
        "vCPU has stored through that C.",
        origin="vCPUs are kicked out of the guest first (kvm_arch_sync_dirty_log)",
        lived="-",
        program="stores-harvest",
        strategy="pml",
        replaces=((pml.spill_logs, spill_without_waiting),),
    ),
    Defect(
        name="pml-cleared-before-drained",
        what="C is cleared before the buffers are drained: what they have keeps its C.",
        origin="kvm_arch_sync_dirty_log comes before the bitmap is read",
        lived="-",
        program="in-turn",
        strategy="pml",
        replaces=((pml_tracker._get_dirty_log, clear_then_drain),),
    ),
    Defect(
        name="pml-without-flush",
        what="C is cleared, and a TLB still lets stores through that set none.",
        origin="kvm_flush_remote_tlbs_memslot ends GET and CLEAR",
        lived="-",
        program="in-turn",
        strategy="pml",
        replaces=((pml_tracker._get_dirty_log, clear_without_flush),),
    ),
    Defect(
        name="pml-owed-c-comes-back",
        what="C is cleared while a TLB owes it, and comes back in the flush, with nothing logged.",
        origin="design: where C is kept back a flush comes first",
        lived="-",
        program="in-turn-delayed-c",
        strategy="pml",
        replaces=((pml_tracker._get_dirty_log, flush_after_alone),),
    ),
    Defect(
        name="pml-taken-after-the-flush",
        what="A vCPU drains its full log between the flush that makes TLBs pay their C and the "
        "take: that page is reported, and its C comes back in the last flush with nothing logged.",
        origin="this project until November 2026; found by a soak of 10^8 stores",
        lived="-",
        program="delayed-c-log-full-harvest",
        strategy="pml:1",
        replaces=((pml_tracker._get_dirty_log, flush_then_take),),
    ),
    Defect(
        name="pml-full-after-c",
        what="C is set, and then there is no room for the entry; the access tried again logs none.",
        origin="SDM: where the index is out of range, the dirty flag is not set",
        lived="-",
        program="in-turn-two",
        strategy="pml:1",
        replaces=((pml.pml_is_full, is_never_full), (pml.log_change, log_change_or_not)),
    ),
    Defect(
        name="pml-drained-by-two",
        what="A vCPU whose buffer is full takes its entries without the lock, and marks them after "
        "a harvest has looked.",
        origin="design: who takes entries holds the log's lock",
        lived="-",
        program="log-full-harvest",
        strategy="pml:1",
        replaces=((pml.drain_full_log, drain_full_log_unlocked),),
    ),
    Defect(
        name="pml-entered-with-c",
        what="H_ENTER gives a new HPTE the C of one that is gone, and its stores are not logged.",
        origin="design: H_ENTER leaves C clear where the hardware logs",
        lived="-",
        program="in-turn-enter-again",
        strategy="pml",
        replaces=((h_enter.h_enter, h_enter_with_c),),
    ),
    Defect(
        name="held-mapping-marked-once",
        what="A page that the host keeps mapped is marked when mapped, not when it is let go.",
        origin="Xen, 2014: pages of grants that stay mapped",
        lived="-",
        program="host-store-harvest",
        strategy="pml",
        replaces=((hostfault.host_store, host_store_marked_when_mapped),),
    ),
)
