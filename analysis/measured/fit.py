"""What each walk costs, fitted to the measured harvests, and how well that predicts others.

For each page size and mapping one fit of all trackers together: the sum of their walks
(`analysis.measured.walks`) against the measured times, least squares of the logarithms of their
ratio. So every cell counts with its relative error, and no cost is negative.
"""

import numpy as np
import pandas as pd

from analysis.measured.walks import (
    CONSTANT,
    ENABLING,
    IN_AND_BEYOND,
    KNOT_BYTES,
    MADE_OF,
    RISING,
    TABLE_BYTES,
    Cost,
    counts,
    harvest_ns,
    hats,
)
from strategies.errors import InputError

VARIANT = ["page_bytes", "mapping"]
CLOCK_LIMIT_NS = 100
"""Times below are "below 100 ns": two readings of the clock cost up to 30. They are not fitted."""

STEPS = 200
CLOSE = 1e-9
LEAST = 1e-9
"""What no cell depends on would make a singular matrix: it depends by this little."""

SMOOTH = 0.03
"""How much a fit minds a cost that differs by a factor of e between neighbouring knots, in units
of a cell that is off by that factor: where no cell tells, a cost is its neighbour's."""

START_NS = 10.0

MOST_ERROR = 0.3
SPREADS = 1.5
"""A cell that was left out may be off by MOST_ERROR, or by SPREADS times the difference between
passes: what no fit of one cell could foretell."""


class Design:
    """Cells, and how their times follow from the logarithms of all costs (the parameters).

    Parameters
    ----------
    cells : DataFrame
        `strategy`, `slot_pages`, `dirty_pages`, of one page size and mapping.
    known_ns : dict of str to float
        Costs that are not fitted.
    """

    def __init__(self, cells, known_ns):
        self.known_ns = known_ns
        names = [
            n
            for n in (*IN_AND_BEYOND, *RISING, *CONSTANT)
            if any(n in MADE_OF[strategy] for strategy in cells["strategy"].unique())
        ]
        self.knots = {name: _knots(name, cells) for name in names}
        self.columns = [(name, knot) for name, knots in self.knots.items() for knot in knots]
        self.offset = np.zeros(len(cells))
        self.weights = np.zeros((len(self.knots), len(cells), len(self.columns)))
        self.counts = np.zeros((len(self.knots), len(cells)))
        for strategy in cells["strategy"].unique():
            self._add(cells["strategy"].to_numpy() == strategy, strategy, cells)

    def _add(self, rows, strategy, cells):
        slot_pages = cells["slot_pages"].to_numpy(float)[rows]
        times = counts(strategy, slot_pages, cells["dirty_pages"].to_numpy(float)[rows])
        for name, count in times.items():
            if name in self.known_ns:
                self.offset[rows] += count * self.known_ns[name]
                continue
            number = list(self.knots).index(name)
            first = [column for column, _ in self.columns].index(name)
            knots = self.knots[name]
            self.counts[number, rows] = count
            part = np.ix_(rows, range(first, first + len(knots)))
            self.weights[number][part] = hats(slot_pages, knots)

    def times(self, logs):
        """Return the time of each cell, and its relative change with each parameter."""
        parts = self.counts * np.exp(self.weights @ logs)
        total = self.offset + parts.sum(axis=0)
        return total, np.einsum("tc,tcp->cp", parts, self.weights) / total[:, None]

    def neighbours(self):
        """Return a row for each two neighbouring knots of a walk: their difference."""
        names = [name for name, _ in self.columns]
        pairs = [k for k in range(len(names) - 1) if names[k] == names[k + 1]]
        rows = np.zeros((len(pairs), len(names)))
        rows[range(len(pairs)), pairs] = 1
        rows[range(len(pairs)), [k + 1 for k in pairs]] = -1
        return rows


def _knots(name, cells):
    """Return the knots of a walk, in pages; one where the sizes measured cannot tell more."""
    if name in CONSTANT:
        return (1.0,)
    has = [name in MADE_OF[strategy] for strategy in cells["strategy"]]
    sizes = np.unique(cells.loc[has, "slot_pages"]).astype(float)
    least, most = sizes[0], sizes[-1]
    inner = np.array(KNOT_BYTES) // TABLE_BYTES[cells["page_bytes"].iloc[0]]
    if least == most or most <= inner[0] or inner[1] <= least:
        return (most,)
    if name in IN_AND_BEYOND:
        return tuple(inner.astype(float))
    knots = np.unique([least, *inner[(least < inner) & (inner < most)], most])
    return tuple(knots if len(knots) <= len(sizes) else sizes)


def _least_squares(design, times):
    """Return the logarithms of the costs and their covariance (Levenberg and Marquardt)."""
    smooth = SMOOTH * design.neighbours()
    logs = np.full(len(design.columns), np.log(START_NS))
    damping = 1.0

    def at(logs):
        total, slopes = design.times(logs)
        residuals = np.concatenate([np.log(times / total), -smooth @ logs])
        return residuals, np.concatenate([slopes, smooth])

    residuals, slopes = at(logs)
    for _ in range(STEPS):
        normal = slopes.T @ slopes
        diagonal = np.diag(damping * np.diag(normal) + LEAST)
        step = np.linalg.solve(normal + diagonal, slopes.T @ residuals)
        new = at(logs + np.clip(step, -1, 1))
        if (new[0] ** 2).sum() < (residuals**2).sum():
            (residuals, slopes), logs, damping = new, logs + np.clip(step, -1, 1), damping / 4
            if np.abs(step).max() < CLOSE:
                break
        else:
            damping *= 4
    variance = (residuals**2).sum() / max(1, len(times) - len(logs))
    return logs, np.linalg.inv(slopes.T @ slopes + LEAST * np.eye(len(logs))) * variance


