"""Logs of a vCPU: entries in the order of its first writes, appended by it alone.

Two of them have this layout: the dirty ring, which the write fault fills (`core/rings`), and the
buffer that the hardware fills (`core/pml`). Who takes entries holds the log's lock; the vCPU needs
none, for it moves one index and who takes moves the other.
"""

from strategies.core import atomics
from strategies.core.events import LOG_PUSHES, count
from strategies.core.jit import inlined
from strategies.core.locks import lock_bit
from strategies.core.machine import (
    LOG_ENTRIES,
    LOG_LOCK,
    LOG_PUSHED,
    LOG_SIZE,
    LOG_TAKEN,
    LOG_WORDS,
)
from strategies.core.words import I64, ONE, U64, ZERO, ctz

ORDER_SHIFT = U64(56)
GFN_MASK = (ONE << ORDER_SHIFT) - ONE


@inlined
def lock_log(logs, vcpu):
    """Lock the taking end of a vCPU's log."""
    lock_bit(logs, vcpu * LOG_WORDS + LOG_LOCK, ONE)


@inlined
def unlock_log(logs, vcpu):
    """Unlock it."""
    atomics.store(logs, vcpu * LOG_WORDS + LOG_LOCK, ZERO)


@inlined
def log_size(logs, vcpu):
    """Return how many entries a vCPU's log has room for; 0: it was never used."""
    return atomics.load(logs, vcpu * LOG_WORDS + LOG_SIZE)


@inlined
def set_log_size(logs, vcpu, size):
    """Give a vCPU's log, which is empty, room for `size` entries."""
    atomics.exchange(logs, vcpu * LOG_WORDS + LOG_SIZE, U64(size))


@inlined
def entries_used(logs, vcpu):
    """Return how many entries of a vCPU's log are not taken."""
    taken = atomics.load(logs, vcpu * LOG_WORDS + LOG_TAKEN)
    return atomics.load(logs, vcpu * LOG_WORDS + LOG_PUSHED) - taken


@inlined
def push_entry(machine, logs, vcpu, gfn, npages):
    """Append adjacent pages, a power of two, to the log of the vCPU that runs; there is room.

    The entry is written before the index says that it is there.
    """
    row = vcpu * LOG_WORDS
    pushed = atomics.load(logs, row + LOG_PUSHED)
    place = I64(pushed % log_size(logs, vcpu))
    order = U64(ctz(U64(npages)))
    atomics.store(logs, row + LOG_ENTRIES + place, U64(gfn) | order << ORDER_SHIFT)
    atomics.store(logs, row + LOG_PUSHED, pushed + ONE)
    count(machine, vcpu, LOG_PUSHES, 1)


@inlined
def entry_at(logs, vcpu, number):
    """Return entry `number`, counted since the log began, of a vCPU's log."""
    place = I64(number % log_size(logs, vcpu))
    return atomics.load(logs, vcpu * LOG_WORDS + LOG_ENTRIES + place)


@inlined
def gfn_of(entry):
    """Return the first page of an entry."""
    return I64(entry & GFN_MASK)


@inlined
def pages_of_entry(entry):
    """Return how many adjacent pages an entry speaks for."""
    return I64(ONE << (entry >> ORDER_SHIFT))
