"""A profile of one's own host: what the lanes tell of its unit costs, the rest transferred."""

import json
import tomllib
from dataclasses import dataclass

import numpy as np

from analysis.model.profile import COSTS, bundled_text

LANES = {
    "uffd_async": ("page_scan", "page_clear"),
    "kvm_bitmap": ("word_read", "word_take", "page_rearm"),
}
"""Which lane's harvest tells which constants; KVM's guest tells `fault` besides."""

MOST_NOISE = 0.10
"""Median deviation of repetitions from their cell's median, above which nothing is trusted."""
SHARE = 0.3
"""A cell tells a constant's range where the constant is this much of its harvest."""
RANGE = (5, 95)


@dataclass(frozen=True)
class Measured:
    """A unit cost in nanoseconds, and its range over the cells that tell it."""

    value: float
    low: float
    high: float


def counts(trace):
    """Return per epoch what a harvest's constants are multiplied with: float64[epochs] each."""
    epoch = np.repeat(np.arange(trace.epochs), np.diff(trace.offsets))
    words = np.unique(epoch * (trace.slot_pages // 64 + 1) + trace.gfns // 64)
    touched = np.bincount(words // (trace.slot_pages // 64 + 1), minlength=trace.epochs)
    pages = np.diff(trace.offsets).astype(float)
    return {
        "page_scan": np.full(trace.epochs, float(trace.slot_pages)),
        "word_read": np.full(trace.epochs, np.ceil(trace.slot_pages / 64)),
        "page_clear": pages,
        "page_rearm": pages,
        "word_take": touched.astype(float),
    }


def noise(cell, ns):
    """Return how much repetitions of a cell deviate: the median over all, as a share.

    Parameters
    ----------
    cell : int64[n]
    ns : float64[n]
    """
    deviations = [
        np.abs(ns[cell == one] / np.median(ns[cell == one]) - 1) for one in np.unique(cell)
    ]
    return float(np.median(np.concatenate(deviations)))


def fit(columns, ns):
    """Return the constants of a lane's harvest, by name, from counts and times.

    Least squares of relative errors, none negative; besides the names there is a constant part.

    Parameters
    ----------
    columns : dict of str to float64[n]
    ns : float64[n]

    Returns
    -------
    tuple
        A dict of Measured, and the median relative error of the fit.
    """
    names = list(columns)
    matrix = np.column_stack([np.ones(len(ns)), *columns.values()])
    found = _non_negative(matrix / ns[:, None])
    parts = matrix * found
    predicted = parts.sum(axis=1)
    measured = {}
    for index, name in enumerate(names, 1):
        tells = parts[:, index] > SHARE * predicted
        implied = (ns - predicted + parts[:, index])[tells] / matrix[tells, index]
        value = found[index]
        low, high = np.percentile(implied, RANGE) if tells.any() else (value, value)
        measured[name] = Measured(value, max(0.0, min(low, value)), max(high, value))
    return measured, float(np.median(np.abs(predicted / ns - 1)))


def _non_negative(matrix):
    """Return x >= 0 that brings matrix @ x nearest to 1: the best over all sets of columns."""
    count = matrix.shape[1]
    best, least = np.zeros(count), np.inf
    for chosen in range(1, 1 << count):
        some = [column for column in range(count) if chosen >> column & 1]
        solution = np.linalg.lstsq(matrix[:, some], np.ones(len(matrix)), rcond=None)[0]
        error = np.sum((matrix[:, some] @ solution - 1) ** 2)
        if (solution >= 0).all() and error < least:
            best, least = np.zeros(count), error
            best[some] = solution
    return best


def fault(lost_ns, pages):
    """Return what a first write costs the guest, exit and entry in it, from epochs with writes."""
    ratios = lost_ns[pages > 0] / pages[pages > 0]
    value = max(0.0, float(np.median(ratios)))
    low, high = np.percentile(ratios, RANGE)
    return Measured(value, max(0.0, min(low, value)), max(high, value))


def profile_text(measured, *, base, name, title, source):
    """Return a profile as TOML: the measured constants, all others transferred from `base`.

    Parameters
    ----------
    measured : dict of str to Measured
    base : str
        A bundled profile.
    name, title : str
    source : str
        Of what was measured: host, kernel, date, command, repetitions.
    """
    document = tomllib.loads(bundled_text(base)) | {"name": name, "title": title}
    constants = document.pop("constants")
    if "fault" in measured:
        measured = measured | {"exit": Measured(0.0, 0.0, 0.0)}
    for key, table in constants.items():
        if key in measured:
            one = measured[key]
            values = {"value": one.value, "low": one.low, "high": one.high}
            said = "part of fault, which no lane can divide; " if key == "exit" else ""
            table |= values | {"unit": "ns", "kind": "measured", "source": said + source}
        else:
            table |= {"kind": "transferred", "source": f"from {base}: {table['source']}"}
    assert measured.keys() <= COSTS.keys()
    return "\n".join(_toml(document, constants)) + "\n"


def _toml(document, constants):
    """Yield the lines of a profile's document."""
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    for key in document.keys() - tables.keys():
        yield f"{key} = {json.dumps(document[key])}"
    for key, table in tables.items():
        if key == "settings":
            for strategy, rows in table.items():
                for row in rows:
                    yield from ("", f"[[settings.{strategy}]]", *_pairs(row))
        else:
            yield from ("", f"[{key}]", *_pairs(table))
    for key, table in constants.items():
        yield from ("", f"[constants.{key}]", *_pairs(table))


def _pairs(table):
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]
