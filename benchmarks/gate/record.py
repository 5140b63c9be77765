"""Record pairs of processes of the same code, as it is and slowed: what the gate's rates rest on.

    python -m benchmarks.gate.record --pairs 300 --out results/reference/gate/pairs.csv

A pair measures the suite with the same code on both sides, some trackers once more with the head
slowed, and the canary. A row is a pair; a column is the log-ratio of a tracker as the gate forms
it, the last one how many processes wanted a core (`load`, over a minute). Rows are appended as they
are measured: an interrupt loses one pair.
"""

import argparse
import csv
import itertools
import os
from pathlib import Path

from benchmarks.gate import suite
from benchmarks.gate.checkouts import WORKTREE, check_out
from benchmarks.gate.sides import both

SLOWED = 0.02, 0.05
SLOWED_TRACKERS = "c_bit_scan", "write_protect", "double_buffer"
"""A scan, a bitmap with a tlbie for each page, a bitmap with one flush."""

DAY = 24 * 3600


def record(path, wanted):
    """Append rows to a file until it has `wanted`."""
    revisions = [check_out(WORKTREE)] * 2
    with both(revisions) as sides:
        names = suite.names(sides)[0]
        cells = suite.cells_of(names)
        timed = suite.timed(cells, suite.count(sides, cells)[0])
    jobs, columns = list(timed), list(names)
    for name, slowed in itertools.product(SLOWED_TRACKERS, SLOWED):
        columns.append(f"{name} {slowed:.0%}")
        jobs += [
            {**cell, "strategy": name, "of": columns[-1], "slowed": slowed}
            for cell in timed
            if cell["strategy"] == name
        ]
    jobs.append(suite.canary_of(timed))
    columns.append(suite.CANARY)
    done = sum(1 for _ in path.open()) - 1 if path.exists() else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow([*columns, "load"])
        sides = suite.unslowed(jobs), jobs
        for times in itertools.islice(suite.pairs(revisions, sides, DAY), max(0, wanted - done)):
            row = suite.by_kernel(suite.log_ratios(times), jobs, columns)
            writer.writerow([*(f"{ratio:.5f}" for ratio in row), f"{os.getloadavg()[0]:.1f}"])
            file.flush()


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate.record", description=__doc__)
    parser.add_argument("--pairs", type=int, default=300, help="(default: 300)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    record(options.out, options.pairs)


if __name__ == "__main__":
    main()
