"""Say whether a revision is slower than another, or counts otherwise.

    python -m benchmarks.gate --base main~1
    python -m benchmarks.gate --base main~1 --head my-branch --strategy c_bit_scan

Exit status: 0 no kernel is slower, 1 one is or an exact count differs, 2 it could not run or tell.
"""

import argparse
import sys
import time

from benchmarks.gate import suite
from benchmarks.gate.checkouts import WORKTREE, check_out
from benchmarks.gate.sides import both
from benchmarks.gate.verdict import CANARY, OPEN, SLOWER, decide
from strategies.errors import InputError

SECONDS = 140
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
        cells = suite.cells_of(names)
        counted = suite.count(sides, cells)
    timed = suite.timed(cells, counted[0])
    timed.append(suite.canary_of(timed))
    rows = (
        suite.by_kernel(suite.log_ratios(times), timed, names)
        for times in suite.pairs(revisions, timed, seconds)
    )
    look, taken = decide(rows, names.index(timed[-1]["strategy"]))
    differ = suite.differences(cells, *counted)
    return {
        "base": revisions[0],
        "head": revisions[1],
        "others": others,
        "cells": cells,
        "timed": timed,
        "differences": differ,
        "names": names,
        "look": look,
        "pairs": len(taken),
        "seconds": time.monotonic() - start,
        "status": status_of(differ, look),
    }


def status_of(differ, look):
    """Return the exit status."""
    if differ or (look and look.verdict == SLOWER):
        return 1
    return 2 if look is None or look.verdict == OPEN else 0


def lines_of(found):
    """Return the lines that are printed."""
    base, head, look = found["base"], found["head"], found["look"]
    yield f"base {base.name} ({base.commit[:10]}), head {head.name} ({head.commit[:10]})"
    if found["others"]:
        yield "not compared: " + ", ".join(found["others"])
    differ = found["differences"]
    yield f"exact counts of {len(found['cells'])} cells: " + (
        f"{len(differ)} differ" if differ else "the same"
    )
    room = max(1, MAX_LINES - 7 - len(found["names"]))
    yield from (f"  {line}" for line in differ[:room])
    if len(differ) > room:
        yield f"  ... and {len(differ) - room} more"
    if look:
        yield f"{'kernel':<24}{'head / base':<26}{'verdict':<16}cells"
        for name, interval in zip(found["names"], look.intervals, strict=True):
            cells = [c["cell"] for c in found["timed"][:-1] if c["strategy"] == name]
            yield f"{name:<24}{interval!s:<26}{interval.verdict:<16}{'; '.join(cells)}"
        of = found["names"][look.canary_of]
        yield (
            f"{'canary':<24}{look.canary!s:<26}"
            f"{'found' if look.is_canary_found else 'not found':<16}"
            f"{of} of the head, slowed by {CANARY:.0%}"
        )
    yield f"{found['pairs']} pairs of processes, {found['seconds']:.0f} s in all"
    yield "verdict: " + ("counts differ" if differ else look.verdict if look else OPEN)


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
