"""A tracker from outside: write-protects, and flushes once for every so many words with bits.

dirtylog contract sliced.py:Sliced
dirtylog replay redis_ycsb --strategy sliced.py:Sliced:4 --strategy write_protect_batched
"""

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
from strategies.parameter import Parameter


@kernel
def _get_dirty_log(machine, slot, out, words, slice_words):
    """Take each word and protect its pages; flush after every `slice_words` that had bits."""
    start = monotonic_ns()
    clear_log(out, words)
    bitmap = bitmap_start(machine, slot, 0)
    taken = 0
    for word in range(words):
        if atomics.load(machine.bitmap, bitmap + word):
            mask = atomics.exchange(machine.bitmap, bitmap + word, ZERO)
            change_dirty_pages(machine, slot, word, mask, READONLY)
            atomics.store_own(out, word, mask)
            taken += 1
            if taken % slice_words == 0:
                flush_tlbs(machine, machine.nvcpus)
    if taken % slice_words:
        flush_tlbs(machine, machine.nvcpus)
    count(machine, machine.nvcpus, WORDS_TAKEN, taken)
    count(machine, machine.nvcpus, BITMAP_WORDS_READ, words)
    return monotonic_ns() - start


class Sliced(DirtyTracker):
    """As write_protect_batched, but with a flush for every so many words that had bits."""

    bitmaps = 1
    parameter = Parameter("slice_words", "words that share a flush", 16, 1, 1 << 20)

    def _enable(self, slot):
        start_logging(self.vm.machine, slot, LOG_WRITE_PROTECT, READONLY)

    def _disable(self, slot):
        stop_logging(self.vm.machine, slot)

    def _harvest(self, slot, out):
        address = atomics.address_of(out)
        return _get_dirty_log(self.vm.machine, slot, address, out.size, self.value)
