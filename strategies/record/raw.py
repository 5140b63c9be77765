"""What the recorder writes, and the trace that becomes of it."""

import os
import platform
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from strategies.workloads.compact import Compaction, laid_out
from strategies.workloads.trace import Trace

BASELINE, EPOCH, STARTED, CHILD, FAILED = 1, 2, 3, 4, 5
HEAD_WORDS = 3
LIMITS = (
    "Writable private anonymous mappings alone: no stack of the main thread, no files, no shared "
    "memory. A page that becomes resident counts as written. Children are not followed."
)


@dataclass
class Raw:
    """A recorder's file.

    Attributes
    ----------
    resident : int64[n]
        Pages (address / 4096) that were there when recording began.
    epochs : list of int64[n]
        Pages written in each interval.
    at_ns : list of int
        When recording began, and when each interval ended (CLOCK_MONOTONIC).
    children : set of int
        Processes that were forked, and not followed.
    started : bool
        Whether a recorder started.
    failed : int or None
        The errno of one that could not.
    """

    resident: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    epochs: list[np.ndarray] = field(default_factory=list)
    at_ns: list[int] = field(default_factory=list)
    children: set[int] = field(default_factory=set)
    started: bool = False
    failed: int | None = None


def read_raw(path):
    """Return the Raw of a file; a record cut off at its end is left out."""
    words = np.fromfile(path, np.uint64)
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
    if kind == BASELINE:
        raw.resident = np.concatenate([raw.resident, _pages(pairs)])
        raw.at_ns.append(ns)
    elif kind == EPOCH:
        raw.epochs.append(_pages(pairs))
        raw.at_ns.append(ns)
    elif kind == STARTED:
        raw.started = True
    elif kind == CHILD:
        raw.children.add(ns)
    elif kind == FAILED:
        raw.failed = ns


def _pages(pairs):
    """Return the pages of runs [start, end) in bytes."""
    starts, ends = (pairs.reshape(-1, 2).T // np.uint64(4096)).astype(np.int64)
    counts = ends - starts
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def trace_of(raw, *, name, command, interval_ns):
    """Return the Trace of a recording.

    Its meta says besides how long the intervals really were, how many children there were, and
    where the slot's pages lay (`address_runs`: address, first gfn, pages).

    Raises
    ------
    InputError
        Nothing was seen.
    """
    epochs = raw.epochs or [np.empty(0, np.int64)]
    offsets, pages = laid_out(epochs)
    slot = Compaction(np.concatenate([pages, raw.resident]))
    lengths = np.diff(raw.at_ns) / 1e6
    quantiles = np.percentile(lengths, [1, 50, 99]) if len(lengths) else []
    meta = {
        "name": name,
        "program": Path(command[0]).name,
        "command": " ".join(os.fsencode(word).decode(errors="replace") for word in command),
        "page_size": 4096,
        "slot_pages": slot.slot_pages,
        "epoch_ms": interval_ns / 1e6,
        "epochs": len(epochs),
        "recorder": "userfaultfd-wp-async",
        "kernel": platform.release(),
        "recorded": date.today().isoformat(),
        "limits": LIMITS,
        "interval_ms_p1_p50_p99": [round(float(ms), 3) for ms in quantiles],
        "children_not_followed": len(raw.children),
        "address_runs": slot.address_runs,
    }
    return Trace(offsets=offsets, gfns=slot.gfns(pages).astype(np.uint32), meta=meta)
