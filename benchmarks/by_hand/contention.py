"""Many vCPUs at once, on cores of their own: what stores and harvests take, and that none is lost.

python -m benchmarks.by_hand.contention --out results/local/contention
python -m benchmarks.by_hand.contention --out results/local/contention --threads 1    # two cores

`first_stores.csv`: threads begin at once and store to pages of their own that a harvest has just
protected, once to each (`first_ns` a store), then the same again, the pages being open
(`again_ns`): the difference is what tracking takes. The pages are `apart`, a part of the slot for
each thread, or `together`: neighbours in turn, in one order, so that threads meet in cache lines
and in words of the log. By trackers of the simulation, and by the lanes of this kernel that take
several threads. All pages are judged.

`storms.csv`: threads store to random pages of 16 MiB (on a lane each to its own), harvests beside
them follow each other, and each round is judged as a migration is (`lost`). `beside_ns` is a
harvest beside stores, `still_ns` one of as many pages, `pages`, to which the same threads have
stored before they stopped; `store_ns` is to be compared with that of `null`, or `plain`. All times
are medians. Counts race, and vary.
"""

import json
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path

import click
import numba
import numpy as np
import pandas as pd

from benchmarks.common import PAGE_4K, SEED, SLOT, WrongHarvestError, open_cell
from benchmarks.contention import SLOT_BYTES, Storm
from strategies import registry
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.jit import inlined, kernel
from strategies.core.vcpus import VcpuThreads
from strategies.core.words import I64, ONE, U64
from strategies.lanes.registry import get
from strategies.lanes.run import copy_pages, first_difference
from strategies.lanes.session import reasons
from strategies.lanes.words import PAGE_WORDS, store
from strategies.replay.output import cpu_model
from strategies.terminal import progress_bar

LANES = ("plain", "uffd_async")
"""The other lanes have one vCPU, or one CPU for the writer and who resolves its faults."""

LAYOUTS = ("apart", "together")
STORES = 70_000
"""Of each thread in a round of a storm."""

STILL = 9
"""Harvests for the median with the vCPUs stopped."""


@inlined
def _meet(gate, threads):
    """Wait until all threads are here."""
    atomics.fetch_add(gate, 0, ONE)
    spins = I64(0)
    while atomics.load(gate, 0) < U64(threads):
        spins = atomics.relax(spins)


@kernel
def _store_to_machine(gate, threads, *stores):
    """Make stores (`store_pages`) once all threads are here; return the nanoseconds."""
    _meet(gate, threads)
    start = monotonic_ns()
    store_pages(*stores)
    return monotonic_ns() - start


@kernel
def _store_to_memory(memory, gfns, gate, threads):
    """Store to real pages once all threads are here; return the nanoseconds."""
    _meet(gate, threads)
    return store(memory, gfns)


class Simulated:
    """A tracker of the simulation that logs a slot, with a vCPU for each thread."""

    kind = "simulated"

    def __init__(self, name, npages, threads):
        cell = open_cell(name, npages * PAGE_4K, PAGE_4K, "linear", threads)
        self.reports, self.out = not cell.is_baseline, cell.out
        self.harvest = partial(cell.tracker.get_dirty_log, SLOT, self.out)
        self._machine = cell.vm.machine

    def store(self, thread, gfns, gate, threads):
        """Store once to pages when all threads do; return the nanoseconds."""
        stores = (self._machine, VIEW_BASE, thread, 1, gfns, 1, 0)
        return _store_to_machine(gate, threads, *stores)

    def close(self):
        """Leave the machine to the next tracker."""


class Kernel:
    """A lane: pages of this process, whose writes the kernel tracks, whatever thread stores."""

    kind = "kernel"

    def __init__(self, name, npages, _threads):
        self._lane = get(name)(npages)
        self._lane.enable()
        self.reports, self.out = self._lane.reports, self._lane.buffer()
        self.harvest = partial(self._lane.harvest, self.out)
        self.close = self._lane.close

    def store(self, _thread, gfns, gate, threads):
        """Store once to pages when all threads do; return the nanoseconds."""
        return _store_to_memory(self._lane.memory.ctypes.data, gfns, gate, threads)


