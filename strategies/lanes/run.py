"""Replay a trace on a lane, or run one live: judged by the contents of memory, like migration."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from strategies.core import atomics
from strategies.core.jit import kernel
from strategies.core.words import I64, ONE, U64, ZERO, ctz, popcount
from strategies.lanes.child import SAY_S
from strategies.lanes.registry import get
from strategies.lanes.speed import NO_PATIENCE, Speed, slower, speed, wait
from strategies.lanes.words import PAGE_WORDS

LIVE_BATCH = 512
LIVE_WAIT_S = 2e-5


@kernel
def copy_pages(memory, copy, out):
    """Copy the first word of each page of a bitmap."""
    for word in range(out.size):
        bits = out[word]
        while bits:
            page = word * 64 + ctz(bits)
            bits &= bits - ONE
            copy[page] = atomics.load(memory, page * PAGE_WORDS)


@kernel
def first_difference(memory, copy):
    """Return how many pages differ from their copy, and the first of them (-1: none)."""
    found, first = I64(0), I64(-1)
    for page in range(copy.size):
        if atomics.load(memory, page * PAGE_WORDS) != copy[page]:
            found += 1
            first = page if first < 0 else first
    return found, first


@kernel
def judge(memory, copy, gfns, out, stored):
    """Judge a harvest: which pages differ from the copy made after earlier ones; copy them.

    Only the pages written and reported are looked at, so that the walk of a whole slot between
    two harvests does not decide what their caches hold; `first_difference` looks at all.

    Parameters
    ----------
    memory : int
        Address of the slot.
    copy : uint64[npages]
    gfns : int64[stores]
        Where stores were made since the last harvest.
    out, stored : uint64[words]
        The harvest; scratch, zero before and after.

    Returns
    -------
    tuple of int
        Pages stored, pages reported, stored but not reported, reported but not stored, and the
        first page that was lost (-1: none).
    """
    for gfn in gfns:
        if atomics.load(memory, gfn * PAGE_WORDS) != copy[gfn]:
            stored[gfn >> 6] |= ONE << U64(gfn & 63)
    counts = np.zeros(4, np.int64)
    first_lost = I64(-1)
    for word in range(out.size):
        lost = stored[word] & ~out[word]
        if lost and first_lost < 0:
            first_lost = word * 64 + ctz(lost)
        counts[0] += popcount(stored[word])
        counts[1] += popcount(out[word])
        counts[2] += popcount(lost)
        counts[3] += popcount(out[word] & ~stored[word])
    copy_pages(memory, copy, stored)
    copy_pages(memory, copy, out)
    stored[:] = ZERO
    return counts[0], counts[1], counts[2], counts[3], first_lost


@dataclass
class LaneReplay:
    """What one lane did with a trace; one entry per epoch in each list.

    Attributes
    ----------
    stored, reported, lost, spurious : list of int
        Pages, judged by the contents of memory; the last three stay empty for the baseline.
    harvest_ns : list of int
        Measured inside compiled code.
    write_ns, again_ns : list of int
        The epoch's stores after the harvest before, and the very same stores once more, when
        their pages are open: the difference is the guest time that tracking took.
    opened : list of bool
        Whether all pages were open the second time.
    speed : list of Speed
        Before and after the harvest, the worse of both.
    cpu_ns : dict of str to list of int
        By the names of these three lists, the CPU time of this thread in each call, what calling
        costs included: where it is the smaller one, other work had the CPU meanwhile.
    stores, overhead_ns : list of int
        Stores of an epoch, and how much of `write_ns`, and of `again_ns`, is not theirs.
    first_lost : tuple of int or None
        Epoch and gfn of the first lost page.
    counts : dict of str to int
        The lane's own, over all epochs.
    """

    lane: str
    stored: list[int] = field(default_factory=list)
    reported: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    spurious: list[int] = field(default_factory=list)
    harvest_ns: list[int] = field(default_factory=list)
    write_ns: list[int] = field(default_factory=list)
    again_ns: list[int] = field(default_factory=list)
    speed: list[Speed] = field(default_factory=list)
    cpu_ns: dict[str, list[int]] = field(default_factory=dict)
    opened: list[bool] = field(default_factory=list)
    stores: list[int] = field(default_factory=list)
    overhead_ns: list[int] = field(default_factory=list)
    first_lost: tuple[int, int] | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def name(self):
        """Of the lane."""
        return self.lane


def replay_lane(say, trace, name, thp, patience=NO_PATIENCE):
    """Run a trace through one lane: per epoch its stores, the same once more, one harvest.

    Parameters
    ----------
    say : callable
        Called with the number of epochs done since, now and then.
    trace : Trace
        Of pages of 4 KiB.
    name : str
    thp : bool
    patience : Patience

    Returns
    -------
    LaneReplay
    """
    lane = get(name)(trace.slot_pages, thp=thp)
    try:
        lane.enable()
        result = LaneReplay(name)
        before = dict(lane.counts)
        _epochs(say, trace, lane, result, patience)
        result.counts = {key: value - before[key] for key, value in lane.counts.items()}
    finally:
        lane.close()
    return result


def replay_each(say, traces, name, thp, patience=NO_PATIENCE):
    """Return the LaneReplay of each trace: a slot of its own, one after the other."""
    return [replay_lane(say, trace, name, thp, patience) for trace in traces]


def _epochs(say, trace, lane, result, patience):
    memory, out, stored = lane.memory.ctypes.data, lane.buffer(), lane.buffer()
    copy = lane.memory[::PAGE_WORDS].copy()
    said, at = 0, time.monotonic()
    for epoch in range(trace.epochs):
        if epoch % patience.epochs == 0:
            wait(say, patience)
        gfns = trace.stores_of(epoch)
        result.stores.append(len(gfns))
        result.overhead_ns.append(lane.overhead_ns(len(gfns)))
        early = lane.closed_early
        _time(result, "write_ns", lane.write, gfns)
        _time(result, "again_ns", lane.write, gfns)
        result.opened.append(lane.closed_early == early)
        before = speed()
        _time(result, "harvest_ns", lane.harvest, out)
        result.speed.append(slower(before, speed()))
        _record(result, epoch, judge(memory, copy, gfns, out, stored), lane.reports)
        if time.monotonic() > at + SAY_S:
            say(epoch + 1 - said)
            said, at = epoch + 1, time.monotonic()
    found, first = first_difference(memory, copy)
    if found:  # a page that changed though the trace does not name it: no harvest told
        result.lost[-1] += found
        result.first_lost = result.first_lost or (trace.epochs - 1, int(first))


def _time(result, name, call, argument):
    """Note what a call says it took, and this thread's CPU time in it."""
    before = time.thread_time_ns()
    getattr(result, name).append(call(argument))
    result.cpu_ns.setdefault(name, []).append(time.thread_time_ns() - before)


