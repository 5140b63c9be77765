"""Unmap the slot; log each writable mapping when it is made again: Book3S PR, then and now."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, WORDS_TAKEN, count
from strategies.core.jit import inlined, kernel
from strategies.core.machine import LOG_ABSENT
from strategies.core.memslot import bitmap_start, clear_log
from strategies.core.protect import ABSENT, change_slot, start_logging, stop_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ZERO


@inlined
def _is_dirty(machine, bitmap, words):
    """Say whether any word of the bitmap is set (`kvm_get_dirty_log`)."""
    for word in range(words):
        count(machine, machine.nvcpus, BITMAP_WORDS_READ, 1)
        if atomics.load(machine.bitmap, bitmap + word):
            return True
    return False


@kernel
def _get_dirty_log(machine, slot, out, words):
    """If anything is dirty take the bitmap, make every HPTE absent, flush; return nanoseconds.

    Each word is taken by an exchange, and before the HPTEs go: the seed's code copied the bitmap,
    flushed, and then zeroed it, losing what was marked in between.
    """
    start = monotonic_ns()
    bitmap = bitmap_start(machine, slot, 0)
    clear_log(out, words)
    if _is_dirty(machine, bitmap, words):
        for word in range(words):
            mask = atomics.exchange(machine.bitmap, bitmap + word, ZERO)
            atomics.store_own(out, word, mask)
            if mask:
                count(machine, machine.nvcpus, WORDS_TAKEN, 1)
        count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
        change_slot(machine, slot, ABSENT)
        flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


class PteFlush(DirtyTracker):
    """Make all HPTEs of the slot absent; the first access of either kind faults and maps the page.

    A page is logged when a writable mapping is made, so a page that was only read is reported, too,
    if the guest's own HPTE allows stores. A harvest that finds anything dirty unmaps all the slot
    (`kvm_vm_ioctl_get_dirty_log` and `kvmppc_mmu_pte_pflush` of Book3S PR; in the Linux of 2026
    `kvm_vm_ioctl_get_dirty_log_pr`). PR runs guests without the hypervisor mode of the CPU, and
    still zeroes last.

    A guest with two valid HPTEs for one address, of which the architecture says nothing, may notice
    the log: where the first is absent, the hardware's search finds the second.
    """

    name = "pte_flush"
    bitmaps = 1

    def _enable(self, slot):
        start_logging(self.vm.machine, slot, LOG_ABSENT, ABSENT)

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)
