"""Write-protect with one TLB flush for the whole harvest: what x86 does today."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, WORDS_TAKEN, count
from strategies.core.jit import kernel
from strategies.core.machine import LOG_WRITE_PROTECT
from strategies.core.memslot import bitmap_start, clear_log
from strategies.core.protect import READONLY, change_dirty_pages, start_logging, stop_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ZERO


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Take each word, protect its pages without a tlbie, flush once; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    bitmap = bitmap_start(machine, slot, 0)
    is_dirty = False
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        if mask:
            is_dirty = True
            count(machine, machine.nvcpus, WORDS_TAKEN, 1)
            mask = atomics.exchange(machine.bitmap, bitmap + word, ZERO)
            change_dirty_pages(machine, slot, word, mask, READONLY)
            atomics.store_own(out, word, mask)
    if is_dirty:
        flush_tlbs(machine, machine.nvcpus)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
    return monotonic_ns() - start


class WriteProtectBatched(DirtyTracker):
    """As write_protect, but one TLB flush ends the harvest (`kvm_get_dirty_log_protect` of x86).

    Until the flush a store through an old translation lands in a page that is already reported;
    the user copies after the flush and has it.

    x86 flushed once for each GET from the start (`kvm_mmu_slot_remove_write_access`); since v3.5
    it takes each word by an exchange (60c34612b707). On POWER KVM makes one tlbie for each page.
    That many tlbies share one tlbsync and ptesync over entries that are absent looks legal: KVM
    does so with those that H_BULK_REMOVE removes (`do_tlbies`), not for the log. Reducing
    permissions in place with a late flush, as here, is unproven there.
    """

    name = "write_protect_batched"
    bitmaps = 1

    def _enable(self, slot):
        start_logging(self.vm.machine, slot, LOG_WRITE_PROTECT, READONLY)

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)
