"""What the recorder writes, a file for each process, and the trace that becomes of them."""

import os
import platform
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from strategies.errors import InputError
from strategies.workloads.compact import Compaction, laid_out_by_number
from strategies.workloads.trace import Trace

BASELINE, EPOCH, STARTED, INHERITED, FAILED, LAST = 1, 2, 3, 4, 5, 6
HEAD_WORDS = 3
LIMITS = (
    "Writable private anonymous mappings alone: no stack of a main thread, no files, no shared "
    "memory. A page that becomes resident counts as written. Of a child's pages those are left out "
    "that it has from its parent and has not written. Pages of a process that has ended are given "
    "to later ones. Not seen: static and set-user-ID programs, those started without LD_PRELOAD, "
    "and the last interval of a process that is killed or calls exec."
)


@dataclass
class Raw:
    """What a process wrote.

    Attributes
    ----------
    pid : int
    name : str or None
        None if it could not be recorded.
    resident : int64[n]
        Pages (address / 4096) that were there when recording began; none for a fork's child.
    epochs : list of int64[n]
        Pages written in each interval.
    at_ns : list of int
        When recording began, and when each interval ended (CLOCK_MONOTONIC).
    is_whole : bool
        Whether the last of the intervals ended with the process.
    failed : int or None
        The errno, if it could not be recorded.
    """

    pid: int = 0
    name: str | None = None
    resident: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    epochs: list[np.ndarray] = field(default_factory=list)
    at_ns: list[int] = field(default_factory=list)
    is_whole: bool = False
    failed: int | None = None

    @property
    def written(self):
        """The pages of all epochs (int64[n]), one epoch after the other."""
        return np.concatenate([np.empty(0, np.int64), *self.epochs])

    @property
    def seen(self):
        """All pages (int64[n]), some more than once."""
        return np.concatenate([self.resident, self.written])

    def life(self, interval_ns):
        """Return from when to when the process may have lived, in nanoseconds."""
        return self.at_ns[0], self.at_ns[-1] + (0 if self.is_whole else interval_ns)

    def intervals(self, interval_ns):
        """Return the number of the interval in which the process began, and of those harvested.

        Harvests are made at multiples of the interval, or a little later; the last one, at the
        process's end, before such a multiple.

        Returns
        -------
        tuple
            An int, and int64[epochs].
        """
        began, *ended = (ns // interval_ns for ns in self.at_ns)
        harvested = np.array(ended, np.int64) - 1
        harvested[-1:] += self.is_whole
        return began, harvested


@contextmanager
def raw_folder():
    """Yield a folder for a recorder's files; once it is gone, processes that go on record no more.

    None of them begins a file while it is removed: it has another name by then.
    """
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer, "recording")
        folder.mkdir()
        try:
            yield folder
        finally:
            folder.rename(Path(outer, "ended"))


def read_raws(folder):
    """Return the Raw of each file of a folder, the earliest process first."""
    raws = [read_raw(path) for path in Path(folder).iterdir()]
    return sorted(raws, key=lambda raw: raw.at_ns[:1])


