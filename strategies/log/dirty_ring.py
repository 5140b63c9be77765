"""Write-protect with a ring of pages for each vCPU in the place of the bitmap."""

import errno

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, WORDS_TAKEN, count
from strategies.core.handlers import wait_for_handlers
from strategies.core.jit import inlined, kernel
from strategies.core.logs import lock_log, set_log_size, unlock_log
from strategies.core.machine import LOG_RING, SLOT_DIRTY, SLOT_WORDS
from strategies.core.memslot import bitmap_start, clear_log, slot_field
from strategies.core.protect import READONLY, start_logging, stop_logging
from strategies.core.rings import NO_SLOT, reap_rings
from strategies.core.words import ZERO

ENTRY_BYTES = 16
"""Of `struct kvm_dirty_gfn`."""


@inlined
def _take_bitmap(machine, slot, out, words):
    """Add what is in the bitmap: pages of rings that ran full, and what the host itself wrote.

    No page of it has to be made read-only: those of rings are, and the host needs no permission.
    The count is cleared before the bits are taken, and after it who was marking has finished.
    """
    atomics.exchange(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY, ZERO)
    wait_for_handlers(machine)
    bitmap = bitmap_start(machine, slot, 0)
    for word in range(words):
        if atomics.load(machine.bitmap, bitmap + word):
            count(machine, machine.nvcpus, WORDS_TAKEN, 1)
            mask = atomics.exchange(machine.bitmap, bitmap + word, ZERO)
            atomics.store_own(out, word, atomics.load_own(out, word) | mask)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Reap all rings, then take the bitmap if anything is in it; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    lock_log(machine.rings, 0)
    reap_rings(machine, machine.nvcpus, slot, out)
    if slot_field(machine, slot, SLOT_DIRTY):
        _take_bitmap(machine, slot, out, words)
    unlock_log(machine.rings, 0)
    return monotonic_ns() - start


@kernel
def _start(machine, slot, entries):
    """Empty the rings, give them their size, and start the log of a slot."""
    lock_log(machine.rings, 0)
    reap_rings(machine, machine.nvcpus, NO_SLOT, machine.bitmap)
    for vcpu in range(machine.nvcpus):
        set_log_size(machine.rings, vcpu, entries)
    unlock_log(machine.rings, 0)
    start_logging(machine, slot, LOG_RING, READONLY)


class DirtyRing(DirtyTracker):
    """As write_protect_batched, but the fault appends the page to a ring of its vCPU.

    KVM has it on x86 since Linux 5.11 (fb04a1eddb1a) and on arm64 since 6.2 (86bdf3ebcfe1), QEMU
    with `-accel kvm,dirty-ring-size=N`. A harvest costs what is dirty, not what exists: of the
    bitmap it looks at a count. A ring is full RESERVED entries before its end. Its vCPU then leaves
    the guest and reaps all rings (KVM_EXIT_DIRTY_RING_FULL, as QEMU answers it): their pages are
    read-only again, also the one that had just become writable, so that its store faults once more.
    A harvest that is slower than the guest loses nothing; the guest waits. (x86 with PML reserves
    512 more.)

    Its parameter is the size of each ring in entries: 4096 by default, which QEMU's documentation
    calls a good initial value. KVM wants a power of two.
    """

    name = "dirty_ring"
    bitmaps = 1

    @property
    def state_bytes(self):
        """Bytes of the rings, and of the bitmap beside them."""
        rings = self.vm.vcpus * self.value * ENTRY_BYTES
        return super().state_bytes + rings * (self in self.vm.logged_by.values())

    def _enable(self, slot):
        others = (each for each in self.vm.logged_by.values() if isinstance(each, DirtyRing))
        if any(each.value != self.value for each in others):
            raise OSError(errno.EINVAL, "the rings are in use with another size")
        _start(self.vm.machine, slot, self.value)

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)