def parts(layout, threads, pages, seed):
    """Return the pages that each thread stores to, in random order: a list of int64[pages]."""
    order = np.random.default_rng([SEED, seed]).permutation(pages)
    if layout == "apart":
        return [thread * pages + order for thread in range(threads)]
    return [order * threads + thread for thread in range(threads)]


def _at_once(tracked, gfns):
    """Let a thread for each list of pages store to it; return the mean nanoseconds per store."""
    gate, threads = np.zeros(1, np.uint64), len(gfns)
    with ThreadPoolExecutor(threads) as pool:
        runs = [
            pool.submit(tracked.store, number, gfns[number], atomics.address_of(gate), threads)
            for number in range(threads)
        ]
    return sum(run.result() for run in runs) / sum(map(len, gfns))


def _judge(tracked, name, gfns):
    """Raise WrongHarvestError unless a harvest is these pages."""
    tracked.harvest()
    bits = np.unpackbits(tracked.out.view(np.uint8), bitorder="little")
    if tracked.reports and not np.array_equal(np.flatnonzero(bits), np.sort(np.concatenate(gfns))):
        raise WrongHarvestError(f"{name}: a harvest is not what {len(gfns)} threads stored")


def first_stores(kind, name, threads, pages, npages, number):
    """Return the rows of a tracker or lane, one for each layout."""
    tracked, rows = kind(name, npages, threads), []
    for layout in (LAYOUTS[0], *LAYOUTS):  # the first brings code and memory, and does not count
        gfns = parts(layout, threads, pages, number)
        tracked.harvest()
        row = {"pass": number, "kind": kind.kind, "name": name, "threads": threads}
        row |= {"layout": layout, "first_ns": _at_once(tracked, gfns)}
        rows.append(row | {"again_ns": _at_once(tracked, gfns)})
        _judge(tracked, name, gfns)
    tracked.close()
    return rows[1:]


def storm(name, threads, rounds, number):
    """Return the row of a tracker."""
    cell = open_cell(name, SLOT_BYTES, PAGE_4K, "linear", threads)
    cell.dirty(0.0)
    found = Storm(cell, rounds, STORES)
    pages = int(np.median(found.pages or [0]))
    still = [_still(cell, pages) for _ in range(STILL)]
    events = found.events
    return _row(Simulated, name, threads, number, found, still) | {
        "faults": events["write_faults"] + events["map_faults"],
        "spurious_faults": events["spurious_faults"],
        "lock_retries": events["lock_retries"],
        "tlbies": events["tlbies"] + events["shared_tlbies"],
        "flushes": events["flushes"],
    }


def _row(kind, name, threads, number, found, still):
    """Return what a storm of either kind tells."""
    return {
        "pass": number,
        "kind": kind.kind,
        "name": name,
        "threads": threads,
        "stores": len(found.store_ns) * STORES,
        "harvests": found.harvests,
        "lost": None if name in (registry.BASELINE, LANES[0]) else found.lost,
        "pages": int(np.median(found.pages or [0])),
        "beside_ns": np.median(found.harvest_ns or [np.nan]),
        "still_ns": np.median(still),
        "store_ns": np.median(found.store_ns),
    }


def _still(cell, pages):
    """Let all vCPUs store to so many pages, and stop; return the nanoseconds of the harvest."""
    cell.draw(pages / cell.npages)
    gfns = np.array_split(cell.gfns, cell.vm.vcpus)
    VcpuThreads(cell.vm, lambda first, _: cell.vm.store(gfns[first], cell.stamp, vcpu=first)).join()
    return cell.harvest()


