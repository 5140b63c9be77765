"""The lanes of this machine, measured: cells to fit and to judge by, and the recordings live.

python -m benchmarks.real_kernels --out results/local/lanes
python -m benchmarks.real_kernels --short --out results/local/lanes  # half a minute: the study's

Each pass runs every lane on every slot in a process of its own. Written are medians, a row for each
lane, pass and cell (`cells.csv`) or lane and recording (`recordings.csv`), and where it was
(`origin.json`).
"""

import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd

from analysis.model.calibrate import TIMES, cell_samples, middles, run_lane
from analysis.model.lanes import LANE_TERMS
from strategies.lanes.cells import FITTED, HELD_OUT
from strategies.lanes.kvm import backend
from strategies.lanes.session import reasons
from strategies.replay.output import cpu_model
from strategies.workloads.trace import bundled, load_trace

KINDS = (*FITTED, *HELD_OUT)


class Plan(NamedTuple):
    """What is measured.

    Attributes
    ----------
    lanes : tuple of str
    fit_mib, held_mib : tuple of int
        Slots whose FITTED cells are fitted, and slots that no fit sees.
    passes, repetitions : int
        Times that each process is started, and times that it measures each cell.
    recordings : tuple of str
    """

    lanes: tuple
    fit_mib: tuple
    held_mib: tuple
    passes: int
    repetitions: int
    recordings: tuple


WHOLE = Plan(tuple(LANE_TERMS), (16, 256, 2048), (64, 1024, 4096), 3, 3, bundled())
SHORT = Plan(("uffd_async", "kvm_bitmap"), (16, 256), (64,), 1, 3, ("vga_desktop",))


def measure(plan, out):
    """Measure the lanes that are here, and write it; return by name why others are not.

    Raises
    ------
    InputError
        A lane failed or lost a page: its times mean nothing.
    """
    missing = {name: reason for name, reason in reasons(plan.lanes).items() if reason}
    lanes = [name for name in plan.lanes if name not in missing]
    if not lanes:
        return missing
    loads, slots = [os.getloadavg()[0]], (*plan.fit_mib, *plan.held_mib)
    cells, recordings = [], []
    for number in range(plan.passes):
        cells += [_cells(lane, mib, number, plan) for mib in slots for lane in lanes]
        loads.append(os.getloadavg()[0])
    for name in plan.recordings:
        recordings += [_recordings(lane, name, plan.passes) for lane in lanes]
        loads.append(os.getloadavg()[0])
    out.mkdir(parents=True, exist_ok=True)
    pd.concat(cells).to_csv(out / "cells.csv", index=False, float_format="%.6g")
    pd.DataFrame(recordings).to_csv(out / "recordings.csv", index=False, float_format="%.6g")
    (out / "origin.json").write_text(json.dumps(_origin(plan, loads), indent=2) + "\n")
    return missing


def _origin(plan, loads):
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "backend": backend(),
        "date": date.today().isoformat(),
        "passes": plan.passes,
        "repetitions": plan.repetitions,
        "load": loads,
    }


def _cells(lane, mib, number, plan):
    """Return a row for each cell of a slot."""
    seed = 1000 * number + mib
    found = pd.DataFrame(middles(cell_samples(lane, mib, plan.repetitions, seed, KINDS)))
    kinds = pd.DataFrame(KINDS)
    is_fitted = [mib in plan.fit_mib and kind in FITTED for kind in KINDS]
    labels = pd.DataFrame({"lane": lane, "pass": number, "is_fitted": is_fitted})
    return labels.join(kinds).join(found.drop(columns="cell"))


def _recordings(lane, name, passes):
    """Return the row of a recording: all its epochs together, each the median of the passes."""
    trace = load_trace(name)
    runs = [run_lane(lane, trace) for _ in range(passes)]
    row = {"lane": lane, "trace": name, "harvests": trace.epochs}
    for key in TIMES:
        ns = np.array([run[key] for run in runs])
        row[key] = np.nansum(np.median(ns, axis=0))
        sums = np.nansum(ns, axis=1)
        row |= {f"{key}_least": sums.min(), f"{key}_most": sums.max()}
    return row


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--short", is_flag=True, help="Half a minute, two lanes.")
def main(out, short):
    """Measure this machine's lanes."""
    for name, reason in measure(SHORT if short else WHOLE, out).items():
        click.echo(f"skipped {name}: {reason}")
    click.echo(f"wrote {click.format_filename(out)}")


if __name__ == "__main__":
    main()
