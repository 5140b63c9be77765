"""What a replay on real kernels looks like beside the simulated one: rows, a table, CSV."""

import platform

import numpy as np

from strategies.lanes.kvm import KvmLane, backend
from strategies.lanes.registry import get
from strategies.replay.output import columns, spread_of

LANE_COLUMNS = (
    "trace",
    "lane",
    "epoch",
    "pages_stored",
    "pages_reported",
    "lost",
    "spurious",
    "harvest_ns",
    "write_ns",
    "again_ns",
)


def lane_row(replay, thp):
    """Return a LaneReplay as one JSON row.

    `store_ns` are medians over the stores: `open` of one to an open page; `protected` of one that
    meets a protected page, which is `open` and the guest time lost per page. They and
    `guest_lost_ns` leave out epochs in which pages were protected again before the harvest, and
    are None when no other has a store.
    """
    write, again, over, stores, pages = (
        np.array(values)[replay.opened]
        for values in (
            replay.write_ns,
            replay.again_ns,
            replay.overhead_ns,
            replay.stores,
            replay.stored,
        )
    )
    lost = write - again
    open_ns = protected_ns = guest_lost = None
    if stores.any():
        open_ns = _median_ratio(again - over, stores)
        protected_ns = open_ns + _median_ratio(lost, pages)
        guest_lost = {"mean": float(lost.mean())} | spread_of(lost)
    baseline = not get(replay.lane).reports
    return {
        "kind": "kernel",
        "lane": replay.lane,
        "kernel": platform.release(),
        "backend": backend() if issubclass(get(replay.lane), KvmLane) else None,
        "thp": thp,
        "epochs": len(replay.harvest_ns),
        "pages_stored": sum(replay.stored),
        "pages_reported": None if baseline else sum(replay.reported),
        "lost": None if baseline else sum(replay.lost),
        "spurious": None if baseline else sum(replay.spurious),
        "harvest_ns": spread_of(replay.harvest_ns),
        "store_ns": {"open": open_ns, "protected": protected_ns},
        "guest_lost_ns": guest_lost,
        "counts": replay.counts,
    }


def _median_ratio(ns, counts):
    """Return the median of ns / counts, in which an epoch weighs as its count; one is not 0."""
    ratios = np.divide(ns, counts, out=np.zeros(len(counts)), where=counts > 0)
    order = np.argsort(ratios)
    reached = np.cumsum(counts[order])
    return float(ratios[order][np.searchsorted(reached, reached[-1] / 2)])


def lanes_text(rows):
    """Yield a table of the rows of kernel lanes, if there are any."""
    if not rows:
        return
    yield "\nThe same stores on real memory, one writer, tracked by a real kernel: exact counts of"
    yield "pages, judged by contents; the rest is measured: a harvest, a store to an open and to a"
    yield "protected page, the guest time that an epoch lost (plain: what cold caches alone take)"
    yield columns((_HEAD, *map(_cells, rows)))


_HEAD = (
    "lane",
    *("stored", "reported", "lost", "spurious"),
    *("median us", "p99 us", "max us"),
    *("open ns", "protected ns", "lost us, mean", "p99 us"),
)


def _cells(row):
    pages = (row[key] for key in ("pages_stored", "pages_reported", "lost", "spurious"))
    harvest, guest = row["harvest_ns"], row["guest_lost_ns"] or {}
    stores = (row["store_ns"][key] for key in ("open", "protected"))
    return (
        row["lane"],
        *("-" if count is None else f"{count}" for count in pages),
        *(f"{harvest[key] / 1000:.2f}" for key in ("median", "p99", "max")),
        *("-" if ns is None else f"{ns:.0f}" for ns in stores),
        *(f"{round(guest[key] / 1000, 1) + 0:.1f}" if guest else "-" for key in ("mean", "p99")),
    )


def lane_epochs(trace, replays):
    """Yield one tidy row per lane and epoch, in LANE_COLUMNS; empty where nothing is."""
    for replay in replays:
        blank = [""] * len(replay.stored)
        found = (replay.reported or blank, replay.lost or blank, replay.spurious or blank)
        times = (replay.harvest_ns, replay.write_ns, replay.again_ns)
        for epoch, values in enumerate(zip(replay.stored, *found, *times, strict=True)):
            yield (trace.name, replay.lane, epoch, *values)
