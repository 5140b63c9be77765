"""`make conformance`: random hypercalls, loads and stores, in QEMU and on the machine."""

import argparse
import sys
import time
from collections import Counter

import commands
import compare
import on_core
import on_qemu

FIRST_RUN, LONGEST_RUN = 1000, 20_000
"""Commands of one run; each begins with an empty HPT and ends with a look at all of it."""


def batches(seed, ops):
    """Yield the commands of each run, and log2 of our base page's bytes in it.

    Runs become longer: a coarse defect is found, and shrunk, from a short one.
    """
    number = first = 0
    while first < ops:
        page_shift = (12, 16)[number % 2]
        count = min(FIRST_RUN << number, LONGEST_RUN, ops - first)
        machine = on_core.new_vm(page_shift).machine
        yield commands.generate(f"{seed}:{number}", count, machine), page_shift
        number, first = number + 1, first + count


def search(seed, ops):
    """Compare run by run, up to the first that differs.

    Returns
    -------
    comparison : compare.Comparison
        Of the last run.
    page_shift : int
        log2 of our base page's bytes in it.
    compared : int
        Commands of all runs.
    cases : Counter
        How often each case occurred.
    """
    cases, compared = Counter(), 0
    for sequence, page_shift in batches(seed, ops):
        comparison = compare.compare(sequence, page_shift)
        compared += len(sequence)
        cases += compare.cases(comparison)
        if comparison.differs:
            break
    return comparison, page_shift, compared, cases


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
    return result


def report(seed, ops):
    """Compare, print what was and was not compared and how often, and return 0, or 1."""
    start = time.perf_counter()
    print(on_qemu.version())
    for what, why in compare.MASKED.items():
        print(f"masked: {what}: {why}")
    for what, why in compare.NOT_GENERATED.items():
        print(f"left out: {what}: {why}")
    comparison, page_shift, compared, cases = search(seed, ops)
    for (operation, outcome), count in sorted(cases.items()):
        print(f"{operation:28}{outcome:18}{count:8}")
    if comparison.differs:
        print(f"seed {seed}: a difference within {compared} operations, shrunk to:")
        print("\n".join(compare.tell(compare.shortest(comparison, page_shift))))
        return 1
    seconds = time.perf_counter() - start
    print(f"seed {seed}: 0 differences in {compared} operations, {seconds:.1f} s")
    return 0


def main(arguments=None):
    """Run the command; return its exit status: 0, 1 on a difference, 2 if QEMU does not run."""
    options = parser().parse_args(arguments)
    try:
        if not on_qemu.is_installed():
            raise RuntimeError(on_qemu.MISSING)
        return report(options.seed, options.ops)
    except RuntimeError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