def fit_costs(cells, known_ns, of="lowest_ns"):
    """Return what each walk costs for one page size and mapping: a dict of str to Cost.

    Parameters
    ----------
    cells : DataFrame
        `strategy`, `slot_pages`, `dirty_pages` and the measured time, of one page size and mapping.
    known_ns : dict of str to float
        Costs that are measured apart.
    of : str
        The column of times.
    """
    cells = cells[cells[of] >= CLOCK_LIMIT_NS]
    design = Design(cells, known_ns)
    logs, covariance = _least_squares(design, cells[of].to_numpy(float))
    errors = np.sqrt(np.diag(covariance))
    costs = {name: Cost(*np.array([[1], [ns], [np.nan]])) for name, ns in known_ns.items()}
    for name, knots in design.knots.items():
        mine = [k for k, (column, _) in enumerate(design.columns) if column == name]
        costs[name] = Cost(np.array(knots), np.exp(logs[mine]), errors[mine])
    return costs


def predict(costs, cells):
    """Return the time of each cell as fitted costs give it, in ns."""
    predicted = pd.Series(np.nan, cells.index)
    for strategy, rows in cells.groupby("strategy"):
        predicted[rows.index] = harvest_ns(
            costs, strategy, rows["slot_pages"].to_numpy(), rows["dirty_pages"].to_numpy()
        )
    return predicted


def fit_walks(cells, known_ns, of="lowest_ns"):
    """Return the fitted costs of every page size and mapping: a row for each walk and knot.

    Parameters
    ----------
    cells : DataFrame
        As from `analysis.measured.harvests.harvests` and `enablings`.
    known_ns, of
        As for `fit_costs`.

    Returns
    -------
    DataFrame
        VARIANT, `walk`, `slot_pages` (the knot), `ns`, `error` (relative standard error from the
        residuals; missing for what was measured apart).
    """
    rows = [
        (*variant, name, *row)
        for variant, group in cells.groupby(VARIANT)
        for name, cost in fit_costs(group, known_ns, of).items()
        for row in zip(cost.slot_pages, cost.ns, cost.error, strict=True)
    ]
    table = pd.DataFrame(rows, columns=[*VARIANT, "walk", "slot_pages", "ns", "error"])
    return table.astype({"slot_pages": np.int64})


def with_scatter(walks, without):
    """Return fitted costs whose errors also have in them how far passes lie apart.

    What disturbs a machine disturbs many cells of a pass at once, which residuals do not show: by
    the jackknife, from fits each without one pass.

    Parameters
    ----------
    walks : DataFrame
        As from `fit_walks`, of all passes.
    without : list of DataFrame
        The same of all passes but one: of each of them, or none at all.
    """
    if not without:
        return walks
    key = [*VARIANT, "walk", "slot_pages"]
    logs = np.log(pd.concat([one.set_index(key)["ns"] for one in without], axis=1))
    scatter = logs.std(axis=1, ddof=0) * np.sqrt(len(without) - 1)
    scatter = scatter.reindex(pd.MultiIndex.from_frame(walks[key])).to_numpy()
    return walks.assign(error=np.hypot(walks["error"].fillna(0), scatter))


def held_out(cells, known_ns, of="lowest_ns"):
    """Return every harvest that can be left out, predicted by a fit without its size or density.

    Left out in turn, for each page size and mapping: each size between the smallest and the
    largest, and each density between the least and the greatest that is dirty.

    Returns
    -------
    DataFrame
        The cells with `left_out` (slot_bytes or density), `predicted_ns`, `error` (relative, less
        than 0 where the prediction is too low), `limit` (MOST_ERROR, or SPREADS times the spread
        between passes where that is larger) and `holds` (the error is within the limit).
    """
    parts = [
        _judge(kept, left, known_ns, of).assign(left_out=column)
        for _, group in cells.groupby(VARIANT)
        for column in ("slot_bytes", "density")
        for kept, left in _folds(group, column)
    ]
    if not parts:
        raise InputError("too few sizes and densities to leave one out: three are needed")
    return pd.concat(parts, ignore_index=True)


def _folds(cells, column):
    """Yield (cells of the fit, cells left out) for each inner size, or inner dirty density."""
    values = sorted(value for value in cells[column].unique() if value > 0)
    for value in values[1:-1]:
        is_out = cells[column] == value
        yield cells[~is_out], cells[is_out & (cells["strategy"] != ENABLING)]


def _judge(kept, left, known_ns, of):
    """Return the cells left out that the clock can tell, with their prediction and error."""
    left = left[left[of] >= CLOCK_LIMIT_NS]
    left = left.assign(predicted_ns=predict(fit_costs(kept, known_ns, of), left))
    left["error"] = left["predicted_ns"] / left[of] - 1
    spread = left["lowest_spread" if of == "lowest_ns" else "spread"].fillna(0)
    left["limit"] = np.maximum(MOST_ERROR, SPREADS * spread)
    left["holds"] = left["error"].abs() <= left["limit"]
    return left


def summary(judged):
    """Return how well the cells left out were predicted: a dict of numbers."""
    errors = judged["error"].abs()
    return {
        "median": float(errors.median()),
        "p90": float(errors.quantile(0.9)),
        "within_limit": float(judged["holds"].mean()),
    }
