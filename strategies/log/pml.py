"""Read the log that the hardware writes of the pages whose changed bit it sets."""

import errno

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, WORDS_TAKEN, count
from strategies.core.handlers import wait_for_handlers
from strategies.core.jit import inlined, kernel
from strategies.core.logs import set_log_size
from strategies.core.machine import LOG_OFF, LOG_PML
from strategies.core.memslot import bitmap_start, clear_log, set_log_mode
from strategies.core.pml import spill_logs
from strategies.core.protect import CLEAN, change_dirty_pages, start_logging
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ZERO

ENTRY_BYTES = 8


@inlined
def _take_words(machine, slot, out, words):
    """Report the marked pages, which are marked no more; return whether there were any."""
    bitmap = bitmap_start(machine, slot, 0)
    is_dirty = False
    for word in range(words):
        if atomics.load(machine.bitmap, bitmap + word):
            is_dirty = True
            count(machine, machine.nvcpus, WORDS_TAKEN, 1)
            atomics.store_own(out, word, atomics.exchange(machine.bitmap, bitmap + word, ZERO))
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
    return is_dirty


@inlined
def _clear_reported(machine, slot, out, words):
    """Clear C of the reported pages in place."""
    for word in range(words):
        mask = atomics.load_own(out, word)
        if mask:
            change_dirty_pages(machine, slot, word, mask, CLEAN)


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Make the vCPUs spill, take the marks, clear C of their pages, flush once; return nanoseconds.

    C is cleared after the log is taken. Where TLBs keep C back, one more flush between the two
    makes them pay for all that was taken, or C would come back later with nothing logged.
    """
    start = monotonic_ns()
    clear_log(out, words)
    spill_logs(machine)
    if _take_words(machine, slot, out, words):
        if machine.delayed_c:
            flush_tlbs(machine, machine.nvcpus)
        _clear_reported(machine, slot, out, words)
        flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


@kernel
def _start(machine, slot, entries):
    """Empty all buffers, give them their size, clear all C of a slot and start its log.

    What the buffers had of this slot is dropped.
    """
    spill_logs(machine)
    for vcpu in range(machine.nvcpus):
        set_log_size(machine.pml, vcpu, entries)
    start_logging(machine, slot, LOG_PML, CLEAN)


@kernel
def _stop(machine, slot):
    """Stop the log of a slot; C stays as it is."""
    set_log_mode(machine, slot, LOG_OFF)
    wait_for_handlers(machine)


class Pml(DirtyTracker):
    """Let the hardware log each page whose C it sets; clear C of what it logged, and flush once.

    Intel's Page Modification Logging, in KVM since Linux 4.0: 512 gfns for each vCPU, one exit each
    time they are full, and before a harvest a kick of every vCPU, which drains its buffer into the
    bitmap. No fault: a first write costs the guest an entry. With another number it is arm64's
    FEAT_HDBSS, of which KVM has series only (v3 in February 2026), and AMD's PML (series; v5 in
    January 2026).

    A large page is one entry and is reported as a whole. H_ENTER leaves C clear: HPTEs that are
    gone have been logged.

    Its parameter is the size of each buffer in entries.
    """

    name = "pml"
    bitmaps = 1

    @property
    def state_bytes(self):
        """Bytes of the buffers, and of the bitmap."""
        buffers = self.vm.vcpus * self.value * ENTRY_BYTES
        return super().state_bytes + buffers * (self in self.vm.logged_by.values())

    def _enable(self, slot):
        others = (each for each in self.vm.logged_by.values() if isinstance(each, Pml))
        if any(each.value != self.value for each in others):
            raise OSError(errno.EINVAL, "the buffers are in use with another size")
        _start(self.vm.machine, slot, self.value)

    def _disable(self, slot):
        _stop(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)
