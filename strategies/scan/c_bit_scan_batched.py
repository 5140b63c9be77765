"""Scan the changed bits, and let all that are cleared share one wait for the TLBs."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.changed import (
    ABSENT,
    ABSENT_WRITABLE,
    FINISH,
    IN_PLACE,
    scan_slot,
    set_scan_mode,
    test_clear_dirty,
)
from strategies.core.clock import monotonic_ns
from strategies.core.events import PAGES_SCANNED, count
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_C_BIT, LOG_OFF, SLOT_BASE_GFN
from strategies.core.memslot import PAGES_PER_WORD, clear_log, report_pages, slot_field
from strategies.core.tlb import flush_tlbs, wait_for_shared_tlbies
from strategies.core.vcpus import vcpus_running
from strategies.core.words import ONE, ctz, popcount


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Clear C in place, flush once; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    if scan_slot(machine, slot, out, IN_PLACE):
        flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


@inlined
def _finish_reported(machine, slot, out, words):
    """Make the HPTEs of all reported pages valid again, their C cleared."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for word in range(words):
        mask = atomics.load_own(out, word)
        count(machine, machine.nvcpus, PAGES_SCANNED, popcount(mask))
        while mask:
            page = word * PAGES_PER_WORD + ctz(mask)
            npages = test_clear_dirty(machine, base + page, FINISH)
            report_pages(out, page, npages)
            mask &= mask - ONE


@kernel
def _get_dirty_log_absent(machine, slot, out, words):
    """Make HPTEs with C absent, wait once for their tlbies, make them valid; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    if scan_slot(machine, slot, out, ABSENT):
        wait_for_shared_tlbies(machine, machine.nvcpus)
        _finish_reported(machine, slot, out, words)
    return monotonic_ns() - start


@kernel
def _get_definitive_dirty_log(machine, slot, out, words):
    """Do so to all HPTEs that permit stores; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    scan_slot(machine, slot, out, ABSENT_WRITABLE)
    wait_for_shared_tlbies(machine, machine.nvcpus)
    scan_slot(machine, slot, out, FINISH)
    return monotonic_ns() - start


class CBitScanBatched(DirtyTracker):
    """As c_bit_scan, but the TLBs are waited for once in a harvest, not once for each dirty page.

    A proposal on every platform. Which form it takes is the hardware's:

    - Where a store sets the bit at once (x86's D bit, arm64's dirty state), C is cleared in place,
      the guest's view having it first, and one flush ends the harvest. Until then a store through
      an old translation sets no C; it lands in a page that is already reported, and the user copies
      after the flush. KVM of mainline scans neither on x86 nor on arm64: x86 clears D bits of what
      PML logged, with one flush; for arm64 there were series (Zhu 2020 and 2021, Kolothum 2023).
    - Where a TLB may keep C back (POWER's hashed table; `Vm(delayed_c=True)`), an HPTE must be
      absent while C is cleared. All are made absent in a first pass, with a tlbie each that does
      not wait; one ptesync completes them; a second pass clears C and makes them valid. Who
      touches such a page meanwhile takes a fault that makes it valid, and the second pass then
      does as c_bit_scan. KVM lets at most four tlbies share a ptesync, in H_BULK_REMOVE
      (kvmppc_h_bulk_remove, do_tlbies); for the log it makes one after the other.

    A harvest with no vCPU running is definitive there, as c_bit_scan's is: it makes all HPTEs
    absent that permit stores. Large pages report every page they cover.
    """

    name = "c_bit_scan_batched"

    def _enable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_C_BIT)
        self._harvest(slot, self.buffer(slot))  # what was written before is not reported

    def _disable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_OFF)

    def _harvest(self, slot, out):
        machine = self.vm.machine
        get = _get_dirty_log
        if machine.delayed_c:
            get = _get_dirty_log_absent if vcpus_running(machine) else _get_definitive_dirty_log
        return get(machine, slot, atomics.address_of(out), out.size)
