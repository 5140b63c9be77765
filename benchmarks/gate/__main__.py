"""Say whether a revision is slower than another, or counts otherwise.

    python -m benchmarks.gate --base main~1
    python -m benchmarks.gate --base main~1 --head my-branch --strategy c_bit_scan

Exit status: 0 no kernel is slower, 1 one is or an exact count differs, 2 it could not run or tell.
"""

import argparse
import itertools
import sys
import time

import numpy as np

from benchmarks.gate import suite
from benchmarks.gate.checkouts import WORKTREE, check_out
from benchmarks.gate.sides import both
from benchmarks.gate.verdict import CANARY, OPEN, SLOWER, decide
from benchmarks.harvest_against_c import KERNELS, c_compiler
from strategies.errors import InputError

SECONDS = 140
"""For the pairs of processes. What is compiled before is not in it."""

PAIRS_TO_C = 5
MAX_LINES = 25


def chosen(base, head, wanted):
    """Return the trackers that both revisions have and the user wants, and words on the others."""
    names = [name for name in head if name in base and name in (wanted or head)]
    if not names:
        common = ", ".join(name for name in head if name in base)
        raise InputError(f"no tracker to compare: accepted are {common}")
    others = [f"{name} is new" for name in head if name not in base]
    return names, others + [f"{name} is gone" for name in base if name not in head]


def compare(base, head, wanted, seconds):
    """Measure; return everything that is shown, as a dict."""
    start = time.monotonic()
    revisions = [check_out(base), check_out(head)]
    with both(revisions) as sides:
        names, others = chosen(*suite.names(sides), wanted)
        counted_cells = suite.cells_of(names)
        counted = suite.count(sides, counted_cells)
    cells = suite.timed(counted_cells, counted[0])
    with_canary = [*cells, suite.canary_of(cells)]
    kernels = [*names, "canary"]
    sides = suite.unslowed(with_canary), with_canary
    rows = (
        suite.by_kernel(suite.log_ratios(times), with_canary, kernels)
        for times in suite.pairs(revisions, sides, seconds)
    )
    look, taken = decide(rows, names.index(cells[0]["strategy"]))
    differ = suite.differences(counted_cells, *counted)
    return {
        "revisions": revisions,
        "others": others,
        "counted": len(counted_cells),
        "differences": differ,
        "names": names,
        "cells": cells,
        "look": look,
        "to_c": to_c(revisions[1], cells),
        "pairs": len(taken),
        "seconds": time.monotonic() - start,
        "status": status_of(differ, look),
    }


def to_c(head, cells):
    """Return the ratios of the head's kernels to the same loops in C; none without a compiler."""
    cells = [cell for cell in cells if cell["strategy"] in KERNELS]
    names = list(dict.fromkeys(cell["strategy"] for cell in cells))
    try:
        c_compiler()
    except InputError:
        return {}
    pairs = suite.pairs([head] * 2, (suite.in_c(cells), cells), SECONDS)
    rows = [
        suite.by_kernel(suite.log_ratios(times), cells, names)
        for times in itertools.islice(pairs, PAIRS_TO_C if names else 0)
    ]
    return dict(zip(names, np.exp(np.median(rows, axis=0)), strict=True)) if rows else {}


def status_of(differ, look):
    """Return the exit status."""
    if differ or (look and look.verdict == SLOWER):
        return 1
    return 2 if look is None or look.verdict == OPEN else 0


def lines_of(found):
    """Return the lines that are printed."""
    base, head = found["revisions"]
    yield f"base {base.name} ({base.commit[:10]}), head {head.name} ({head.commit[:10]})"
    if found["others"]:
        yield "not compared: " + ", ".join(found["others"])
    yield from count_lines(found["differences"], found["counted"], len(found["names"]))
    if found["look"]:
        yield from kernel_lines(found)
    yield f"{found['pairs']} pairs of processes, {found['seconds']:.0f} s in all"
    yield f"verdict: {verdict_of(found)}"


def count_lines(differ, counted, kernels):
    """Yield what is to be said of the exact counts."""
    yield f"exact counts of {counted} cells: " + (f"{len(differ)} differ" if differ else "the same")
    room = max(1, MAX_LINES - 8 - kernels)
    yield from (f"  {line}" for line in differ[:room])
    if len(differ) > room:
        yield f"  ... and {len(differ) - room} more"


def kernel_lines(found):
    """Yield a line for each kernel, and the canary's."""
    look, row = found["look"], "{:<24}{:<26}{:<16}{:<6}{}"
    yield row.format("kernel", "head / base", "verdict", "/ C", "timed")
    for name, interval in zip(found["names"], look.intervals, strict=True):
        cells = "; ".join(c["cell"] for c in found["cells"] if c["strategy"] == name)
        to_c = f"{found['to_c'][name]:.2f}" if name in found["to_c"] else "-"
        yield row.format(name, str(interval), interval.verdict, to_c, cells)
    found_or_not = "found" if look.is_canary_found else "not found"
    of = f"{found['names'][look.canary_of]} of the head, slowed by {CANARY:.0%}"
    yield row.format("canary", str(look.canary), found_or_not, "-", of)


def verdict_of(found):
    """Return the last line's verdict."""
    times = found["look"].verdict if found["look"] else f"{OPEN} (too few pairs)"
    return f"exact counts differ; times: {times}" if found["differences"] else times


def main(arguments=None):
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--base", required=True, metavar="REV", help="what is compared with")
    parser.add_argument("--head", default=WORKTREE, metavar="REV", help="(default: the worktree)")
    parser.add_argument("--strategy", action="append", metavar="NAME", help="only this tracker")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the pairs")
    options = parser.parse_args(arguments)
    try:
        found = compare(options.base, options.head, options.strategy, options.seconds)
    except (InputError, OSError) as error:
        print(f"gate: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines_of(found)))
    return found["status"]


if __name__ == "__main__":
    sys.exit(main())
