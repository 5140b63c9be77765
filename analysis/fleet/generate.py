"""Recordings of a fleet that never was: VMs of many sizes, working sets and phases.

python -m analysis.fleet.generate DIR --vms 1000
"""

import sys
from pathlib import Path

import click
import numpy as np

from strategies.cli import run
from strategies.plural import plural
from strategies.workloads.trace import Trace, save_trace

SLOT_PAGES = (2048, 4096, 8192, 16384, 32768)
EPOCHS = (40, 100)
PHASES = {"idle": (0.0, 0.001), "steady": (0.01, 0.1), "burst": (0.2, 0.9)}
"""Kind of phase, and which share of the working set an epoch of it writes (least, most)."""

MEAN_PHASE_EPOCHS = 12


def make_trace(seed, vm):
    """Return the recording of one VM, the same for the same arguments.

    A VM has a working set of runs of pages, from 1 % to half of its slot, uniform in the logarithm.
    It goes from phase to phase; each epoch writes pages of the working set at random.
    """
    rng = np.random.default_rng([seed, vm])
    slot_pages, epochs = int(rng.choice(SLOT_PAGES)), int(rng.integers(*EPOCHS))
    working_set = _working_set(rng, slot_pages)
    shares = _shares(rng, epochs)
    written = [
        np.sort(rng.choice(working_set, int(share * len(working_set)), replace=False))
        for share in shares
    ]
    offsets = np.cumsum([0, *map(len, written)], dtype=np.int64)
    meta = {
        "name": f"vm{vm:04d}",
        "page_size": 4096,
        "slot_pages": slot_pages,
        "epoch_ms": 10.0,
        "epochs": epochs,
        "recorder": "synthetic",
        "seed": seed,
    }
    return Trace(offsets, np.concatenate(written).astype(np.uint32), meta)


def _working_set(rng, slot_pages):
    """Return its pages: runs of one to 64, anywhere in the slot."""
    share = np.exp(rng.uniform(np.log(0.01), np.log(0.5)))
    run = int(2 ** rng.integers(7))
    starts = rng.choice(slot_pages // run, max(int(share * slot_pages) // run, 1), replace=False)
    return (starts[:, None] * run + np.arange(run)).ravel()


def _shares(rng, epochs):
    """Return for each epoch which share of the working set it writes."""
    kinds, shares = list(PHASES), []
    while len(shares) < epochs:
        least, most = PHASES[kinds[rng.choice(3, p=(0.4, 0.45, 0.15))]]
        length = 1 + int(rng.exponential(MEAN_PHASE_EPOCHS))
        shares += [rng.uniform(least, most)] * length
    return shares[:epochs]


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--vms", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def generate(folder, vms, seed):
    """Write the recordings of a fleet that never was to FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    for vm in range(vms):
        trace = make_trace(seed, vm)
        save_trace(trace, folder / f"{trace.name}.npz")
    click.echo(f"wrote {plural(vms, 'recording')} to {folder}")


if __name__ == "__main__":
    sys.exit(run(generate, sys.argv[1:], "python -m analysis.fleet.generate"))
