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
harvest while all threads store, `still_ns` one of as many pages, `pages`, to which the same threads
have stored before they stopped; `store_ns` is to be compared with that of `null`, or `plain`. All
times are medians, by a clock inside compiled code. Counts race, and vary.
"""

import json
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from itertools import count, product
from pathlib import Path

import click
import numba
import numpy as np
import pandas as pd

from analysis.measured.contention import FIRST_STORES, STORMS, first_stores_table, storms_table
from benchmarks.common import MIB, PAGE_4K, SEED, SLOT, WrongHarvestError, open_cell
from strategies import registry
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.jit import inlined, kernel
from strategies.core.words import I64, ONE, U64
from strategies.lanes.registry import get
from strategies.lanes.session import reasons
from strategies.lanes.words import PAGE_WORDS, store
from strategies.replay.output import cpu_model
from strategies.terminal import progress_bar

LANES = ("plain", "uffd_async")
"""The other lanes have one vCPU, or one CPU for the writer and who resolves its faults."""

LAYOUTS = ("apart", "together")
TIMES = 9
"""First stores to all pages, and harvests of still pages, for a median."""

STORM_PAGES = 16 * MIB // PAGE_4K
STORES = 70_000
"""Of each thread in a round of a storm. Rounds are short: a lost page that is stored to again is
safe."""

_rounds = count(1)
"""Number what threads do at once in this process: no two stores have one stamp."""

COUNTED = {
    "faults": ("write_faults", "map_faults"),
    "spurious_faults": ("spurious_faults",),
    "lock_retries": ("lock_retries",),
    "tlbies": ("tlbies", "shared_tlbies"),
    "flushes": ("flushes",),
}
"""Columns of a storm, and the events that they add up."""

BEGUN, ENDED = 0, 1
"""Words of a gate: how many threads have come to it, and how many have stored."""


@inlined
def _meet(gate, threads):
    """Wait until all threads are here."""
    atomics.fetch_add(gate, BEGUN, ONE)
    spins = I64(0)
    while atomics.load(gate, BEGUN) < U64(threads):
        spins = atomics.relax(spins)


@kernel
def _store_to_machine(gate, threads, *stores):
    """Make stores (`store_pages`) once all threads are here; return the nanoseconds."""
    _meet(gate, threads)
    start = monotonic_ns()
    store_pages(*stores)
    end = monotonic_ns()
    atomics.fetch_add(gate, ENDED, ONE)
    return end - start


@kernel
def _store_to_memory(gate, threads, memory, gfns):
    """Store to real pages once all threads are here; return the nanoseconds."""
    _meet(gate, threads)
    ns = store(memory, gfns)
    atomics.fetch_add(gate, ENDED, ONE)
    return ns


class Simulated:
    """A tracker of the simulation that logs a slot, with a vCPU for each thread.

    Attributes
    ----------
    kind, name : str
    reports : bool
        Whether a harvest tells anything.
    is_shared : bool
        Whether two threads may store to one page.
    contents : uint64[npages]
        What the pages hold.
    out : uint64[words]
        The last harvest.
    harvest : callable
        Returns its nanoseconds.
    events : callable
        Returns what was counted, by name.
    """

    kind, is_shared = "simulated", True

    def __init__(self, name, npages, threads):
        cell = open_cell(name, npages * PAGE_4K, PAGE_4K, "linear", threads)
        self.name, self.reports, self.out = name, not cell.is_baseline, cell.out
        self.contents, self.events = cell.vm.arrays.stamps, cell.vm.events
        self.harvest = partial(cell.tracker.get_dirty_log, SLOT, self.out)
        self._machine = cell.vm.machine

    def store(self, thread, gfns, stamp, *gate):
        """Store to pages when all threads do, a stamp of its own each; return the nanoseconds."""
        return _store_to_machine(*gate, self._machine, VIEW_BASE, thread, 1, gfns, stamp, 1)

    def close(self):
        """Leave the machine to the next tracker."""


class Kernel:
    """A lane: pages of this process, whose writes the kernel tracks, whatever thread stores.

    Attributes as of Simulated. A store adds 1: two threads on one page would lose counts.
    """

    kind, is_shared = "kernel", False

    def __init__(self, name, npages, _threads):
        self._lane = get(name)(npages)
        self._lane.enable()
        self.name, self.reports, self.out = name, self._lane.reports, self._lane.buffer()
        self.contents, self.events = self._lane.memory[::PAGE_WORDS], dict
        self.harvest, self.close = partial(self._lane.harvest, self.out), self._lane.close

    def store(self, _thread, gfns, _stamp, *gate):
        """Store to pages when all threads do; return the nanoseconds."""
        return _store_to_memory(*gate, self._lane.memory.ctypes.data, gfns)


def parts(layout, threads, pages, seed):
    """Return the pages that each thread stores to, in random order: a list of int64[pages]."""
    order = np.random.default_rng([SEED, seed]).permutation(pages)
    if layout == "apart":
        return [thread * pages + order for thread in range(threads)]
    return [order * threads + thread for thread in range(threads)]


def begin(pool, tracked, gfns):
    """Let a thread for each list of pages store to them; return the gate and the runs."""
    gate = np.zeros(2, np.uint64)
    stamps = np.cumsum([next(_rounds) << 32, *map(len, gfns)]).tolist()
    words = atomics.address_of(gate), len(gfns)
    runs = [
        pool.submit(tracked.store, thread, own, stamps[thread], *words)
        for thread, own in enumerate(gfns)
    ]
    return gate, runs


def at_once(tracked, gfns):
    """Let a thread for each list of pages store to them; return the mean nanoseconds per store."""
    with ThreadPoolExecutor(len(gfns)) as pool:
        _gate, runs = begin(pool, tracked, gfns)
        return sum(run.result() for run in runs) / max(sum(map(len, gfns)), 1)


def bits_of(tracked):
    """Return for each page whether the last harvest reported it."""
    return np.unpackbits(tracked.out.view(np.uint8), bitorder="little").astype(bool)


def judge(tracked, gfns):
    """Harvest; return the nanoseconds, or raise WrongHarvestError unless it is these pages."""
    ns = tracked.harvest()
    stored = np.sort(np.concatenate(gfns))
    if tracked.reports and not np.array_equal(np.flatnonzero(bits_of(tracked)), stored):
        raise WrongHarvestError(f"{tracked.name}: a harvest is not what {len(gfns)} threads stored")
    return ns


def first_and_again(tracked, gfns):
    """Return the nanoseconds of a store to a page that is protected, and to one that is open."""
    both = at_once(tracked, gfns), at_once(tracked, gfns)
    judge(tracked, gfns)  # and protect all pages for the next time
    return both


def first_stores(kind, name, threads, pages, npages, number):
    """Return the rows of a tracker or lane, one for each layout."""
    tracked, rows = kind(name, npages, threads), []
    for layout in LAYOUTS:
        orders = [parts(layout, threads, pages, 100 * number + time) for time in range(1 + TIMES)]
        found = [first_and_again(tracked, gfns) for gfns in orders]
        first_ns, again_ns = np.median(found[1:], axis=0)  # the first brings code and memory
        row = {"pass": number, "kind": kind.kind, "name": name, "threads": threads}
        rows.append(row | {"layout": layout, "first_ns": first_ns, "again_ns": again_ns})
    tracked.close()
    return rows


class Storm:
    """Rounds of storing threads against harvests, judged as a migration is.

    Attributes
    ----------
    harvest_ns, pages : list of int
        Of harvests while all threads stored: how long they took, how many pages they reported.
    store_ns : list of float
        Nanoseconds per store of each thread and round.
    harvests, lost : int
        `lost` means nothing where nothing is reported.
    """

    def __init__(self, tracked, threads, rounds, seed):
        self.tracked, self.threads = tracked, threads
        self.harvest_ns, self.pages, self.store_ns = [], [], []
        self.harvests = self.lost = 0
        self.copy = tracked.contents.copy()
        self.random = np.random.default_rng([SEED, seed])
        for _ in range(rounds):
            self._round()

    def _round(self):
        """Harvest while the threads store, once more when they have stopped, and compare."""
        with ThreadPoolExecutor(self.threads) as pool:
            gate, runs = begin(pool, self.tracked, self._gfns())
            storing = True
            while storing:
                storing = not all(run.done() for run in runs)
                self._harvest(gate)
        self.store_ns += [run.result() / STORES for run in runs]
        self.lost += int((self.copy != self.tracked.contents).sum())

    def _gfns(self):
        """Return the pages of each thread: any, or where none is shared, those of its turn."""
        size, pages = (self.threads, STORES), self.tracked.contents.size
        if self.tracked.is_shared:
            return self.random.integers(pages, size=size)
        turns = np.arange(self.threads)[:, None]
        return self.random.integers(pages // self.threads, size=size) * self.threads + turns

    def _harvest(self, gate):
        """Harvest, and copy what is reported; note it if all threads stored all the while."""
        begun = gate[BEGUN] == self.threads
        ns = self.tracked.harvest()
        is_beside = begun and not gate[ENDED]
        reported = np.flatnonzero(bits_of(self.tracked))
        self.copy[reported] = self.tracked.contents[reported]
        self.harvests += 1
        if is_beside:
            self.harvest_ns.append(ns)
            self.pages.append(reported.size)


def storm(kind, name, threads, rounds, number):
    """Return the row of a tracker or lane."""
    tracked = kind(name, STORM_PAGES, threads)
    before = tracked.events()
    found = Storm(tracked, threads, rounds, number)
    events = {event: n - before[event] for event, n in tracked.events().items()}
    pages = int(np.median(found.pages or [0]))
    still = [_still(tracked, pages, threads, found.random) for _ in range(TIMES)]
    tracked.close()
    row = {"pass": number, "kind": kind.kind, "name": name, "threads": threads}
    row |= {"stores": len(found.store_ns) * STORES, "harvests": found.harvests}
    row |= {"lost": found.lost if tracked.reports else None, "pages": pages}
    row |= {"beside_ns": np.median(found.harvest_ns or [np.nan]), "still_ns": np.median(still)}
    row |= {"store_ns": np.median(found.store_ns)}
    return row | {
        column: sum(events[event] for event in summed) if events else None
        for column, summed in COUNTED.items()
    }


def _still(tracked, pages, threads, random):
    """Let all threads store to so many pages, and stop; return the nanoseconds of the harvest."""
    gfns = np.array_split(random.choice(tracked.contents.size, pages, replace=False), threads)
    at_once(tracked, gfns)
    return judge(tracked, gfns)


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
    """Measure all, and write what there is each time; return the rows of the storms."""
    lanes = [name for name, reason in reasons(LANES).items() if reason is None]
    names = [(Simulated, name) for name in registry.names()]
    names += [(Kernel, name) for name in lanes]
    npages = pages * max(threads)
    stores, storms = [], []
    with progress_bar() as bar:
        task = bar.add_task("contention", total=2 * passes * len(threads) * len(names))
        for number, together in product(range(passes), threads):
            for kind, name in names:
                stores += first_stores(kind, name, together, pages, npages, number)
                _write(stores, out / FIRST_STORES)
                bar.advance(task)
            for kind, name in names:
                storms.append(storm(kind, name, together, rounds, number))
                _write(storms, out / STORMS)
                bar.advance(task)
    return storms


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--threads", multiple=True, type=click.IntRange(1), default=(1, 3, 7, 14),
              show_default=True, help="That store at once.  Repeatable.")  # fmt: skip
@click.option("--passes", default=3, show_default=True)
@click.option("--pages", default=4000, show_default=True, help="First stores of each thread.")
@click.option("--rounds", default=35, show_default=True, help="Of each storm.")
def main(out, threads, passes, pages, rounds):
    """Measure what stores and harvests take while threads store on cores of their own."""
    cores = len(os.sched_getaffinity(0))
    if max(threads) >= cores:
        wanted = f"{max(threads)} threads and a harvest want {max(threads) + 1} cores"
        click.echo(f"error: {wanted}: here are {cores}", err=True)
        sys.exit(2)
    sys.setswitchinterval(1e-4)  # threads that begin or end wait for the interpreter
    out.mkdir(parents=True, exist_ok=True)
    settings = {"passes": passes, "pages": pages, "rounds": rounds, "stores": STORES}
    (out / "origin.json").write_text(json.dumps(origin(**settings), indent=2) + "\n")
    storms = measure(out, threads, passes, pages, rounds)
    for line in (*first_stores_table(out), "", *storms_table(out)):
        click.echo(line)
    lost = [f"{row['name']}: {row['lost']} pages lost" for row in storms if row["lost"]]
    for line in lost:
        click.echo(line, err=True)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
