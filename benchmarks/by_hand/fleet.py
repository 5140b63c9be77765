"""What a sweep's engine costs: `analysis/fleet/README.md` has the figures of one machine.

python -m benchmarks.by_hand.fleet serial 'DIR/*.npz' --out DIR  # no Dask: what all must equal
python -m benchmarks.by_hand.fleet same DIR DIR ...
python -m benchmarks.by_hand.fleet throughput 'DIR/*.npz'  # beside two plain processes
python -m benchmarks.by_hand.fleet scheduler  # memory at 100,000 cells of nothing
python -m benchmarks.by_hand.fleet rows DIR  # a dataset of 10^6 rows, made up
"""

import multiprocessing
import statistics
import sys
import time

import click
import numpy as np
import psutil
import pyarrow as pa

from analysis.fleet.cells import Cell, Work, cells_of, count_all, warm
from analysis.fleet.dataset import DIGITS, Dataset
from analysis.fleet.engine import connected, stream
from analysis.fleet.plan import PROCESS_MIB, Batch, batches_of
from analysis.fleet.prices import prices_digest, write_rows
from analysis.fleet.recordings import Recording, Source, find_sources, look
from analysis.fleet.spec import merge
from analysis.model.profile import bundled, load_profile
from strategies.cli import run
from strategies.registry import choices

JOBS = 2
DASK = (sys.executable, "-m", "dask")
EXACT_BUT = {"seconds", "machine"}


@click.group()
def main():
    """Measure the engine of dirtylog sweep, and compare what it wrote."""


def _works(traces):
    asked = merge(None, traces, {})
    seen = {name: look(source) for name, source in find_sources(asked).items()}
    return seen, [Work(one, tuple(cells_of(asked, one))) for one in seen.values()]


@main.command()
@click.argument("traces", nargs=-1, required=True)
@click.option("--out", required=True)
def serial(traces, out):
    """Count TRACES in this process and write a dataset."""
    seen, works = _works(traces)
    profiles = tuple(load_profile(name) for name in bundled())
    dataset = Dataset(out)
    begin = time.perf_counter()
    dataset.add(count_all(works))
    click.echo(f"counted in {time.perf_counter() - begin:.1f} s")
    dataset.keep_recordings(seen)
    write_rows(dataset, seen, profiles)
    dataset.keep_manifest(prices_digest(profiles), [profile.name for profile in profiles])


@main.command()
@click.argument("first")
@click.argument("others", nargs=-1, required=True)
def same(first, others):
    """Compare all exact columns of datasets, those by epoch included, row for row.

    Exit status 1: they differ.
    """
    expected, differing = _exact(first), 0
    for folder in others:
        rows = _exact(folder)
        differing += rows != expected
        click.echo(
            f"{folder}: {len(rows)} rows, {'identical' if rows == expected else 'DIFFERENT'}"
        )
    return int(differing > 0)


def _exact(folder):
    dataset = Dataset(folder)
    paths = [path for digit in DIGITS for path in dataset.list(f"_counts/{digit}")]
    rows = pa.concat_tables([dataset.table(path) for path in paths]).to_pylist()
    return {
        row["key"]: {name: value for name, value in row.items() if name not in EXACT_BUT}
        for row in rows
    }


@main.command()
@click.argument("traces", nargs=-1, required=True)
@click.option("--times", type=click.IntRange(1), default=5, show_default=True)
def throughput(traces, times):
    """Compare the embedded cluster with plain processes that share nothing, alternated."""
    _, works = _works(traces)
    batches = batches_of(works, JOBS)
    names = sorted({cell.strategy for work in works for cell in work.cells})
    warm(names)
    ratios, overheads, used = [], [], []
    with connected(None, JOBS) as client, multiprocessing.get_context("spawn").Pool(JOBS) as pool:
        client.run(warm, names)
        pool.map(warm, [names] * JOBS, chunksize=1)
        for _ in range(times):
            begin, at_first = time.perf_counter(), _processor_s()
            halves = [[b.works for b in batches[at::JOBS]] for at in range(JOBS)]
            pool.map(_count_batches, halves, chunksize=1)
            plain = time.perf_counter() - begin
            begin, between = time.perf_counter(), _processor_s()
            rows = [row for _, result in stream(client, count_all, batches) for row in result]
            swept = time.perf_counter() - begin
            own = sum(row["seconds"] for row in rows)
            ratios.append(plain / swept)
            overheads.append(JOBS * swept / own - 1)
            used.append((_processor_s() - between) / (between - at_first))
            click.echo(
                f"plain {plain:.2f} s, swept {swept:.2f} s: {plain / swept:.3f}; "
                f"idle or engine: {overheads[-1]:.1%} of the cells' own time; "
                f"processor time {used[-1]:.3f} of plain"
            )
    click.echo(
        f"median {statistics.median(ratios):.3f}, {statistics.median(overheads):.1%}, "
        f"{statistics.median(used):.3f}; {len(batches)} batches"
    )


