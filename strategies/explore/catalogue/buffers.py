"""Losses of the ioctl, and on the way to the caller's buffer."""

import errno

from strategies.base import DirtyTracker
from strategies.core import atomics, memslot
from strategies.core.memslot import PAGES_PER_WORD
from strategies.core.words import ONE, U64
from strategies.explore.defect import Defect
from strategies.fault.write_protect import WriteProtect, _get_dirty_log

BIG_ENDIAN = 56
"""Added to a bit number modulo 64: the eight bytes of a word the other way round."""


def harvest_whole_words(self, slot, out):
    """Harvest `npages / 64` words, rounded down."""
    words = self.vm.slots[slot][1] // PAGES_PER_WORD
    return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), words)


def report_big_endian(out, first, npages):
    """Set bits as `set_bit` does on a big-endian host, not as `set_bit_le`."""
    for page in range(first, first + npages):
        word = page // PAGES_PER_WORD
        mask = ONE << U64(page % PAGES_PER_WORD ^ BIG_ENDIAN)
        atomics.store_own(out, word, atomics.load_own(out, word) | mask)
    return 1


def enable_logging_of_anybody(self, slot):
    """Start logging, whoever logs the slot already."""
    with self.vm.slots_lock:
        if not self._logs(slot):
            self._enable(slot)
            self.vm.logged_by[slot] = self


def get_dirty_log_then_copy(self, slot, out):
    """Harvest into memory of the host's own; copy it last, when the log is clear already."""
    with self.vm.slots_lock:
        log = self.buffer(slot)
        ns = self._harvest(slot, log)
        if not out.flags.writeable:
            raise OSError(errno.EFAULT, "copy_to_user")
        out[:] = log
        return ns


def get_dirty_log_unlocked(self, slot, out):
    """Harvest without the lock that lets one ioctl in at a time."""
    return self._harvest(slot, out)


DEFECTS = (
    Defect(
        name="last-word-forgotten",
        what="A loop over npages / 64 words, rounded down, leaves out the last pages of the slot.",
        origin="fixed by 53eac7a8f8cf, in KVM_CLEAR_DIRTY_LOG (posted in May 2019)",
        lived="2018 to 53eac7a8f8cf",
        program="in-turn",
        strategy="write_protect",
        replaces=((WriteProtect._harvest, harvest_whole_words),),
    ),
    Defect(
        name="big-endian-bits",
        what="Bits are set in the host's byte order, where the ioctl promises little-endian.",
        origin="set_bit_le of the posted patch",
        lived="-",
        program="in-turn",
        strategy="c_bit_scan",
        replaces=((memslot.report_pages, report_big_endian),),
    ),
    Defect(
        name="efault-after-clear",
        what="The copy to the caller fails when the log is cleared already, and the log is gone.",
        origin="not fixed in the posted patch nor in x86",
        lived="2011-12 on",
        program="in-turn-bad-buffer",
        strategy="write_protect",
        replaces=((DirtyTracker.get_dirty_log, get_dirty_log_then_copy),),
    ),
    Defect(
        name="two-trackers-of-a-slot",
        what="A second tracker logs a slot that is logged, and begins an empty log.",
        origin="contract: EBUSY",
        lived="-",
        program="store,enable-other@dirty",
        strategy="write_protect",
        replaces=((DirtyTracker.enable_logging, enable_logging_of_anybody),),
    ),
    Defect(
        name="no-slots-lock",
        what="A second ioctl switches the bitmaps back while the first still clears the old one.",
        origin="KVM_GET_DIRTY_LOG holds kvm->slots_lock",
        lived="-",
        program="two-harvests",
        strategy="double_buffer",
        replaces=((DirtyTracker.get_dirty_log, get_dirty_log_unlocked),),
    ),
)
