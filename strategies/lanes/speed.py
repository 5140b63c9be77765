"""How quick the CPU is just now: its clock, and whether another thread has a share of the core.

Guests share cores, and no counter of theirs shows it. Two short loops do, side by side.
"""

import time
from math import inf
from typing import NamedTuple

from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.words import I64, ONE, U64, ZERO
from strategies.lanes.child import SAY_S

CLOCK_STEPS, PACE_STEPS = 2000, 5000
"""Of some 4 us each."""


@kernel
def clock(steps):
    """Return the nanoseconds of steps that wait for each other: they tell of the clock alone.

    Another thread on the same core hardly slows them: it has units to spare.
    """
    begin = monotonic_ns()
    a = U64(begin) | ONE
    for _ in range(steps):
        a ^= a << U64(13)
        a ^= a >> U64(7)
        a ^= a << U64(17)
    return monotonic_ns() - begin + I64(a == ZERO)  # it never is, but no compiler knows


@kernel
def pace(steps):
    """Return the nanoseconds of steps whose ten operations mostly need not wait for each other.

    They fill a core's units, so they tell of the clock and of another thread on the same core, as
    the kernel's code suffers from one (1.4 to 1.8 times as long, measured).
    """
    begin = monotonic_ns()
    a = b = c = d = e = f = g = h = i = j = U64(begin)
    for _ in range(steps):
        a ^= b
        c |= d
        e &= f
        g ^= h
        i |= j
        b |= c
        d ^= e
        f ^= g
        h &= i
        j ^= a
    top = (a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j) >> U64(63)
    return monotonic_ns() - begin + I64(top)  # zero, but no compiler knows: the loop stays


class Speed(NamedTuple):
    """Of the CPU.

    Attributes
    ----------
    clock_ns : float
        What CLOCK_STEPS took that wait for each other: the slower its clock, the more.
    crowding : float
        How long steps took that do not, in that: another thread on the core makes it more.
    """

    clock_ns: float
    crowding: float


def speed(times=1):
    """Return the Speed of this thread's CPU, from loops of some `times` 4 us each."""
    waiting = clock(times * CLOCK_STEPS)
    return Speed(waiting / times, pace(times * PACE_STEPS) / waiting)


def slower(one, other):
    """Return the worse of two Speeds in both respects."""
    return Speed(*map(max, one, other))


class Patience(NamedTuple):
    """Until when a replay waits for the CPU to be as quick as that, and before which epochs.

    Attributes
    ----------
    limit : Speed
    until : float
        As of `time.monotonic`.
    epochs : int
        It waits before each so many: caches are cold afterwards, so the first should not count.
    """

    limit: Speed
    until: float
    epochs: int


NO_PATIENCE = Patience(Speed(inf, inf), 0.0, 1)


def wait(say, patience):
    """Wait until the CPU is quick for some 80 us together, or patience ends.

    The thread does not sleep: it might go on on another CPU, or at another clock.
    """
    at = time.monotonic()
    while time.monotonic() < patience.until and not _is_quick(speed(10), patience.limit):
        if time.monotonic() > at + SAY_S:
            say(0)
            at = time.monotonic()


def _is_quick(one, limit):
    return one.clock_ns <= limit.clock_ns and one.crowding <= limit.crowding
