"""The reference's harvests on another machine: how far its times carry over.

python -m benchmarks.by_hand.harvests --out results/local/harvests

Each cell of `results/reference/derived/harvests.csv` of pages of 4 KiB, linear mapping, is measured
as asv measures it: fresh pages, a harvest inside compiled code, a check before its time counts; but
all cells of a slot share a machine, a new one in each pass. Writes `harvests.csv` (median and least
of a pass) and `origin.json`, and says how many cells are within a factor of two of the reference.
"""

import json
import time
from importlib import resources
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.by_hand.contention import origin
from benchmarks.common import PAGE_4K, SLOT, Cell, machine
from strategies import registry
from strategies.terminal import progress_bar

LEAST, MOST, ENOUGH_S = 3, 20, 0.15
"""Samples of a cell in a pass: as many as fit into ENOUGH_S, within these bounds."""

CELL = ["strategy", "slot_bytes", "density"]
UNTOLD_NS = 100
"""Times below this are read as this: two readings of the clock take 20 to 30 ns."""


def reference():
    """Return the reference's cells of pages of 4 KiB, linear mapping, by CELL."""
    path = resources.files("results") / "reference/derived/harvests.csv"
    frame = pd.read_csv(path)
    frame = frame[(frame["page_bytes"] == PAGE_4K) & (frame["mapping"] == "linear")]
    return frame[frame["strategy"] != registry.BASELINE].sort_values(["slot_bytes", *CELL])


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


def beside(rows, cells):
    """Return the cells with `here_ns`, the median of the passes, and `ratio` to the reference."""
    here = pd.DataFrame(rows).groupby(CELL)["median_ns"].median().rename("here_ns")
    both = cells.merge(here.reset_index(), on=CELL)
    there = both["median_ns"].clip(lower=UNTOLD_NS)
    return both.assign(ratio=both["here_ns"].clip(lower=UNTOLD_NS) / there)


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--passes", default=3, show_default=True)
@click.option("--most", default=1 << 34, show_default=True, help="Bytes of the largest slot.")
def main(out, passes, most):
    """Measure the reference's harvests here."""
    cells = reference()
    cells = cells[cells["slot_bytes"] <= most]
    out.mkdir(parents=True, exist_ok=True)
    (out / "origin.json").write_text(json.dumps(origin(passes=passes), indent=2) + "\n")
    rows = []
    with progress_bar() as bar:
        task = bar.add_task("harvests", total=passes * len(cells))
        for number in range(passes):
            for _, slot in cells.groupby("slot_bytes"):
                rows += measure_slot(slot, number, lambda: bar.advance(task))
            pd.DataFrame(rows).to_csv(out / "harvests.csv", index=False, float_format="%.6g")
    ratio = beside(rows, cells)["ratio"]
    near = ratio.between(0.5, 2).sum()
    low, middle, high = ratio.quantile([0.05, 0.5, 0.95])
    click.echo(
        f"{near} of {len(ratio)} cells take half to twice the reference's time: "
        f"{middle:.2f} times (median), 9 in 10 {low:.2f} to {high:.2f} times"
    )


if __name__ == "__main__":
    main()
