"""Sizes and fractions on the command line."""

import pytest

from strategies.errors import InputError
from strategies.plural import plural
from strategies.units import (
    duration,
    parse_density,
    parse_duration,
    parse_fraction,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("4096B", 4096),
        ("64KiB", 64 << 10),
        ("64k", 64 << 10),
        ("256MiB", 256 << 20),
        ("4 GiB", 4 << 30),
        ("4gib", 4 << 30),
        ("0.5G", 512 << 20),
        ("1TiB", 1 << 40),
        ("3GB", 3 << 30),
        ("4 KB", 4096),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1.5", "1e3", "nan", "inf", "12q", "MiB", "4 Ki", "1_000", "٤", "9" * 99],
)
def test_what_is_no_size(text):
    with pytest.raises(InputError, match=r"is not a size; accepted: .* 64KiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("0", 0), ("1", 1), ("0.001", 0.001), ("1e-3", 0.001), ("0.1%", 0.001), ("100 %", 1)],
)
def test_fractions(text, fraction):
    assert parse_fraction(text) == fraction


@pytest.mark.parametrize(
    "text", ["", "%", "-0.1", "1.1", "101%", "nan", "inf", "1e99", "1_0%", "half", "0.1%%"]
)
def test_what_is_no_fraction(text):
    with pytest.raises(InputError, match="is not a fraction; accepted: 0 to 1 or 0% to 100%"):
        parse_fraction(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("20ns", 20),
        ("5us", 5e3),
        ("5 µs", 5e3),
        ("100ms", 1e8),
        ("1.5 s", 1.5e9),
        ("1min", 6e10),
        ("60Hz", 1e9 / 60),
    ],
)
def test_durations(text, ns):
    assert parse_duration(text) == pytest.approx(ns)


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0.5, "0.5 ns"), (1, "1 ns"), (999, "999 ns"), (1e3, "1 us"), (1e6, "1 ms"), (1.5e9, "1.5 s")],
)
def test_a_duration_is_written_in_the_unit_that_suits(ns, text):
    assert duration(ns) == text


@pytest.mark.parametrize("text", ["", "0ms", "0Hz", "5", "-1s", "1 hour", "inf s"])
def test_what_is_no_duration(text):
    with pytest.raises(InputError, match=r"is not a duration; accepted: .* 60Hz"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "density"),
    [("0.5%", (0.005, False)), ("0.5%/s", (0.005, True)), ("150% / s", (1.5, True))],
)
def test_densities(text, density):
    assert parse_density(text) == density


@pytest.mark.parametrize("text", ["101%", "0.5%/min", "x/s", "/s", "1//s"])
def test_what_is_no_density(text):
    with pytest.raises(InputError, match="accepted"):
        parse_density(text)


@pytest.mark.parametrize(("text", "rate"), [("264MiB/s", 264 << 20), ("1208MB/s", 1208 << 20)])
def test_rates(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["264MiB", "264MiB/min", "/s", "fast/s"])
def test_what_is_no_rate(text):
    with pytest.raises(InputError, match="is not a rate; accepted: a size a second"):
        parse_rate(text)


def test_one_is_singular():
    assert [plural(count, "page") for count in (0, 1, 2)] == ["0 pages", "1 page", "2 pages"]
    assert [plural(1, "batch", "es"), plural(2, "batch", "es")] == ["1 batch", "2 batches"]