def read_raw(path):
    """Return the Raw of a file; a record cut off at its end is left out."""
    content = Path(path).read_bytes()
    words = np.frombuffer(content, np.uint64, len(content) // 8)
    raw, at = Raw(), 0
    while at + HEAD_WORDS <= len(words):
        kind, count, ns = (int(word) for word in words[at : at + HEAD_WORDS])
        at += HEAD_WORDS
        pairs = words[at : at + 2 * count]
        if len(pairs) < 2 * count:
            break
        at += 2 * count
        _take(raw, kind, ns, pairs)
    return raw


def _take(raw, kind, ns, pairs):
    if kind == STARTED:
        raw.pid, raw.name = ns, pairs.tobytes().split(b"\0")[0].decode(errors="replace")
    elif kind == FAILED:
        raw.failed = ns
    else:
        raw.at_ns.append(ns)
    if kind == BASELINE:
        raw.resident = _pages(pairs)
    elif kind in (EPOCH, LAST):
        raw.epochs.append(_pages(pairs))
        raw.is_whole = kind == LAST


def _pages(pairs):
    """Return the pages of runs [start, end) in bytes."""
    starts, ends = (pairs.reshape(-1, 2).T // np.uint64(4096)).astype(np.int64)
    counts = ends - starts
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def first_fit(sizes, lives):
    """Return the first of the pages that each process gets: the lowest gap in which all its fit.

    Parameters
    ----------
    sizes : sequence of int
        Pages of each process.
    lives : sequence of (int, int)
        When each begins and ends, in the order of beginnings.

    Returns
    -------
    list of int
        Those that live at once have no page in common.
    """
    firsts, living = [], []  # of the living: first page, the one after the last, end of life
    for size, (begin, end) in zip(sizes, lives, strict=True):
        living = sorted(one for one in living if one[2] > begin)
        first = 0
        for low, high, _ in living:
            if first + size <= low:
                break
            first = high
        firsts.append(first)
        living.append((first, first + size, end))
    return firsts


def trace_of(raws, *, name, command, interval_ns):
    """Return the Trace of a recording: one slot, in which each process has pages of its own.

    Its meta says besides how long the intervals really were, what processes there were (`epochs`
    and `gfns` of each: the first, and the one after the last), and where the slot's pages lay
    (`address_runs`: address, first gfn, pages).

    Parameters
    ----------
    raws : list of Raw
        As from `read_raws`.
    name : str
    command : list of str
    interval_ns : int

    Raises
    ------
    InputError
        Nothing was seen.
    """
    raws = [raw for raw in raws if len(raw.seen)]
    if not raws:
        raise InputError("no page was seen; accepted: at least one")
    slots = [Compaction(raw.seen) for raw in raws]
    firsts = first_fit([slot.slot_pages for slot in slots], [raw.life(interval_ns) for raw in raws])
    parts = [
        _Part(raw, slot, first, *raw.intervals(interval_ns))
        for raw, slot, first in zip(raws, slots, firsts, strict=True)
    ]
    begin = parts[0].began
    numbers = np.concatenate([part.numbers for part in parts]) - begin
    epochs = max(part.end for part in parts) - begin
    offsets, gfns = laid_out_by_number(numbers, np.concatenate([p.gfns for p in parts]), epochs)
    lengths = np.concatenate([np.diff(raw.at_ns) for raw in raws]) / 1e6
    quantiles = np.percentile(lengths, [1, 50, 99]) if len(lengths) else []
    meta = {
        "name": name,
        "program": Path(command[0]).name,
        "command": " ".join(os.fsencode(word).decode(errors="replace") for word in command),
        "page_size": 4096,
        "slot_pages": max(part.first + part.slot.slot_pages for part in parts),
        "epoch_ms": interval_ns / 1e6,
        "epochs": epochs,
        "recorder": "userfaultfd-wp-async",
        "kernel": platform.release(),
        "recorded": date.today().isoformat(),
        "limits": LIMITS,
        "interval_ms_p1_p50_p99": [round(float(ms), 3) for ms in quantiles],
        "processes": [part.described(begin) for part in parts],
        "address_runs": [run for part in parts for run in part.address_runs],
    }
    return Trace(offsets=offsets, gfns=gfns.astype(np.uint32), meta=meta)


@dataclass
class _Part:
    """A process's part of the slot, from page `first` on."""

    raw: Raw
    slot: Compaction
    first: int
    began: int
    harvested: np.ndarray

    @property
    def end(self):
        """The number after that of the last interval."""
        return int(self.harvested[-1]) + 1 if len(self.harvested) else self.began + 1

    @property
    def numbers(self):
        """The interval of each page of `gfns`."""
        return np.repeat(self.harvested, [len(pages) for pages in self.raw.epochs])

    @property
    def gfns(self):
        return self.first + self.slot.gfns(self.raw.written)

    @property
    def address_runs(self):
        return [[at, self.first + gfn, pages] for at, gfn, pages in self.slot.address_runs]

    def described(self, begin):
        """Return what a trace's meta says of the process."""
        return {
            "name": self.raw.name,
            "pid": self.raw.pid,
            "epochs": [self.began - begin, self.end - begin],
            "gfns": [self.first, self.first + self.slot.slot_pages],
        }
