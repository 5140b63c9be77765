"""Write-protect the slot; log the first store to each page in its fault; protect it again."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.events import BITMAP_WORDS_READ, WORDS_TAKEN, count
from strategies.core.jit import kernel
from strategies.core.machine import LOG_WRITE_PROTECT
from strategies.core.memslot import bitmap_start, clear_log
from strategies.core.protect import (
    READONLY,
    READONLY_TLBIE,
    change_dirty_pages,
    start_logging,
    stop_logging,
)
from strategies.core.words import ZERO


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Take each word of the bitmap and protect the pages it names; return nanoseconds.

    A word that is 0 is only read: 64 clean pages at once. The caller's buffer is cleared first,
    as KVM clears its second bitmap.
    """
    start = monotonic_ns()
    clear_log(out, words)
    bitmap = bitmap_start(machine, slot, 0)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        if mask:
            count(machine, machine.nvcpus, WORDS_TAKEN, 1)
            mask = atomics.exchange(machine.bitmap, bitmap + word, ZERO)
            change_dirty_pages(machine, slot, word, mask, READONLY_TLBIE)
            atomics.store_own(out, word, mask)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
    return monotonic_ns() - start


class WriteProtect(DirtyTracker):
    """Install read-only HPTEs; the first store to a page faults, is logged, and makes it writable.

    The alternative that Paul Mackerras named in the thread. One live bitmap; each dirty page costs
    the harvest one tlbie for each of its HPTEs. A store through a large page reports all its pages.
    """

    name = "write_protect"
    bitmaps = 1

    def _enable(self, slot):
        start_logging(self.vm.machine, slot, LOG_WRITE_PROTECT, READONLY)

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        return _get_dirty_log(self.vm.machine, slot, atomics.address_of(out), out.size)
