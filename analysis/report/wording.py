"""Numbers as the report says them: two digits for what is known to a factor, ranges in one unit."""

import math

from strategies.units import draws_text as draws
from strategies.units import share_text as share
from strategies.units import time_text as time
from strategies.units import two_digits


def factor(low, high):
    """Return a range of plain numbers."""
    return _range(two_digits(low), two_digits(high))


def times(low, high):
    """Return a range of times, the unit once where it is the same."""
    (first, unit), (last, other) = (time(ns).split() for ns in (low, high))
    if unit == other:
        return f"{_range(first, last)} {unit}"
    return f"{first} {unit} to {last} {other}"


def shares(low, high):
    """Return a range of fractions in per cent."""
    return f"{_range(two_digits(100 * low), two_digits(100 * high))}%"


def density(fraction):
    """Return a break-even: infinity is `never`, for there is no density so high."""
    return "never" if math.isinf(fraction) else share(fraction)


def densities(low, high):
    """Return a range of break-evens."""
    if math.isinf(high):
        return _range(density(low), density(high))
    return shares(low, high)


def break_even(row):
    """Return `p50 (p5 to p95)` of break-evens, and how many draws have a crossing if not all."""
    text = f"{density(row['p50'])} ({densities(row['p5'], row['p95'])})"
    return text if row["share"] == 1 else f"{text}, a crossing in {draws(row['share'])}"


def of_draws(row, of):
    """Return the range of the draws of a time."""
    return times(row[f"{of}_p5"], row[f"{of}_p95"])


def of_passes(row, of):
    """Return the median of a time over passes, and in brackets the least and the greatest."""
    least, most = time(row[f"{of}_least"]), time(row[f"{of}_most"])
    text = time(row[of])
    return text if least == most else f"{text} ({times(row[f'{of}_least'], row[f'{of}_most'])})"


def _range(low, high):
    return low if low == high else f"{low} to {high}"
