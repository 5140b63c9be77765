"""What the lanes' kernels share: runs of bits in a bitmap, stores to pages."""

from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.jit import inlined, kernel
from strategies.core.words import I64, ONE, U64

PAGE_BYTES = 4096
PAGE_WORDS = I64(PAGE_BYTES // 8)
ALL = U64(2**64 - 1)


@inlined
def set_run(out, first, last):
    """Set the bits of the pages from `first` up to, not including, `last`; at least one."""
    head, tail = first >> 6, (last - 1) >> 6
    low = ALL << U64(first & 63)
    high = ALL >> U64(63 - ((last - 1) & 63))
    if head == tail:
        out[head] |= low & high
        return
    out[head] |= low
    out[head + 1 : tail] = ALL
    out[tail] |= high


@kernel
def store(memory, gfns):
    """Add 1 to the first word of each page, in order; return the nanoseconds that took.

    Parameters
    ----------
    memory : int
        Address of the slot.
    gfns : int64[stores]
    """
    begin = monotonic_ns()
    for gfn in gfns:
        word = gfn * PAGE_WORDS
        atomics.store_own(memory, word, atomics.load_own(memory, word) + ONE)
    return monotonic_ns() - begin
