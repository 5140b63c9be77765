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

SECONDS, SECONDS_TO_C = 120, 20
"""For the pairs of processes, and for those that harvest in C. Compiling comes before."""

PAIRS_TO_C = 5
MAX_LINES = 25
OTHER_LINES = 8
"""Lines that are neither a kernel's nor a difference's."""

ROW = "{:<24}{:<26}{:<16}{:<6}{}"


def say(line):
    """Print a line at once: what follows may take minutes."""
    print(line, flush=True)


def gate(options):
    """Compare two revisions and print what is found; return the exit status."""
    start = time.monotonic()
    revisions = [check_out(options.base), check_out(options.head)]
    say(" against ".join(f"{r.name} ({r.commit[:10]})" for r in reversed(revisions)))
    with both(revisions) as sides:
        names = chosen(*suite.names(sides), options.strategy)
        cells = suite.cells_of(names)
        counted = suite.count(sides, cells)
    differ = suite.differences(cells, *counted)
    say_counts(differ, len(cells), len(names))
    cells = suite.timed(cells, counted[0])
    names = list(dict.fromkeys(cell["strategy"] for cell in cells))
    look, pairs = compare(revisions, cells, names, options.seconds)
    if look:
        say_kernels(look, cells, names, to_c(revisions[1], cells))
    say(f"{pairs} pairs of processes, {time.monotonic() - start:.0f} s in all")
    times = look.verdict if look else f"{OPEN}, too few pairs"
    say(f"verdict: exact counts differ; times: {times}" if differ else f"verdict: {times}")
    return status_of(differ, look)


def status_of(differ, look):
    """Return the exit status."""
    if differ or (look and look.verdict == SLOWER):
        return 1
    return 2 if look is None or look.verdict == OPEN else 0


def chosen(base, head, wanted):
    """Return the trackers that both revisions have and the user wants; say which are left out."""
    names = [name for name in head if name in base and name in (wanted or head)]
    if not names or set(wanted or ()) - set(names):
        common = ", ".join(name for name in head if name in base)
        raise InputError(f"not all of these trackers are in both: accepted are {common}")
    left_out = [f"{name} is new" for name in head if name not in base]
    left_out += [f"{name} is gone" for name in base if name not in head]
    if left_out:
        say("not compared: " + ", ".join(left_out))
    return names


def compare(revisions, cells, names, seconds):
    """Time the cells on both sides; return the last look, and how many pairs there were."""
    cells = [*cells, suite.canary_of(cells)]
    rows = (
        suite.by_kernel(suite.log_ratios(times), cells, [*names, suite.CANARY])
        for times in suite.pairs(revisions, (suite.unslowed(cells), cells), seconds)
    )
    look, taken = decide(rows, names.index(cells[0]["strategy"]))
    return look, len(taken)


def to_c(head, cells):
    """Return the ratios of the head's kernels to the same loops in C; none without a compiler."""
    cells = [cell for cell in cells if cell["strategy"] in KERNELS]
    names = list(dict.fromkeys(cell["strategy"] for cell in cells))
    try:
        c_compiler()
    except InputError as error:
        say(str(error))
        return {}
    pairs = suite.pairs([head] * 2, (suite.in_c(cells), cells), SECONDS_TO_C)
    rows = [
        suite.by_kernel(suite.log_ratios(times), cells, names)
        for times in itertools.islice(pairs, PAIRS_TO_C if names else 0)
    ]
    return dict(zip(names, np.exp(np.median(rows, axis=0)), strict=True)) if rows else {}


def say_counts(differ, counted, kernels):
    """Print what is to be said of the exact counts."""
    say(f"exact counts of {counted} cells: " + (f"{len(differ)} differ" if differ else "the same"))
    room = max(1, MAX_LINES - OTHER_LINES - kernels)
    for line in differ[:room]:
        say(f"  {line}")
    if len(differ) > room:
        say(f"  ... and {len(differ) - room} more")


def say_kernels(look, cells, names, ratios):
    """Print a line for each kernel, and the canary's."""
    say(ROW.format("kernel", "head / base", "verdict", "/ C", "timed"))
    for name, interval in zip(names, look.intervals, strict=True):
        timed = "; ".join(cell["cell"] for cell in cells if cell["strategy"] == name)
        ratio = f"{ratios[name]:.2f}" if name in ratios else "-"
        say(ROW.format(name, str(interval), interval.verdict, ratio, timed))
    is_found = "found" if look.is_canary_found else "not found"
    slowed = f"{names[look.canary_of]} of the head, slowed by {CANARY:.0%}"
    say(ROW.format("canary", str(look.canary), is_found, "-", slowed))


def main(arguments=None):
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", required=True, metavar="REV", help="what is compared with")
    parser.add_argument("--head", default=WORKTREE, metavar="REV", help="(default: the worktree)")
    parser.add_argument("--strategy", action="append", metavar="NAME", help="only this tracker")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"for the pairs (default: {SECONDS})"
    )
    options = parser.parse_args(arguments)
    try:
        return gate(options)
    except (InputError, OSError) as error:
        print(f"gate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gate: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
