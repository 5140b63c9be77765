"""Write what advice and readers need of a folder of raw results: `python -m analysis.derived`.

From `DIR/raw`, passes of asv's results, to `DIR/derived`: `harvests.csv` (every cell), `walks.csv`
(what each walk costs, fitted), `held_out.csv` (cells predicted by fits without them) and
`origin.json` (where and when, noise, how well the fit predicts). Nothing here is typed by hand, and
the same raw results give the same files.
"""

import json
import sys
from pathlib import Path

import click
import pandas as pd

from analysis.measured.fit import VARIANT, fit_walks, held_out, summary, with_scatter
from analysis.measured.harvests import (
    BASELINE,
    HARVEST_BENCHMARK,
    HARVESTS,
    clock_ns,
    enablings,
    harvests,
    simulated_tlbie_ns,
)
from analysis.measured.load import FAILED, OK, UNKNOWN, latest, load_machine, load_results
from analysis.measured.reference import COSTS, ORIGIN
from analysis.measured.walks import MADE_OF
from strategies.cli import run
from strategies.files import DIGITS, write_table

HELD_OUT = "held_out.csv"


def noise(frame):
    """Return by how much a harvest's median is uncertain, relative: the median over the cells.

    With several passes what the farthest two of them differ by (`spread`), with one half the 99 %
    confidence interval of its median. Two harvests whose medians differ by less are a tie.
    """
    if frame["pass"].nunique() > 1:
        cells = harvests(frame)
        return float(cells.loc[cells["strategy"] != BASELINE, "spread"].median())
    rows = frame[frame["benchmark"].str.endswith(HARVEST_BENCHMARK) & (frame["status"] == OK)]
    rows = rows[rows["strategy"] != BASELINE]
    half_width = (rows["ci99_high"] - rows["ci99_low"]).astype(float) / 2
    return float((half_width / rows["value"]).median())


def grid(cells):
    """Return for each page size and mapping the bounds of slot sizes and dirty densities."""
    return [
        {
            "page_bytes": int(page_bytes),
            "mapping": mapping,
            "slot_bytes": [int(rows["slot_bytes"].min()), int(rows["slot_bytes"].max())],
            "densities": _bounds(rows.loc[rows["dirty_pages"] > 0, "density"]),
        }
        for (page_bytes, mapping), rows in cells.groupby(VARIANT)
    ]


def _bounds(values):
    return [float(values.min()), float(values.max())]


def origin(frame, machine):
    """Return where and when the results were measured: a dict.

    Parameters
    ----------
    frame : DataFrame
        As from `load_results`.
    machine : dict
        As from `load_machine`.
    """
    first = frame.iloc[0]
    return {
        "machine": machine["machine"],
        "cpu": machine["cpu"],
        "num_cpu": int(machine["num_cpu"]) if machine["num_cpu"].isdecimal() else UNKNOWN,
        "os": machine["os"],
        "arch": machine["arch"],
        "date": str(frame["started_at"].max().date()),
        "passes": [
            f"{start:%Y-%m-%d %H:%M}" for start in frame.groupby("pass")["started_at"].min()
        ],
        "commit": first["commit"],
        **{name: str(first[name]) for name in ("python", "numpy", "numba") if name in frame},
        "cells": {status: int(n) for status, n in frame["status"].value_counts().items()},
        "failed": int((frame["status"] == FAILED).sum()),
    }


def fitted(frame):
    """Return harvests, fitted walks, held-out cells, and what the fit took as known."""
    cells, (fit, known_ns) = harvests(frame), _to_fit(frame)
    passes = frame["pass"].unique()
    others = [frame[frame["pass"] != one] for one in passes if len(passes) > 1]
    without = [fit_walks(*_to_fit(other)) for other in others]
    return cells, with_scatter(fit_walks(fit, known_ns), without), held_out(fit, known_ns), known_ns


def _to_fit(frame):
    """Return the cells that are fitted, and the costs that are known."""
    cells = harvests(frame)
    known_ns = {"clock": clock_ns(cells), "tlbie": simulated_tlbie_ns(frame)}
    cells = cells[cells["strategy"].isin(MADE_OF)]
    return pd.concat([cells, enablings(frame)], ignore_index=True), known_ns


def write_derived(results, out):
    """Write the derived files of the raw results of a folder.

    Raises
    ------
    InputError
        No results, or not those of a harvest.
    """
    raw = Path(results, "raw")
    frame = latest(load_results(raw))
    cells, walks, judged, known_ns = fitted(frame)
    about = origin(frame, load_machine(raw, frame["machine"].iloc[0])) | {
        "grid": grid(cells[cells["strategy"].isin(MADE_OF)]),
        "clock_ns": _rounded(known_ns["clock"]),
        "tlbie_ns": _rounded(known_ns["tlbie"]),
        "noise": _rounded(noise(frame)),
        "held_out": {"cells": len(judged)}
        | {name: _rounded(value) for name, value in summary(judged).items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    for table, name in ((cells, HARVESTS), (walks, COSTS), (judged[SHOWN], HELD_OUT)):
        write_table(table, out / name)
    (out / ORIGIN).write_text(json.dumps(about, indent=2) + "\n")


def _rounded(number):
    return float(DIGITS % number)


SHOWN = [
    *("strategy", *VARIANT, "slot_bytes", "density", "left_out"),
    *("lowest_ns", "predicted_ns", "error", "limit", "holds"),
]
"""Columns of HELD_OUT."""


@click.command()
@click.option("--results", type=click.Path(path_type=Path), default="results/reference")
def main(results):
    """Write DIR/derived anew from DIR/raw."""
    out = results / "derived"
    write_derived(results, out)
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:], "python -m analysis.derived"))
