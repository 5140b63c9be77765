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
from itertools import product
from pathlib import Path

import click
import numba
import numpy as np
import pandas as pd

from analysis.measured.contention import FIRST_STORES, STORMS, first_stores_table, storms_table
from benchmarks.common import SEED, WrongHarvestError
from benchmarks.storm import (
    ENDED,
    ROUNDS,
    STORES,
    STORM_PAGES,
    Simulated,
    Storm,
    begin,
    bits_of,
    meet,
)
from strategies import registry
from strategies.cli import run
from strategies.core import atomics
from strategies.core.jit import kernel
from strategies.core.words import ONE
from strategies.errors import InputError
from strategies.files import write_table
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

COUNTED = {
    "faults": ("write_faults", "map_faults"),
    "spurious_faults": ("spurious_faults",),
    "lock_retries": ("lock_retries",),
    "tlbies": ("tlbies", "shared_tlbies"),
    "flushes": ("flushes",),
}
"""Columns of a storm, and the events that they add up."""


@kernel
def _store_to_memory(gate, threads, memory, gfns):
    """Store to real pages once all threads are here; return the nanoseconds."""
    meet(gate, threads)
    ns = store(memory, gfns)
    atomics.fetch_add(gate, ENDED, ONE)
    return ns


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


def at_once(tracked, gfns):
    """Let a thread for each list of pages store to them; return the mean nanoseconds per store."""
    with ThreadPoolExecutor(len(gfns)) as pool:
        _gate, runs = begin(pool, tracked, gfns)
        return sum(run.result() for run in runs) / max(sum(map(len, gfns)), 1)


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


def storm(kind, name, threads, rounds, number):
    """Return the row of a tracker or lane."""
    tracked = kind(name, STORM_PAGES, threads)
    found = Storm(tracked, threads, rounds, number)
    pages = int(np.median(found.pages or [0]))
    still = [_still(tracked, pages, threads, found.random) for _ in range(TIMES)]
    tracked.close()
    row = {"pass": number, "kind": kind.kind, "name": name, "threads": threads}
    row |= {"stores": len(found.store_ns) * STORES, "harvests": found.harvests}
    row |= {"lost": found.lost if tracked.reports else None, "pages": pages}
    row |= {"beside_ns": np.median(found.harvest_ns or [np.nan]), "still_ns": np.median(still)}
    row |= {"store_ns": np.median(found.store_ns)}
    return row | {
        column: sum(found.events[event] for event in summed) if found.events else None
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
                write_table(pd.DataFrame(stores), out / FIRST_STORES)
                bar.advance(task)
            for kind, name in names:
                storms.append(storm(kind, name, together, rounds, number))
                write_table(pd.DataFrame(storms), out / STORMS)
                bar.advance(task)
    return storms


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--threads", multiple=True, type=click.IntRange(1), default=(1, 3, 7, 14),
              show_default=True, help="That store at once.  Repeatable.")  # fmt: skip
@click.option("--passes", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--pages",
    type=click.IntRange(1),
    default=4000,
    show_default=True,
    help="First stores of each thread.",
)
@click.option(
    "--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Of each storm."
)
def main(out, threads, passes, pages, rounds):
    """Measure what stores and harvests take while threads store on cores of their own."""
    cores = len(os.sched_getaffinity(0))
    if max(threads) >= cores:
        wanted = f"{max(threads)} threads and a harvest want {max(threads) + 1} cores"
        raise InputError(f"{wanted}: here are {cores}")
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
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:], "python -m benchmarks.by_hand.contention"))