def _processor_s():
    """Return the processor time of this process and of all that it started: load is not in it."""
    me = psutil.Process()
    times = [one.cpu_times() for one in (me, *me.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _count_batches(batches):
    for works in batches:
        count_all(works)


def nothing(works):
    """Return an empty row for each cell."""
    return [{} for work in works for _ in work.cells]


@main.command()
@click.option("--cells", type=click.IntRange(1), default=100_000, show_default=True)
@click.option(
    "--together", type=click.IntRange(1), default=20, show_default=True, help="Cells of a batch."
)
def scheduler(cells, together):
    """Watch the memory of a scheduler in a process of its own while cells do nothing."""
    recording = Recording(Source("nothing", "", "{}", ""), "0" * 32)
    many = tuple(
        Cell(f"{at:032x}", "0" * 32, "null", 4096, "linear", 1, 10.0, at) for at in range(cells)
    )
    cuts = range(0, cells, together)
    batches = [Batch((Work(recording, many[at : at + together]),), 1.0, PROCESS_MIB) for at in cuts]
    command = [*DASK, "scheduler", "--host", "127.0.0.1", "--port", "18787", "--no-dashboard"]
    worker = [*DASK, "worker", "tcp://127.0.0.1:18787", "--nthreads", "1", "--no-dashboard"]
    with psutil.Popen(command) as process, psutil.Popen(worker) as second:
        try:
            with connected("tcp://127.0.0.1:18787", JOBS) as client:
                begin, rss = time.perf_counter(), []
                for number, _ in enumerate(stream(client, nothing, batches)):
                    if number % -(-len(batches) // 10) == 0:
                        rss.append(process.memory_info().rss >> 20)
                took = time.perf_counter() - begin
        finally:
            second.terminate()
            process.terminate()
    click.echo(f"{cells} cells in {len(batches)} batches, {took:.1f} s; MiB on the way: {rss}")


@main.command()
@click.argument("folder")
@click.option("--vms", type=click.IntRange(1), default=250_000, show_default=True)
def rows(folder, vms):
    """Write a made-up dataset, a row for each VM and strategy, in the columns of a real one."""
    names = tuple(choices())
    rng = np.random.default_rng(1)
    dataset = Dataset(folder)
    dataset.keep_manifest("made up", ["x86-kvm"])
    for digit, mine in zip(DIGITS, np.array_split(np.arange(vms), len(DIGITS)), strict=True):
        count = len(mine) * len(names)
        columns = {
            "trace": [f"vm{vm:07d}" for vm in mine for _ in names],
            "strategy": list(names) * len(mine),
            "mapping": ["linear"] * count,
            "reason": [""] * count,
            **{name: np.full(count, value) for name, value in FIXED.items()},
            **{f"x86-kvm/{name}_ns": rng.lognormal(15, 2, count) for name in AIMED},
            **{f"x86-kvm/{name}_share": rng.uniform(0, 1, count) for name in AIMED},
            "x86-kvm/offered": [True] * count,
        }
        dataset.write_rows(digit, pa.table(columns))
    click.echo(f"{vms * len(names)} rows in {folder}")


FIXED = {"page_size": 4096, "vcpus": 1, "interval_ms": 10.0, "seed": 0, "epochs": 100}
FIXED |= {"epoch_ms": 10.0, "lost": 0}
AIMED = ("cpu", "stall", "harvest")

if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:], "python -m benchmarks.by_hand.fleet"))
