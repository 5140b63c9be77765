"""What a simulation tells of a kernel, and whether calibrating twice says the same.

python -m benchmarks.by_hand.lanes transfer --out results/local/lanes/transfer.csv
python -m benchmarks.by_hand.lanes calibrations --out results/local/lanes/calibrations.csv
"""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pandas as pd

from analysis.model.calibrate import cell_samples, middles
from analysis.model.lanes import names_of, predicted
from analysis.model.profile import load_profile
from strategies.cli import main as dirtylog
from strategies.lanes.cells import Cell, cell_trace
from strategies.lanes.session import reasons
from strategies.replay.run import build, replay

TWINS = {
    "uffd_async": "c_bit_scan_batched",
    "kvm_bitmap": "write_protect_batched",
    "kvm_manual": "manual_protect",
    "kvm_ring": "dirty_ring",
}
"""By lane the simulated tracker that does the same."""

CHANGES = {
    "clean to 0.1% written": ((256, Cell(0.0)), (256, Cell(0.001))),
    "0.1% to 1% written": ((256, Cell(0.001)), (256, Cell(0.01))),
    "1% to 10% written": ((256, Cell(0.01)), (256, Cell(0.1))),
    "10% to 100% written": ((256, Cell(0.1)), (256, Cell(1.0))),
    "runs of 32 for random pages, 1%": ((256, Cell(0.01)), (256, Cell(0.01, 32))),
    "runs of 32 for random pages, 10%": ((256, Cell(0.1)), (256, Cell(0.1, 32))),
    "a hot sixteenth for the whole slot, 1%": ((256, Cell(0.01)), (256, Cell(0.01, 1, 16))),
    "a hot sixteenth for the whole slot, 0.1%": ((256, Cell(0.001)), (256, Cell(0.001, 1, 16))),
    "1 GiB for 256 MiB, clean": ((256, Cell(0.0)), (1024, Cell(0.0))),
    "1 GiB for 64 MiB, clean": ((64, Cell(0.0)), (1024, Cell(0.0))),
    "1 GiB for 256 MiB, 1%": ((256, Cell(0.01)), (1024, Cell(0.01))),
    "1 GiB for 64 MiB, 10%": ((64, Cell(0.1)), (1024, Cell(0.1))),
    "1 GiB for 64 MiB, as many pages": ((64, Cell(0.16)), (1024, Cell(0.01))),
}
"""What changes: slot in MiB and cell, before and after."""

REPETITIONS = 7
FIXED = tuple(product((128, 512, 2048, 4096), (0.0, 0.001, 0.01, 0.1, 1.0)))
"""Slot in MiB and density of the cells that every calibration predicts."""


@click.group()
def main():
    """Hold the simulation and the calibration against this machine's kernel."""


def _kinds_by_slot():
    """Return by slot the cells that the changes need."""
    ends = [end for change in CHANGES.values() for end in change]
    return {mib: list(dict.fromkeys(c for m, c in ends if m == mib)) for mib, _ in ends}


def _simulated(strategy, mib, kinds):
    """Return the median harvest of each cell, simulated."""
    trace, order = cell_trace(mib << 8, REPETITIONS, seed=mib, kinds=kinds)
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    ns = np.array(replay(trace, strategy, vm, slot).harvest_ns)
    kept = order[len(kinds) :], ns[len(kinds) :]
    return [float(np.median(kept[1][kept[0] == cell])) for cell in range(len(kinds))]


def _times(lane):
    """Return by slot and cell the median harvest of a lane and of its twin."""
    found = {}
    for mib, kinds in _kinds_by_slot().items():
        kernel = middles(cell_samples(lane, mib, REPETITIONS, mib, kinds))["harvest_ns"]
        both = zip(kernel, _simulated(TWINS[lane], mib, kinds), strict=True)
        found |= {(mib, kind): times for kind, times in zip(kinds, both, strict=True)}
    return found


@main.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
def transfer(out):
    """Take changes as ratios of harvests, by each lane and by its simulated twin."""
    rows = []
    for lane in [lane for lane, reason in reasons(tuple(TWINS)).items() if reason is None]:
        times = _times(lane)
        for name, (before, after) in CHANGES.items():
            kernel, simulated = np.divide(times[after], times[before])
            rows.append((lane, TWINS[lane], name, kernel, simulated))
    frame = pd.DataFrame(rows, columns=["lane", "tracker", "change", "kernel", "simulated"])
    frame.to_csv(out, index=False, float_format="%.4g")
    for lane, changes in frame.groupby("lane", sort=False):
        factor = np.exp(np.abs(np.log(changes["simulated"] / changes["kernel"])))
        wrong = ((changes["simulated"] > 1) != (changes["kernel"] > 1)).sum()
        click.echo(
            f"{lane} by {TWINS[lane]}: {len(changes)} changes, they differ by a factor of "
            f"{factor.median():.2f} (median), {factor.max():.1f} (most); {wrong} wrong signs"
        )


@main.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--runs", default=5, show_default=True)
@click.option("--budget", default="60s", show_default=True)
def calibrations(out, runs, budget):
    """Calibrate several times, and compare what the profiles predict for the same cells."""
    rows = []
    with TemporaryDirectory() as folder:
        for run in range(runs):
            path = Path(folder) / f"run{run}.toml"
            if dirtylog(["calibrate", "--out", str(path), "--budget", budget]) == 0:
                rows += [(run, *row) for row in _predictions(load_profile(path).lanes)]
    frame = pd.DataFrame(rows, columns=["run", "lane", "slot_mib", "density", "harvest_ns"])
    frame.to_csv(out, index=False, float_format="%.6g")
    by_cell = frame.groupby(["lane", "slot_mib", "density"])["harvest_ns"]
    spread = by_cell.max() / by_cell.min() - 1
    click.echo(f"{frame['run'].nunique()} of {runs} calibrations were not too noisy")
    for lane, one in spread.groupby("lane"):
        click.echo(
            f"{lane}: {len(one)} cells, the largest prediction exceeds the smallest by "
            f"{one.median():.1%} (median), {one.max():.1%} (most); {(one > 0.1).sum()} above 10%"
        )


def _predictions(lanes):
    """Yield lane, slot, density and predicted harvest of the fixed cells."""
    for lane, (mib, density) in product(lanes, FIXED):
        names = names_of(float(mib << 8), density * (mib << 8), {})
        yield lane, mib, density, float(predicted(lane, "harvest", names, lanes[lane]))


if __name__ == "__main__":
    main()
