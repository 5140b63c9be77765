"""How well the measured costs per page predict: cells are left out of the fit and judged."""

import numpy as np
import pandas as pd

from analysis.measured.harvests import BASELINE, CLOCK_LIMIT_NS, SERIES, page_costs
from analysis.measured.surface import Surface
from strategies.errors import InputError

COLUMNS = ["slot_pages", "density", "page_ns", "dirty_page_ns"]


def predict(costs, cells):
    """Return the harvest time of each cell as the fitted costs give it, in nanoseconds.

    Parameters
    ----------
    costs : DataFrame
        As from `analysis.measured.harvests.page_costs`: the fit.
    cells : DataFrame
        SERIES, `slot_pages`, `dirty_pages`.

    Returns
    -------
    Series
        NaN where the fit lacks the cell's tracker, page size or mapping.
    """
    surfaces = {
        key: Surface(rows[COLUMNS].itertuples(index=False)) for key, rows in costs.groupby(SERIES)
    }

    def of_cell(cell):
        surface = surfaces.get(tuple(cell[name] for name in SERIES))
        return surface.harvest_ns(cell["slot_pages"], cell["dirty_pages"]) if surface else np.nan

    return pd.Series(map(of_cell, cells.to_dict("records")), cells.index, dtype=float)


def _folds(cells, column):
    """Yield (cells of the fit, cells left out) for each inner size, or inner dirty density."""
    values = sorted(value for value in cells[column].unique() if value)
    for value in values[1:-1]:
        is_out = cells[column] == value
        yield cells[~is_out], cells[is_out]


def _judge(fit, left, of):
    """Return the cells left out with `predicted_ns` and `error`, those that can be judged."""
    left = left.assign(predicted_ns=predict(page_costs(fit, of), left))
    left = left[left[of] >= CLOCK_LIMIT_NS].dropna(subset="predicted_ns")
    return left.assign(error=(left["predicted_ns"] / left[of] - 1).abs())


def held_out(cells, of="lowest_ns"):
    """Return every cell that can be left out, predicted from a fit without its size or density.

    Left out in turn: each size between the smallest and the largest, and each density between the
    least and the greatest that is dirty. Times below CLOCK_LIMIT_NS are not judged.

    Parameters
    ----------
    cells : DataFrame
        As from `analysis.measured.harvests.harvests`.
    of : {"lowest_ns", "median_ns"}
        Which times are fitted and predicted.

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
        _judge(fit, left, of).assign(left_out=column)
        for column in ("slot_bytes", "density")
        for fit, left in _folds(cells, column)
    ]
    if not parts:
        raise InputError("too few sizes and densities to leave one out: three are needed")
    return pd.concat(parts, ignore_index=True)
