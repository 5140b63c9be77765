"""The lanes of this machine: measured, held against the simulation, calibrated again and again.

python -m benchmarks.by_hand.lanes measure --out results/local/lanes      # what the report shows
python -m benchmarks.by_hand.lanes transfer --out results/local/lanes     # what changes do, twice
python -m benchmarks.by_hand.lanes calibrations --out results/local/lanes

`measure` runs every lane on every slot in a process of its own, in several passes. It writes
medians: a row for each lane, pass and cell (`cells.csv`), one for each lane and recording
(`recordings.csv`), and where that was (`origin.json`).
"""

import json
import os
import platform
import sys
from datetime import date
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import numpy as np
import pandas as pd

from analysis.model.calibrate import TIMES, cell_samples, middles, run_lane
from analysis.model.calibrate_command import TOO_NOISY
from analysis.model.lanes import LANE_TERMS, cached_pages, names_of, predicted
from analysis.model.profile import load_profile
from strategies.cli import main as dirtylog
from strategies.cli import run
from strategies.errors import InputError
from strategies.files import output_folder, write_table
from strategies.lanes.cells import FITTED, HELD_OUT, WARMS_UP, Cell, cell_trace
from strategies.lanes.kvm import backend
from strategies.lanes.session import reasons
from strategies.lanes.speed import Speed
from strategies.replay.output import cpu_model
from strategies.replay.run import build, replay
from strategies.units import DURATION
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


WHOLE = Plan(tuple(LANE_TERMS), (4, 16, 128, 1024), (64, 512), 5, 3, bundled())
SHORT = Plan(("uffd_async", "kvm_bitmap"), (4, 256), (64,), 1, 3, ("vga_desktop",))


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
    for name in plan.recordings:
        recordings += [_recordings(lane, name, plan.passes) for lane in lanes]
        _write(pd.DataFrame(recordings), out / "recordings.csv")
        loads.append(os.getloadavg()[0])
    for number in range(plan.passes):
        cells += [_cells(lane, mib, number, plan) for mib in slots for lane in lanes]
        _write(pd.concat(cells), out / "cells.csv")
        loads.append(os.getloadavg()[0])
    (out / "origin.json").write_text(json.dumps(_origin(plan, loads), indent=2) + "\n")
    return missing


def _write(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(frame, path)


def _origin(plan, loads):
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "backend": backend(),
        "cached_pages": cached_pages(),
        "date": date.today().isoformat(),
        "passes": plan.passes,
        "repetitions": plan.repetitions,
        "load": loads,
    }


def _cells(lane, mib, number, plan):
    """Return a row for each cell of a slot."""
    samples = cell_samples(lane, {mib: KINDS}, plan.repetitions, 1000 * number)
    found = pd.DataFrame(middles(samples))
    kinds = pd.DataFrame(KINDS)
    is_fitted = [mib in plan.fit_mib and kind in FITTED for kind in KINDS]
    labels = pd.DataFrame({"lane": lane, "pass": number, "is_fitted": is_fitted})
    return labels.join(kinds).join(found.drop(columns=["cell", *Speed._fields]))


def _recordings(lane, name, passes):
    """Return the row of a recording: all its epochs together, each the median of the passes."""
    trace = load_trace(name)
    runs = [run_lane(lane, [trace])[0] for _ in range(passes)]
    row = {"lane": lane, "trace": name, "harvests": trace.epochs}
    for key in TIMES:
        ns = np.array([run[key] for run in runs])
        row[key] = np.nansum(np.median(ns, axis=0))
        sums = np.nansum(ns, axis=1)
        row |= {f"{key}_least": sums.min(), f"{key}_most": sums.max()}
    return row


TWINS = {
    "uffd_async": "c_bit_scan_batched",
    "kvm_bitmap": "write_protect_batched",
    "kvm_manual": "manual_protect",
    "kvm_ring": "dirty_ring",
}
"""By lane the simulated tracker that does the same."""

CHANGES = {
    "clean to 0.1% written": ((128, Cell(0.0)), (128, Cell(0.001))),
    "0.1% to 1% written": ((128, Cell(0.001)), (128, Cell(0.01))),
    "1% to 10% written": ((128, Cell(0.01)), (128, Cell(0.1))),
    "10% to 100% written": ((128, Cell(0.1)), (128, Cell(1.0))),
    "runs of 32 for random pages, 1%": ((128, Cell(0.01)), (128, Cell(0.01, 32))),
    "runs of 32 for random pages, 10%": ((128, Cell(0.1)), (128, Cell(0.1, 32))),
    "a hot sixteenth for the whole slot, 1%": ((128, Cell(0.01)), (128, Cell(0.01, 1, 16))),
    "a hot sixteenth for the whole slot, 0.1%": ((128, Cell(0.001)), (128, Cell(0.001, 1, 16))),
    "512 MiB for 128 MiB, clean": ((128, Cell(0.0)), (512, Cell(0.0))),
    "512 MiB for 32 MiB, clean": ((32, Cell(0.0)), (512, Cell(0.0))),
    "512 MiB for 128 MiB, 1%": ((128, Cell(0.01)), (512, Cell(0.01))),
    "512 MiB for 32 MiB, 10%": ((32, Cell(0.1)), (512, Cell(0.1))),
    "512 MiB for 32 MiB, as many pages": ((32, Cell(0.16)), (512, Cell(0.01))),
}
"""What changes: slot in MiB and cell, before and after."""

