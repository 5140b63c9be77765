"""Scan the hardware C bit of every page: the log of the posted patch (`kvm_test_clear_dirty`)."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import PAGES_CLEARED, PAGES_SCANNED, RMAP_STEPS, count
from strategies.core.handlers import wait_for_handlers
from strategies.core.hpt import pages_of
from strategies.core.hpte import HPTE_R_C, HPTE_V_VALID, hpte_is_writable, hpte_page_shift
from strategies.core.jit import inlined, kernel
from strategies.core.locks import (
    lock_rmap,
    try_lock_hpte,
    unlock_hpte,
    unlock_rmap,
    wait_hpte_unlocked,
)
from strategies.core.machine import LOG_C_BIT, LOG_OFF, SLOT_BASE_GFN, SLOT_NPAGES
from strategies.core.memslot import clear_log, report_pages, set_log_mode, slot_field
from strategies.core.papr import invalidate_hpte
from strategies.core.rmap import (
    RMAP_CHANGED,
    RMAP_CHANGED_ORDER,
    RMAP_CHANGED_SHIFT,
    RMAP_PRESENT,
    ring_head,
    ring_next,
)
from strategies.core.vcpus import vcpus_running
from strategies.core.words import I64, ONE, ZERO


@inlined
def _may_be_changed(r, is_definitive):
    """Say whether C is set in a dword 1 or, for a definitive harvest, may be on its way there.

    What forbids stores has no C on its way: what made it so made a tlbie.
    """
    return r & HPTE_R_C != ZERO or (is_definitive and hpte_is_writable(r))


@inlined
def _clear_c(machine, index, is_definitive):
    """Clear C of a locked HPTE and release it; return how many pages C spoke for.

    The HPTE is absent while C is cleared: a translation cached with C set would never set it again.
    """
    v = atomics.load(machine.hpt, 2 * index)
    npages = 0
    r = atomics.load(machine.hpt, 2 * index + 1)
    if v & HPTE_V_VALID and _may_be_changed(r, is_definitive):
        r = invalidate_hpte(machine, machine.nvcpus, index, v)
        if r & HPTE_R_C:
            atomics.store(machine.hpt, 2 * index + 1, r & ~HPTE_R_C)
            guest_r = atomics.load(machine.rev, 2 * index)
            atomics.store(machine.rev, 2 * index, guest_r | HPTE_R_C)
            npages = pages_of(machine, hpte_page_shift(v, guest_r))
    unlock_hpte(machine.hpt, index, v)
    return npages


@inlined
def _scan_ring(machine, word, npages, is_definitive):
    """Clear C along a ring; return the first HPTE whose lock another has, or -1, and the pages.

    An HPTE that cannot be changed is skipped without taking its lock.
    """
    if not word & RMAP_PRESENT:
        return -1, npages
    head = ring_head(word)
    index = head
    while True:
        count(machine, machine.nvcpus, RMAP_STEPS, 1)
        if _may_be_changed(atomics.load(machine.hpt, 2 * index + 1), is_definitive):
            if not try_lock_hpte(machine.hpt, index, ZERO):
                return index, npages
            npages = max(npages, _clear_c(machine, index, is_definitive))
        index = ring_next(machine.rev, index)
        if index == head:
            return -1, npages


@inlined
def _test_clear_dirty(machine, gfn, is_definitive):
    """Return how many pages from `gfn` on were written: 0, 1, or those of a large page.

    As `kvm_test_clear_dirty_npages`: CHANGED in the rmap speaks for HPTEs that are gone. Holds the
    rmap lock, tries HPTE locks; on failure it releases the rmap, waits, and starts again.
    """
    npages = 0
    busy = I64(0)
    while busy >= 0:
        word = lock_rmap(machine.rmap, gfn)
        if word & RMAP_CHANGED:
            order = (word & RMAP_CHANGED_ORDER) >> RMAP_CHANGED_SHIFT
            npages = max(npages, I64(ONE << order))
            word &= ~(RMAP_CHANGED | RMAP_CHANGED_ORDER)
        busy, npages = _scan_ring(machine, word, npages, is_definitive)
        unlock_rmap(machine.rmap, gfn, word)
        if busy >= 0:
            wait_hpte_unlocked(machine, machine.nvcpus, busy)
    return npages


@inlined
def _scan_slot(machine, slot, out, words, is_definitive):
    """Scan every page of a slot (`kvmppc_hv_get_dirty_log`); return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    pages = slot_field(machine, slot, SLOT_NPAGES)
    cleared = 0
    for first in range(pages):
        npages = _test_clear_dirty(machine, base + first, is_definitive)
        if npages:
            cleared += 1
            report_pages(out, first, npages)
    count(machine, machine.nvcpus, PAGES_SCANNED, pages)
    count(machine, machine.nvcpus, PAGES_CLEARED, cleared)
    return monotonic_ns() - start


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Scan for the C bits that are set."""
    return _scan_slot(machine, slot, out, words, False)


@kernel
def _get_definitive_dirty_log(machine, slot, out, words):
    """Scan with a tlbie for every writable HPTE: it brings the C that TLBs keep back."""
    return _scan_slot(machine, slot, out, words, True)


@kernel
def _set_mode(machine, slot, mode):
    """Set the mode and wait until stores of the host that did not see it have left."""
    set_log_mode(machine, slot, mode)
    wait_for_handlers(machine)


class CBitScan(DirtyTracker):
    """Scan the hardware C bit of every page of the slot; a write costs the guest nothing.

    The log is in the HPTEs and, for HPTEs that are gone, in the CHANGED bit of the rmap words.
    This is Paul Mackerras' patch with the fixes that later kernels needed: CHANGED survives a
    re-enter (`add_to_ring`), C is read only after the tlbie (1e5bf454f587), a large page reports
    every page it covers (687414bebe30), also pages that were not written.

    Where the hardware may keep C in a TLB (`Vm(delayed_c=True)`), a harvest with no vCPU running is
    definitive: it makes a tlbie for every writable HPTE (6c576e74fd91). Beside running vCPUs it
    trusts a C that is clear, and a page may come late, in a later log than the next.
    """

    name = "c_bit_scan"

    def _enable(self, slot):
        _set_mode(self.vm.machine, slot, LOG_C_BIT)
        self._harvest(slot, self.buffer(slot))  # what was written before is not reported

    def _disable(self, slot):
        _set_mode(self.vm.machine, slot, LOG_OFF)

    def _harvest(self, slot, out):
        machine = self.vm.machine
        is_definitive = machine.delayed_c and not vcpus_running(machine)
        get = _get_definitive_dirty_log if is_definitive else _get_dirty_log
        return get(machine, slot, atomics.address_of(out), out.size)
