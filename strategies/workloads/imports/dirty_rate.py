"""QEMU's query-dirty-rate: how many pages were written in a time, from which a trace is made up."""

import json
from pathlib import Path

import numpy as np

from strategies.errors import InputError
from strategies.workloads.checks import check_meta
from strategies.workloads.compact import laid_out
from strategies.workloads.trace import Trace

PAGE_BYTES = 4096
MIB = 1 << 20
RATES = 24
"""Classes of pages that are fitted to a curve."""
ROUNDS = 20_000
MAX_LETTERS = 1 << 20  # what is longer, such as an image of a disk, is cut and so no JSON
MAX_POINTS = 1000
MAX_PAGES = 1 << 26
"""Of the slot, and written in all epochs: an answer of some bytes may ask for any number."""


def read_dirty_rate(paths, options):
    """Return a made-up trace whose distinct pages over time are those that QEMU measured.

    One figure (`dirty-rate` in MiB/s over `calc-time`) gives one point, and every page the same
    chance; it needs `slot_pages`. A curve (Gudkov's `periods` and `n-dirty-pages` of
    `n-sampled-pages`) gives as many points, and pages of several rates. In both, which pages
    they are, and that they lie scattered, is made up; the meta says so.
    """
    (path,) = paths
    answer = _answer(path)
    slot_pages = _slot_pages(answer, options, path)
    if slot_pages > MAX_PAGES:
        raise InputError(f"{str(path)!r}: {slot_pages} pages; accepted: at most {MAX_PAGES}")
    times_ms, pages = _points(answer, path)
    if pages.max() > slot_pages:
        raise InputError(f"{str(path)!r}: {pages.max():.0f} pages written, slot of {slot_pages}")
    rates, counts = _fit(times_ms, pages, slot_pages)
    meta = options.meta(slot_pages, options.epochs, f"made up after {path.name}")
    check_meta(meta)
    got = _distinct(rates, counts, times_ms)
    meta |= {
        "synthesised": "the curve of distinct pages is QEMU's; which pages, scattered, is made up",
        "curve_ms": times_ms.tolist(),
        "curve_pages": [round(float(count)) for count in pages],
        "curve_worst_error": round(float(np.max(np.abs(got - pages) / pages)), 4),
    }
    share = 1 - np.exp(-rates * options.epoch_ms)
    if (share * counts).sum() * options.epochs > MAX_PAGES:
        raise InputError(f"more than {MAX_PAGES} pages are written; accepted: fewer --epochs")
    offsets, gfns = laid_out(_epochs(share, counts, slot_pages, options))
    return Trace(offsets=offsets, gfns=gfns.astype(np.uint32), meta=meta)


def _answer(path):
    """Return the object that QEMU answered, with or without its `return`."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            answer = json.loads(file.read(MAX_LETTERS))
    except OSError as error:
        raise InputError(f"{str(path)!r}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{str(path)!r}, line {error.lineno}: no JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # no text, nested, a number without end
        raise InputError(f"{str(path)!r}: no JSON") from error
    answer = answer.get("return", answer) if isinstance(answer, dict) else None
    if not isinstance(answer, dict):
        raise InputError(f"{str(path)!r}: accepted is the JSON object of query-dirty-rate")
    return answer


def _number(answer, key, path):
    value = answer.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        raise InputError(f"{str(path)!r}: {key!r} must be a number above 0, not {value!r:.40}")
    return value


def _slot_pages(answer, options, path):
    if "n-total-pages" in answer:
        return int(_number(answer, "n-total-pages", path))
    if options.slot_pages is None:
        raise InputError(f"{str(path)!r} does not tell the guest's memory; accepted: with --slot")
    return options.slot_pages


def _points(answer, path):
    """Return times (ms) and distinct pages of 4 KiB, float64[points] each."""
    if "periods" not in answer:
        unit = {"second": 1000.0, "millisecond": 1.0}.get(answer.get("calc-time-unit", "second"))
        if unit is None:
            raise InputError(f"{str(path)!r}: 'calc-time-unit' must be second or millisecond")
        time_ms = _number(answer, "calc-time", path) * unit
        rate = _number(answer, "dirty-rate", path) * MIB / PAGE_BYTES
        return np.array([time_ms]), np.array([rate * time_ms / 1000])
    vectors = [answer.get(key) for key in ("periods", "n-dirty-pages")]
    if not all(isinstance(v, list) and v for v in vectors) or len(set(map(len, vectors))) > 1:
        raise InputError(
            f"{str(path)!r}: 'periods' and 'n-dirty-pages' must be lists of one length"
        )
    if len(vectors[0]) > MAX_POINTS:
        raise InputError(f"{str(path)!r}: {len(vectors[0])} points; accepted: {MAX_POINTS}")
    times, pages = (
        np.array([_number({key: value}, key, path) for value in vector], float)
        for key, vector in zip(("periods", "n-dirty-pages"), vectors, strict=True)
    )
    if (np.diff(times) <= 0).any():
        raise InputError(f"{str(path)!r}: 'periods' must rise")
    sampled = _number(answer, "n-sampled-pages", path)
    return times, pages * _number(answer, "n-total-pages", path) / sampled


def _distinct(rates, counts, times_ms):
    """Return the expected distinct pages over time if a page is written at random, at its rate."""
    return (1 - np.exp(-np.outer(times_ms, rates))) @ counts


def _fit(times_ms, pages, slot_pages):
    """Return rates (1/ms) and how many pages have each, so that `_distinct` follows the points.

    Least squares of the relative errors without negative counts, by multiplicative steps (Lee and
    Seung 2001), over rates around the points' times; the sum never exceeds the slot.
    """
    if len(pages) == 1:
        share = min(pages[0] / slot_pages, 1 - 1e-9)
        return -np.log1p(-share) / times_ms, np.array([float(slot_pages)])
    rates = np.geomspace(0.02 / times_ms[-1], 5 / times_ms[0], RATES)
    matrix = (1 - np.exp(-np.outer(times_ms, rates))) / pages[:, None]
    counts, sums = np.full(RATES, pages[-1] / RATES), matrix.sum(axis=0)
    for _ in range(ROUNDS):
        counts *= sums / (matrix.T @ (matrix @ counts))
    return rates, counts * min(1.0, slot_pages / counts.sum())


def _epochs(share, counts, slot_pages, options):
    """Yield the pages of each epoch: of each class a random part, the class scattered."""
    rng = np.random.default_rng(options.seed)
    sizes = np.floor(np.cumsum(counts) + 0.5).astype(np.int64)
    bounds = np.minimum(np.concatenate([[0], sizes]), slot_pages)
    order = rng.permutation(slot_pages)
    for _ in range(options.epochs):
        parts = []
        for first, last, chance in zip(bounds[:-1], bounds[1:], share, strict=True):
            many = rng.binomial(last - first, chance)
            parts.append(order[first + rng.choice(last - first, many, replace=False)])
        yield np.concatenate(parts)