REPETITIONS = 5
FIXED = tuple(product((32, 128, 512, 2048), (0.0, 0.001, 0.01, 0.1, 1.0)))
"""Slot in MiB and density of the cells that every calibration predicts."""


@click.group()
def main():
    """Hold the simulation and the calibration against this machine's kernel."""


OUT = click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)


@main.command("measure")
@OUT
@click.option("--short", is_flag=True, help="Half a minute, two lanes.")
def measure_command(out, short):
    """Measure cells to fit and to judge by, and the recordings live."""
    plan = SHORT if short else WHOLE
    missing = measure(plan, out)
    for name, reason in missing.items():
        click.echo(f"skipped {name}: {reason}", err=True)
    return int(len(missing) == len(plan.lanes))


def _kinds_by_slot():
    """Return by slot the cells that the changes need."""
    ends = [end for change in CHANGES.values() for end in change]
    return {mib: list(dict.fromkeys(c for m, c in ends if m == mib)) for mib, _ in ends}


def _simulated(strategy, mib, kinds):
    """Return the harvest of each cell, simulated; vCPUs are stopped."""
    trace, order = cell_trace(mib << 8, REPETITIONS, seed=mib, kinds=kinds)
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    ns = np.array(replay(trace, strategy, vm, slot).harvest_ns, float)
    kept = order != WARMS_UP
    return middles({"cell": order[kept], "harvest_ns": ns[kept]})["harvest_ns"]


def _times(lane):
    """Return by slot and cell the harvest of a lane and of its twin."""
    found = {}
    for mib, kinds in _kinds_by_slot().items():
        kernel = middles(cell_samples(lane, {mib: kinds}, REPETITIONS))["harvest_ns"]
        both = zip(kernel, _simulated(TWINS[lane], mib, kinds), strict=True)
        found |= {(mib, kind): times for kind, times in zip(kinds, both, strict=True)}
    return found


@main.command()
@OUT
def transfer(out):
    """Take changes as ratios of harvests, by each lane and by its simulated twin."""
    missing = reasons(tuple(TWINS))
    lanes = [lane for lane, reason in missing.items() if reason is None]
    if not lanes:
        raise InputError("; ".join(f"no {lane}: {reason}" for lane, reason in missing.items()))
    rows = []
    for lane in lanes:
        times = _times(lane)
        for name, (before, after) in CHANGES.items():
            kernel, simulated = np.divide(times[after], times[before])
            rows.append((lane, TWINS[lane], name, kernel, simulated))
    frame = pd.DataFrame(rows, columns=["lane", "tracker", "change", "kernel", "simulated"])
    _write(frame, out / "transfer.csv")
    for lane, changes in frame.groupby("lane", sort=False):
        factor = np.exp(np.abs(np.log(changes["simulated"] / changes["kernel"])))
        wrong = ((changes["simulated"] > 1) != (changes["kernel"] > 1)).sum()
        click.echo(
            f"{lane} by {TWINS[lane]}: {len(changes)} changes, they differ by a factor of "
            f"{factor.median():.2f} (median), {factor.max():.1f} (most); {wrong} wrong signs"
        )


@main.command()
@OUT
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--budget", type=DURATION, default="3min", show_default=True, help="Of each.")
def calibrations(out, runs, budget):
    """Calibrate several times, and compare what the profiles predict for the same cells."""
    with output_folder(out, ["calibrations.csv"]):
        rows = [row for number in range(runs) for row in _calibrated(number, budget)]
        if not rows:
            raise InputError(f"all {runs} calibrations were too noisy: nothing is written")
    frame = pd.DataFrame(rows, columns=["run", "lane", "slot_mib", "density", "harvest_ns"])
    _write(frame, out / "calibrations.csv")
    by_cell = frame.groupby(["lane", "slot_mib", "density"])["harvest_ns"]
    spread = by_cell.max() / by_cell.min() - 1
    click.echo(f"{frame['run'].nunique()} of {runs} calibrations were not too noisy")
    for lane, one in spread.groupby("lane"):
        click.echo(
            f"{lane}: {len(one)} cells, the largest prediction exceeds the smallest by "
            f"{one.median():.1%} (median), {one.max():.1%} (most); {(one > 0.1).sum()} above 10%"
        )


def _calibrated(number, budget_ns):
    """Calibrate; return the run's rows, none if it was too noisy."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.toml"
        status = dirtylog(["calibrate", "--out", str(path), "--budget", f"{budget_ns:.0f}ns"])
        if status not in (0, TOO_NOISY):
            raise SystemExit(status)  # it has said why
        rows = [] if status else _predictions(load_profile(path).lanes)
        return [(number, *row) for row in rows]


def _predictions(lanes):
    """Yield lane, slot, density and predicted harvest of the fixed cells."""
    for lane, (mib, density) in product(lanes, FIXED):
        names = names_of(float(mib << 8), density * (mib << 8), {}, cached_pages())
        yield lane, mib, density, float(predicted(lane, "harvest", names, lanes[lane]))


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:], "python -m benchmarks.by_hand.lanes"))