def _record(result, epoch, judged, reports):
    stored, reported, lost, spurious, gfn = judged
    result.stored.append(stored)
    if not reports:
        return
    result.reported.append(reported)
    result.lost.append(lost)
    result.spurious.append(spurious)
    if lost and result.first_lost is None:
        result.first_lost = (epoch, int(gfn))


def live(say, name, npages, rounds, seed=0, thp=False):
    """Harvest and copy beside a running writer, then stop it, and harvest and copy once more.

    Parameters
    ----------
    say : callable
        Called with 1 after each round.
    name : str
        A lane that reports.
    npages, rounds : int
    seed : int
        Of the pages that the writer stores to, at random.
    thp : bool

    Returns
    -------
    tuple of int
        Pages whose copy differs from memory at the end (0 if nothing was lost), stores made, and
        pages reported in all rounds.
    """
    lane = get(name)(npages, thp=thp)
    try:
        lane.enable()
        copy = lane.memory[::PAGE_WORDS].copy()
        stop, made = threading.Event(), [0]
        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(_write_until, lane, stop, seed, made)
            try:
                reported = sum(_round(lane, copy, say, writer, made) for _ in range(rounds))
            finally:
                stop.set()
        writer.result()
        reported += _harvest_and_copy(lane, copy)
        found, _ = first_difference(lane.memory.ctypes.data, copy)
    finally:
        lane.close()
    return int(found), made[0], reported


def _write_until(lane, stop, seed, made):
    random = np.random.default_rng(seed)
    while not stop.is_set():
        lane.write(random.integers(0, lane.npages, LIVE_BATCH))
        made[0] += LIVE_BATCH


def _round(lane, copy, say, writer, made):
    """Harvest and copy once the writer has got on; it writes on meanwhile."""
    before = made[0]
    reported = _harvest_and_copy(lane, copy)
    while made[0] == before and not writer.done():
        time.sleep(LIVE_WAIT_S)
    say(1)
    return reported


def _harvest_and_copy(lane, copy):
    out = lane.buffer()
    lane.harvest(out)
    copy_pages(lane.memory.ctypes.data, copy, out)
    return int(np.bitwise_count(out).sum())
