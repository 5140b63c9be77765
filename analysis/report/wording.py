"""Numbers as the report says them: two digits for what is known to a factor, ranges in one unit."""

from strategies.units import duration, number

KINDS = ("measured", "modelled", "exact", "cited", "estimated")


def two_digits(value):
    """Return a number to two digits."""
    return number(float(f"{value:.2g}"))


def factor(low, high):
    """Return a range of plain numbers."""
    return _range(two_digits(low), two_digits(high))


def time(ns):
    """Return a time to two digits with a unit that suits."""
    return duration(float(f"{ns:.2g}"))


def times(low, high):
    """Return a range of times, the unit once where it is the same."""
    (first, unit), (last, other) = (time(ns).split() for ns in (low, high))
    if unit == other:
        return f"{_range(first, last)} {unit}"
    return f"{first} {unit} to {last} {other}"


def share(fraction):
    """Return a fraction in per cent, to two digits."""
    return f"{two_digits(100 * fraction)} %"


def shares(low, high):
    """Return a range of fractions in per cent."""
    return f"{_range(two_digits(100 * low), two_digits(100 * high))} %"


def draws(fraction):
    """Return a share of the draws in whole per cent; 0 and 100 only where it is exactly that."""
    whole = round(100 * fraction)
    if whole in (0, 100) and fraction not in (0.0, 1.0):
        return "< 1 %" if whole == 0 else "> 99 %"
    return f"{whole} %"


def median_and_range(row):
    """Return `p50 (p5 to p95)` of densities in per cent."""
    return f"{share(row['p50'])} ({shares(row['p5'], row['p95'])})"


def listed(words):
    """Return words as a list in a sentence."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _range(low, high):
    return low if low == high else f"{low} to {high}"
