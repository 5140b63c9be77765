"""Sizes, fractions and durations as people write them, for the command line."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import click

from strategies.errors import InputError

_SIZE_TEXT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:([KMGT])(?:i?B)?|B)?", re.IGNORECASE)
_FRACTION_TEXT = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,15})?(?:e-?[0-9]{1,2})?)\s*(%?)", re.IGNORECASE
)


def parse_size(text: str) -> int:
    """Return the bytes in ``64MiB``, ``4 GiB``, ``0.5G``, ``3GB`` or ``4096``.

    K, M, G and T are binary, as VMMs and KVM's tools mean them.

    Raises
    ------
    InputError
        If `text` is not a size, or not a whole number of bytes above 0.
    """
    match = _SIZE_TEXT.fullmatch(text.strip())
    size = Fraction(0)
    if match:
        power = " KMGT".index((match[2] or " ").upper())
        size = Fraction(match[1]) * 1024**power
    if size <= 0 or size.denominator != 1:
        raise InputError(
            f"{text!r} is not a size; accepted: whole bytes above 0 such as 4096, 64KiB, "
            "256MiB, 4 GiB, 1TiB"
        )
    return int(size)


def parse_pages(text: str) -> int:
    """Return the pages of 4 KiB in a size.

    Raises
    ------
    InputError
        If `text` is not a size, or not of whole pages.
    """
    nbytes = parse_size(text)
    if nbytes % 4096:
        raise InputError(f"the slot must be a multiple of 4KiB, not {nbytes} bytes")
    return nbytes // 4096


def parse_fraction(text: str) -> float:
    """Return the number from 0 to 1 in ``0.1%``, ``0.001`` or ``1e-3``.

    Raises
    ------
    InputError
        If `text` is not a fraction, or is outside 0 to 1.
    """
    match = _FRACTION_TEXT.fullmatch(text.strip())
    value = Fraction(match[1]) / (100 if match[2] else 1) if match else None
    if value is None or value > 1:
        raise InputError(f"{text!r} is not a fraction; accepted: 0 to 1 or 0% to 100%, as in 0.1%")
    return float(value)


_DURATION_TEXT = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(ns|us|µs|ms|s|min|Hz)", re.IGNORECASE
)
_WEIGHT_TEXT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}


def parse_duration(text: str) -> float:
    """Return the nanoseconds in ``100ms``, ``5us``, ``1.5 s``, ``1min``, or between ``60Hz``.

    Raises
    ------
    InputError
        If `text` is not a duration above 0 with its unit.
    """
    match = _DURATION_TEXT.fullmatch(text.strip())
    number, unit = (Fraction(match[1]), match[2].lower()) if match else (Fraction(0), "s")
    if not number:
        raise InputError(
            f"{text!r} is not a duration; accepted: above 0 as in 100ms, 5us, 1.5s, 1min, 60Hz"
        )
    return float(10**9 / number if unit == "hz" else number * _NANOSECONDS[unit])


class Density(NamedTuple):
    """Pages written / pages of the slot: in an interval, or in a second."""

    value: float
    per_second: bool


def parse_density(text: str) -> Density:
    """Return the density in ``0.1%``, ``0.001``, or in a second, as ``0.5%/s``.

    Raises
    ------
    InputError
        If `text` is neither, or an interval's is outside 0 to 1.
    """
    amount, slash, unit = text.strip().partition("/")
    if not slash:
        return Density(parse_fraction(text), per_second=False)
    match = _FRACTION_TEXT.fullmatch(amount.strip())
    if not match or unit.strip().lower() != "s":
        raise InputError(f"{text!r} is not a density; accepted: 0.1%, 0.001, or a second's, 0.5%/s")
    return Density(float(Fraction(match[1]) / (100 if match[2] else 1)), per_second=True)


def parse_rate(text: str) -> int:
    """Return the bytes a second in ``264MiB/s`` or ``1208MB/s``.

    Raises
    ------
    InputError
        If `text` is not a size and ``/s``.
    """
    amount, slash, unit = text.strip().partition("/")
    try:
        if slash and unit.strip().lower() == "s":
            return parse_size(amount)
    except InputError:
        pass
    raise InputError(f"{text!r} is not a rate; accepted: a size a second, as in 264MiB/s")


def parse_weights(text: str) -> dict[str, float]:
    """Return the weights in ``latency=0,stall=0,cpu=1``; those not named are 0.

    Raises
    ------
    InputError
        If a name is unknown or given twice, or a weight is not a number from 0.
    """
    weights = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        is_new = name in ("latency", "stall", "cpu") and name not in weights
        if not is_new or not _WEIGHT_TEXT.fullmatch(number):
            raise InputError(
                f"{text!r} are no weights; accepted: latency=, stall=, cpu=, each once, "
                "with numbers from 0, as in latency=1,cpu=0.5"
            )
        weights[name] = float(number)
    return weights


class Parsed(click.ParamType):
    """Command-line type of one of the parsers above.

    Parameters
    ----------
    name : str
        What help calls the value.
    parse : callable
        From str to the value; raises InputError.
    """

    def __init__(self, name: str, parse: Callable[[str], Any]):
        self.name = name
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value, or fail with the parser's message."""
        try:
            return self.parse(value) if isinstance(value, str) else value
        except InputError as error:
            self.fail(str(error), param, ctx)


SIZE = Parsed("size", parse_size)
PAGES = Parsed("size", parse_pages)
FRACTION = Parsed("fraction", parse_fraction)
DURATION = Parsed("duration", parse_duration)
WEIGHTS = Parsed("weights", parse_weights)
DENSITY = Parsed("density", parse_density)
RATE = Parsed("rate", parse_rate)


_DURATION_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))


def duration(ns):
    """Return nanoseconds with a unit that suits, to three digits."""
    size, unit = next((pair for pair in _DURATION_UNITS if ns >= pair[0]), _DURATION_UNITS[-1])
    return f"{number(ns / size)} {unit}"


def percent(fraction):
    """Return a fraction in per cent, to three digits."""
    if not fraction:
        return "0%"
    return f"{fraction:.3%}" if fraction < 0.01 else f"{number(100 * fraction)}%"


def number(value):
    """Return a number to three digits, never with an exponent below a million."""
    return f"{float(f'{value:.3g}'):,g}"


def two_digits(value):
    """Return a number to two digits: what is known to a factor."""
    return number(float(f"{value:.2g}"))


def time_text(ns):
    """Return a time to two digits with a unit that suits."""
    return duration(float(f"{ns:.2g}"))


def share_text(fraction):
    """Return a fraction in per cent, to two digits."""
    return f"{two_digits(100 * fraction)}%"


def draws_text(fraction):
    """Return a share of draws in whole per cent; 0 and 100 only where it is exactly that."""
    whole = round(100 * fraction)
    if whole in (0, 100) and fraction not in (0.0, 1.0):
        return "<1%" if whole == 0 else ">99%"
    return f"{whole}%"


_SIZE_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size_text(nbytes):
    """Return a size in its binary unit."""
    size, unit = next((pair for pair in _SIZE_UNITS if nbytes >= pair[0]), (1, "bytes"))
    return f"{nbytes / size:g} {unit}"