class KernelStorm:
    """As Storm, with a lane; no page is stored to by two threads, which would lose a count.

    Attributes as of Storm, but for `events`.
    """

    def __init__(self, lane, threads, rounds):
        self.lane, self.threads, self.out = lane, threads, lane.buffer()
        self.harvest_ns, self.pages, self.store_ns = [], [], []
        self.harvests = self.lost = 0
        self.copy = lane.memory[::PAGE_WORDS].copy()
        for number in range(rounds):
            self._round(np.random.default_rng([SEED, number]))

    def _round(self, random):
        """Harvest while the threads store, once more when they have stopped, and compare."""
        own = self.lane.npages // self.threads
        gfns = random.integers(own, size=(self.threads, STORES)) * self.threads
        with ThreadPoolExecutor(self.threads) as pool:
            runs = [pool.submit(self.lane.write, row + n) for n, row in enumerate(gfns)]
            storing = True
            while storing:
                storing = not all(run.done() for run in runs)
                self._harvest(runs)
        self.store_ns += [run.result() / STORES for run in runs]
        self.lost += first_difference(self.lane.memory.ctypes.data, self.copy)[0]

    def _harvest(self, runs):
        ns = self.lane.harvest(self.out)
        self.harvests += 1
        if not all(run.done() for run in runs):
            self.harvest_ns.append(ns)
            self.pages.append(int(np.bitwise_count(self.out).sum()))
        copy_pages(self.lane.memory.ctypes.data, self.copy, self.out)

    def still(self, random):
        """Let all threads store to as many pages, and stop; return the ns of the harvest."""
        pages = int(np.median(self.pages or [0]))
        gfns = random.choice(self.lane.npages, pages, replace=False)
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(self.lane.write, np.array_split(gfns, self.threads)))
        ns = self.lane.harvest(self.out)
        if self.lane.reports and int(np.bitwise_count(self.out).sum()) != pages:
            raise WrongHarvestError(f"{self.lane.name}: a harvest is not the {pages} pages stored")
        return ns


@contextmanager
def opened(name):
    """Give a lane of SLOT_BYTES that tracks, and close it."""
    lane = get(name)(SLOT_BYTES // PAGE_4K)
    try:
        lane.enable()
        yield lane
    finally:
        lane.close()


def kernel_storm(name, threads, rounds, number):
    """Return the row of a lane."""
    with opened(name) as lane:
        found = KernelStorm(lane, threads, rounds)
        random = np.random.default_rng([SEED, number])
        still = [found.still(random) for _ in range(STILL)]
    return _row(Kernel, name, threads, number, found, still)


def origin(**settings):
    """Return where and when something was measured, and how: a dict."""
    siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "cpu0_shares_a_core_with": siblings.read_text().strip() if siblings.exists() else "unknown",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "date": date.today().isoformat(),
        **settings,
    }


def _write(rows, path):
    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")


def measure(out, threads, passes, pages, rounds):
    """Measure all, and write it after each number of threads; return the rows of the storms."""
    lanes = [name for name, reason in reasons(LANES).items() if reason is None]
    names = [(Simulated, storm, name) for name in registry.names()]
    names += [(Kernel, kernel_storm, name) for name in lanes]
    npages = pages * max(threads)
    stores, storms = [], []
    with progress_bar() as bar:
        task = bar.add_task("contention", total=2 * passes * len(threads) * len(names))
        for number, count in product(range(passes), threads):
            for kind, _, name in names:
                stores += first_stores(kind, name, count, pages, npages, number)
                bar.advance(task)
            for _, run, name in names:
                storms.append(run(name, count, rounds, number))
                bar.advance(task)
            _write(stores, out / "first_stores.csv")
            _write(storms, out / "storms.csv")
    return storms


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--threads", multiple=True, type=click.IntRange(1), default=(1, 3, 7, 14),
              show_default=True, help="That store at once.  Repeatable.")  # fmt: skip
@click.option("--passes", default=3, show_default=True)
@click.option("--pages", default=1 << 14, show_default=True, help="First stores of each thread.")
@click.option("--rounds", default=35, show_default=True, help="Of each storm.")
def main(out, threads, passes, pages, rounds):
    """Measure what stores and harvests take while threads store on cores of their own."""
    cores = len(os.sched_getaffinity(0))
    if max(threads) >= cores:
        wanted = f"{max(threads)} threads and a harvest want {max(threads) + 1} cores"
        click.echo(f"error: {wanted}: here are {cores}", err=True)
        sys.exit(2)
    out.mkdir(parents=True, exist_ok=True)
    settings = {"passes": passes, "pages": pages, "rounds": rounds, "stores": STORES}
    (out / "origin.json").write_text(json.dumps(origin(**settings), indent=2) + "\n")
    storms = measure(out, threads, passes, pages, rounds)
    lost = [f"{row['name']}: {row['lost']} pages lost" for row in storms if row["lost"]]
    for line in lost:
        click.echo(line, err=True)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
