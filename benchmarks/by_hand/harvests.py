"""The reference's harvests on another machine: how far its times carry over.

python -m benchmarks.by_hand.harvests --out results/local/harvests
python -m benchmarks.by_hand.harvests --out results/local/harvests --beside DIR

Each cell of `results/reference/derived/harvests.csv` of pages of 4 KiB, linear mapping, is measured
nearly as asv measures it: fresh pages, a harvest inside compiled code, a check before its time
counts. But all cells of a slot share a process and a machine, a new one in each pass, and less runs
between two samples: where a few pages are written, caches are warmer, and times down to a third. So
two machines are compared by what this program wrote on both (`--beside`). Writes `harvests.csv`
(median and least of a pass) and `origin.json`.
"""

import json
import sys
import time
from importlib import resources
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.by_hand.contention import origin
from benchmarks.common import PAGE_4K, SLOT, Cell, machine
from strategies import registry
from strategies.cli import run
from strategies.errors import InputError
from strategies.files import write_table
from strategies.terminal import progress_bar
from strategies.units import SIZE, size_text

LEAST, MOST, ENOUGH_S = 3, 20, 0.15
"""Samples of a cell in a pass: as many as fit into ENOUGH_S, within these bounds."""

CELL = ["strategy", "slot_bytes", "density"]
UNTOLD_NS = 100
"""Times below this are read as this: two readings of the clock take 20 to 30 ns."""


def reference():
    """Return the reference's cells of pages of 4 KiB, linear mapping."""
    frame = pd.read_csv(resources.files("results") / "reference/derived/harvests.csv")
    frame = frame[(frame["page_bytes"] == PAGE_4K) & (frame["mapping"] == "linear")]
    return frame.loc[frame["strategy"] != registry.BASELINE, CELL].sort_values(
        ["slot_bytes", *CELL]
    )


def measure(cell, density):
    """Return the nanoseconds of several harvests of a cell, each checked."""
    found, start = [], time.monotonic()
    while len(found) < LEAST or (len(found) < MOST and time.monotonic() < start + ENOUGH_S):
        cell.dirty(density)
        found.append(cell.harvest())
    return found


def measure_slot(cells, number, advance):
    """Return a row for each cell of a slot, on a machine of their own."""
    machine.cache_clear()
    rows = []
    for (strategy, slot_bytes), own in cells.groupby(["strategy", "slot_bytes"], sort=False):
        cell = Cell(strategy, slot_bytes)
        for density in own["density"]:
            ns = measure(cell, density)
            row = {"pass": number, "strategy": strategy, "slot_bytes": slot_bytes}
            row |= {"density": density, "median_ns": np.median(ns), "lowest_ns": min(ns)}
            rows.append(row | {"samples": len(ns)})
            advance()
        cell.tracker.disable_logging(SLOT)
    return rows


def beside(here, there):
    """Return the ratio of two machines' times by CELL, of the medians of their passes.

    Parameters
    ----------
    here, there : DataFrame
        As `harvests.csv`.
    """
    both = (
        rows.groupby(CELL)["median_ns"].median().clip(lower=UNTOLD_NS) for rows in (here, there)
    )
    return next(both).div(next(both)).dropna()


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--passes", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--most", type=SIZE, default="16GiB", show_default=True, help="Size of the largest slot."
)
@click.option("--beside", "other", type=click.Path(exists=True, path_type=Path), help="A folder.")
def main(out, passes, most, other):
    """Measure the reference's harvests here; say how another machine's compare."""
    cells = reference()
    least = cells["slot_bytes"].min()
    if most < least:
        raise InputError(f"--most {size_text(most)}; accepted: {size_text(least)} or more")
    cells = cells[cells["slot_bytes"] <= most]
    there = pd.read_csv(other / "harvests.csv") if other else None
    out.mkdir(parents=True, exist_ok=True)
    (out / "origin.json").write_text(json.dumps(origin(passes=passes), indent=2) + "\n")
    rows = []
    with progress_bar() as bar:
        task = bar.add_task("harvests", total=passes * len(cells))
        for number in range(passes):
            for _, slot in cells.groupby("slot_bytes"):
                rows += measure_slot(slot, number, lambda: bar.advance(task))
                frame = pd.DataFrame(rows)
                write_table(frame, out / "harvests.csv")
    if other:
        echo_ratios(beside(frame, there))


def echo_ratios(ratio):
    """Say how far times carry over."""
    low, middle, high = ratio.quantile([0.05, 0.5, 0.95])
    click.echo(
        f"{ratio.between(0.5, 2).sum()} of {len(ratio)} cells take half to twice as long as there: "
        f"{middle:.2f} times (median), 9 in 10 {low:.2f} to {high:.2f} times"
    )


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:], "python -m benchmarks.by_hand.harvests"))
