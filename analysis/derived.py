"""Write what advice and readers need of a folder of raw results: `python -m analysis.derived`.

From `DIR/raw`, asv's results, to `DIR/derived`: `harvests.csv` (every cell), `costs.csv` (what a
page costs) and `origin.json` (where and when, noise, how well the costs predict). Nothing here is
typed by hand, and the same raw results give the same files.
"""

import json
import sys
from pathlib import Path

import click

from analysis.measured.fit import held_out
from analysis.measured.harvests import (
    BASELINE,
    HARVEST_BENCHMARK,
    base_cells,
    harvests,
    page_costs,
    simulated_tlbie_ns,
)
from analysis.measured.load import FAILED, OK, latest, load_machine, load_results
from analysis.measured.reference import COSTS, ORIGIN
from strategies.errors import InputError

HARVESTS = "harvests.csv"
DIGITS = "%.6g"


def noise(frame):
    """Return the relative half-width of the 99 % confidence interval of a harvest's median.

    The median over the cells; two harvests whose medians differ by less are a tie.
    """
    rows = frame[frame["benchmark"].str.endswith(HARVEST_BENCHMARK) & (frame["status"] == OK)]
    rows = rows[rows["strategy"] != BASELINE]
    half_width = (rows["ci99_high"] - rows["ci99_low"]).astype(float) / 2
    return float((half_width / rows["value"]).median())


def origin(frame, cells, machine):
    """Return where and when the results were measured, and how far to trust them.

    Parameters
    ----------
    frame, cells : DataFrame
        As from `load_results` and `harvests`.
    machine : dict
        asv's `machine.json`.
    """
    base = base_cells(cells)
    dirty = base.loc[base["dirty_pages"] > 0, "density"]
    first = frame.iloc[0]
    return {
        "machine": machine["machine"],
        "cpu": machine["cpu"],
        "num_cpu": int(machine["num_cpu"]),
        "os": machine["os"],
        "date": str(frame["started_at"].max().date()),
        "commit": first["commit"],
        **{name: str(first[name]) for name in ("python", "numpy", "numba") if name in frame},
        "cells": {status: int(n) for status, n in frame["status"].value_counts().items()},
        "failed": int((frame["status"] == FAILED).sum()),
        "slot_pages": [int(base["slot_pages"].min()), int(base["slot_pages"].max())],
        "densities": [float(dirty.min()), float(dirty.max())],
        "tlbie_ns": float(DIGITS % simulated_tlbie_ns(frame)),
        "noise": float(DIGITS % noise(frame)),
        "held_out_error": {
            of: float(DIGITS % held_out(base, of)["error"].median())
            for of in ("lowest_ns", "median_ns")
        },
    }


def write_derived(results, out):
    """Write the derived files of the raw results of a folder.

    Raises
    ------
    InputError
        No results, or not those of a harvest.
    """
    raw = Path(results, "raw")
    frame = latest(load_results(raw))
    cells = harvests(frame)
    about = origin(frame, cells, load_machine(raw))
    out.mkdir(parents=True, exist_ok=True)
    cells.to_csv(out / HARVESTS, index=False, float_format=DIGITS)
    costs = page_costs(cells[cells["strategy"] != BASELINE])
    costs.to_csv(out / COSTS, index=False, float_format=DIGITS)
    (out / ORIGIN).write_text(json.dumps(about, indent=2) + "\n")


@click.command()
@click.option("--results", type=click.Path(path_type=Path), default="results/reference")
def main(results):
    """Write DIR/derived anew from DIR/raw."""
    out = results / "derived"
    try:
        write_derived(results, out)
    except (InputError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
