"""What the measured costs per page predict, and how well: cells are left out of the fit and judged.

A cost is interpolated over density by logarithms. Over slot size it is so, too, or by the share of
the tables that a cache of some size cannot hold; which of these is chosen from the fit's own cells.
"""

import numpy as np
import pandas as pd

from analysis.derive import BASELINE, CLOCK_LIMIT_NS, SERIES, TLBIE_NS, WITH_TLBIE, page_costs
from strategies.errors import InputError

CACHED_BYTES = (0, *(1 << shift for shift in range(26, 32)))
"""Slot sizes whose tables might just fit the caches; 0 stands for the plain logarithm."""

SLOPE = 0.002
"""How much a size counts beside the share that is not cached, for an order among cached sizes."""


def predict(costs, cells, cached_bytes=0, tlbie_ns=TLBIE_NS):
    """Return the harvest time of each cell as the fitted costs give it, in nanoseconds.

    slot pages x page_ns(size) + dirty pages x dirty_page_ns(size, density), each interpolated and
    constant beyond the grid.

    Parameters
    ----------
    costs : DataFrame
        As from `analysis.derive.page_costs`: the fit.
    cells : DataFrame
        SERIES, `slot_bytes`, `density`, `slot_pages`, `dirty_pages`.
    cached_bytes : int
        Size of the slot whose tables just fit the caches; 0 to interpolate by logarithms.
    tlbie_ns : float
        What `page_costs` subtracted.

    Returns
    -------
    Series
        NaN where the fit lacks the cell's tracker, page size or mapping.
    """
    known = {key: _by_size(rows) for key, rows in costs.groupby(SERIES)}

    def of_cell(cell):
        sizes = known.get(tuple(cell[name] for name in SERIES))
        return np.nan if sizes is None else _predict_one(sizes, cell, cached_bytes, tlbie_ns)

    return pd.Series(map(of_cell, cells.to_dict("records")), cells.index, dtype=float)


def _by_size(rows):
    """Return {slot size: (cost of a clean page, densities, costs of a dirty page)}."""
    found = {}
    for size, at_size in rows.sort_values("density").groupby("slot_bytes"):
        dirty = at_size.dropna(subset="dirty_page_ns")
        parts = (dirty[name].to_numpy() for name in ("density", "dirty_page_ns"))
        found[size] = (at_size["page_ns"].iloc[0], *parts)
    return found


def _by_logarithm(at, known, values):
    """Return a value at a point, all logarithmic; constant beyond the known points."""
    logs = (np.log(np.asarray(part, float)) for part in (at, known, values))
    return float(np.exp(np.interp(*logs)))


def _at_size(size, known, values, cached_bytes):
    """Return a cost at a slot size."""
    if not cached_bytes:
        return _by_logarithm(size, known, values)

    def missed(sizes):
        sizes = np.asarray(sizes, float)
        return np.maximum(0, 1 - cached_bytes / sizes) + SLOPE * np.log(sizes)

    return float(np.interp(missed(size), missed(known), values))


def _predict_one(sizes, cell, cached_bytes, tlbie_ns):
    """Return the nanoseconds of one cell."""
    size, density = cell["slot_bytes"], cell["density"]
    page_ns = _at_size(size, list(sizes), [part[0] for part in sizes.values()], cached_bytes)
    total = cell["slot_pages"] * page_ns
    if not cell["dirty_pages"]:
        return total
    # Sizes whose measured densities surround this one come before those that must be extended.
    covering = {s: p for s, p in sizes.items() if len(p[1]) and p[1].min() <= density <= p[1].max()}
    usable = covering or {s: p for s, p in sizes.items() if len(p[1])}
    if not usable:
        return np.nan
    at_sizes = [_by_logarithm(density, known, costs) for _, known, costs in usable.values()]
    dirty_ns = _at_size(size, list(usable), at_sizes, cached_bytes)
    return total + cell["dirty_pages"] * (dirty_ns + tlbie_ns * (cell["strategy"] in WITH_TLBIE))


def choose_cached_bytes(cells):
    """Return the one of CACHED_BYTES that predicts left-out sizes best, from these cells alone.

    0 where there are too few sizes to leave one out.
    """
    folds = list(_folds(cells, "slot_bytes"))
    if not folds:
        return 0

    def error(cached_bytes):
        judged = [_judge(fit, left, cached_bytes)["error"] for fit, left in folds]
        return pd.concat(judged).median()

    return min(CACHED_BYTES, key=error)


def _folds(cells, column):
    """Yield (cells of the fit, cells left out) for each inner size, or inner dirty density."""
    values = sorted(value for value in cells[column].unique() if value)
    for value in values[1:-1]:
        is_out = cells[column] == value
        yield cells[~is_out], cells[is_out]


def _judge(fit, left, cached_bytes):
    """Return the cells left out with `predicted_ns` and `error`, those that can be judged."""
    left = left.assign(predicted_ns=predict(page_costs(fit), left, cached_bytes))
    left = left[left["median_ns"] >= CLOCK_LIMIT_NS].dropna(subset="predicted_ns")
    return left.assign(error=(left["predicted_ns"] / left["median_ns"] - 1).abs())


def held_out(cells):
    """Return every cell that can be left out, predicted from a fit without its size or density.

    Left out in turn: each size between the smallest and the largest, and each density between the
    least and the greatest that is dirty. What is left out has no part in the choice of the cache
    either. Times below CLOCK_LIMIT_NS are not judged.

    Returns
    -------
    DataFrame
        The cells with `left_out` (slot_bytes or density), `predicted_ns` and `error`, relative and
        without its sign.

    Raises
    ------
    InputError
        Fewer than three sizes and than three dirty densities.
    """
    cells = cells[cells["strategy"] != BASELINE]
    parts = [
        _judge(fit, left, choose_cached_bytes(fit)).assign(left_out=column)
        for column in ("slot_bytes", "density")
        for fit, left in _folds(cells, column)
    ]
    if not parts:
        raise InputError("too few sizes and densities to leave one out: three are needed")
    return pd.concat(parts, ignore_index=True)
