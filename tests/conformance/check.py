"""`make conformance`: random hypercalls, loads and stores, in QEMU and on the machine."""

import argparse
import sys
import time
from collections import Counter
from typing import NamedTuple

import commands
import compare
import numpy as np
import on_core
import on_qemu

from strategies import registry
from strategies.contract.bench import reports_reads

FIRST_RUN, LONGEST_RUN = 1000, 20_000
"""Commands of one run; each begins with an empty HPT and ends with a look at all of it."""


class Run(NamedTuple):
    """One run: its commands, log2 of our base page's bytes, and who logs, or None."""

    commands: np.ndarray
    page_shift: int
    strategy: str | None


def runs(seed, ops, strategies=(None,)):
    """Yield each Run, the strategies in turn, each with both page sizes.

    Runs become longer: a coarse defect is found, and shrunk, from a short one.
    """
    number = first = 0
    while first < ops:
        page_shift, strategy = (12, 16)[number % 2], strategies[number // 2 % len(strategies)]
        count = min(FIRST_RUN << number // len(strategies), LONGEST_RUN, ops - first)
        sequence = commands.generate(
            f"{seed}:{number}",
            count,
            on_core.new_vm(page_shift).machine,
            is_logged=strategy is not None,
            is_single=strategy is not None and reports_reads(strategy),
        )
        yield Run(sequence[: ops - first], page_shift, strategy)
        number, first = number + 1, first + len(sequence)


class Search(NamedTuple):
    """What a search came to: the last run and its comparison, and counts of all runs."""

    run: Run
    comparison: compare.Comparison
    compared: int
    cases: Counter
    judged: Counter


def search(seed, ops, strategies=(None,)):
    """Compare run by run, up to the first that differs; return a Search."""
    cases, judged, compared = Counter(), Counter(), 0
    for run in runs(seed, ops, strategies):
        comparison = compare.compare(*run)
        compared += len(run.commands)
        cases += compare.cases(comparison)
        judged += comparison.judged
        if comparison.differs:
            break
    return Search(run, comparison, compared, cases, judged)


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def parser():
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(description=__doc__)
    result.add_argument("--seed", type=int, default=1)
    result.add_argument("--ops", type=_positive, default=100_000)
    result.add_argument("--logging", action="store_true", help="all trackers log in turn")
    return result


def report(seed, ops, strategies):
    """Compare, print what was and was not compared and how often, and return 0, or 1."""
    start = time.perf_counter()
    print(on_qemu.version())
    for what, why in compare.MASKED.items():
        print(f"masked: {what}: {why}")
    for what, why in compare.NOT_GENERATED.items():
        print(f"left out: {what}: {why}")
    run, comparison, compared, cases, judged = search(seed, ops, strategies)
    for (operation, outcome), count in sorted(cases.items()):
        print(f"{operation:28}{outcome:18}{count:8}")
    for what, count in judged.items():
        print(f"{what:46}{count:8}")
    if comparison.differs:
        print(f"seed {seed}: a difference within {compared} operations, shrunk to:")
        print("\n".join(compare.tell(compare.shortest(comparison, *run[1:]))))
        return 1
    seconds = time.perf_counter() - start
    logged = f" with {len(strategies)} trackers logging in turn" if strategies[0] else ""
    print(f"seed {seed}: 0 differences in {compared} operations{logged}, {seconds:.1f} s")
    return 0


def main(arguments=None):
    """Run the command; return its exit status: 0, 1 on a difference, 2 if QEMU does not run."""
    options = parser().parse_args(arguments)
    try:
        if not on_qemu.is_installed():
            raise RuntimeError(on_qemu.MISSING)
        strategies = registry.judged() if options.logging else (None,)
        return report(options.seed, options.ops, strategies)
    except RuntimeError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
