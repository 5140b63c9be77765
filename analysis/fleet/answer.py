"""The answer from a dataset: a strategy for each VM, and what one choice for all would cost.

All costs are modelled: exact counts, priced by a profile. They are told per second of the
recording, so CPU time is a number of cores and stall the share of a vCPU's time that it loses.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.fleet.dataset import read
from strategies.errors import InputError
from strategies.registry import TRACKERS, base_of

AIMS = ("cpu", "stall", "harvest")
SETTING = ("page_size", "mapping", "vcpus", "interval_ms", "seed")
SURE, CLEAR = 0.9, 1.1
"""Below that share of the draws, or below that ratio to the runner-up, a VM is near a flip."""

BEST, BEST_TODAY = "the best for each", "the best for each that a kernel has"
"""Rows of choices that are no single one."""

FENCE = 1.5
"""Tukey's: an outlier lies so many quartile ranges beyond the quartiles of the logarithm."""


@dataclass(frozen=True)
class Fleet:
    """Costs of all cases of a dataset, an element or a row for each.

    Attributes
    ----------
    cases : DataFrame
        `trace` and the columns of SETTING.
    strategies : tuple of str
        Those that the profile prices, in the order of the registry, then by parameter.
    costs : dict of str to float[cases, strategies]
        Of each of AIMS, per second; inf where a strategy was not counted.
    shares : float[cases, strategies]
        Share of the draws in which a strategy costs least of `aim`.
    offered : bool[strategies]
        Whether a kernel of the platform has a strategy; the others are proposals.
    aim : str
        One of AIMS: what is to be least.
    failed : int
        Rows without counts, or with lost pages; left out.
    """

    cases: pd.DataFrame
    strategies: tuple[str, ...]
    costs: dict[str, np.ndarray]
    shares: np.ndarray
    offered: np.ndarray
    aim: str
    failed: int

    @property
    def best(self):
        """Return the place of the best strategy of each case."""
        return self.costs[self.aim].argmin(axis=1)

    @property
    def best_today(self):
        """Return the same of the strategies that kernels have."""
        return np.where(self.offered, self.costs[self.aim], np.inf).argmin(axis=1)

    def only(self, chosen):
        """Return the fleet of some cases (bool[cases])."""
        costs = {name: values[chosen] for name, values in self.costs.items()}
        cases = self.cases[chosen].reset_index(drop=True)
        return replace(self, cases=cases, costs=costs, shares=self.shares[chosen])

    def base(self):
        """Return the fleet in its base setting: of each axis the least value, of each VM."""
        return self.only(_is_base(self.cases, SETTING))


def load_fleet(place, profile, aim="cpu"):
    """Return the fleet of a dataset, priced by one of its profiles.

    Raises
    ------
    InputError
        No dataset, no such profile in it, or nothing that it prices.
    """
    counted = ("epochs", "epoch_ms", "lost")
    prices = [f"{profile}/{name}_ns" for name in AIMS]
    prices += [f"{profile}/{aim}_share", f"{profile}/offered"]
    try:
        rows = read(place, ["trace", *SETTING, "strategy", *counted, *prices], in_order=False)
    except KeyError as error:
        raise InputError(
            f"the dataset {place!r} has no prices of {profile!r}; accepted: one that this "
            "version's `dirtylog sweep` priced with it"
        ) from error
    good = rows["epochs"].notna() & ~(rows["lost"] > 0)
    priced = rows[good & rows[prices[0]].notna()]
    if priced.empty:
        raise InputError(f"the dataset {place!r} has no rows that {profile!r} prices")
    return _arranged(priced, profile, aim, int((~good).sum()))


def _arranged(rows, profile, aim, failed):
    """Return a fleet from rows: cases down, strategies across."""
    keys = ["trace", *SETTING]
    case = rows.groupby(keys, sort=True, observed=True).ngroup().to_numpy()
    order = list(TRACKERS)
    present = rows["strategy"].unique()
    strategies = tuple(sorted(present, key=lambda name: (order.index(base_of(name)), name)))
    column = rows["strategy"].map({name: at for at, name in enumerate(strategies)}).to_numpy(int)
    first = np.unique(case, return_index=True)[1]
    seconds = (rows["epochs"] * rows["epoch_ms"] * 1e6).to_numpy(float)

    def spread(values, fill):
        table = np.full((len(first), len(strategies)), fill)
        table[case, column] = values
        return table

    costs = {
        name: spread(rows[f"{profile}/{name}_ns"].to_numpy(float) / seconds, np.inf)
        for name in AIMS
    }
    costs["stall"] /= rows["vcpus"].to_numpy(float)[first][:, None]
    shares = spread(rows[f"{profile}/{aim}_share"].to_numpy(float), 0.0)
    offered = np.zeros(len(strategies), bool)
    offered[column] = rows[f"{profile}/offered"].to_numpy(bool)
    cases = rows[keys].iloc[first].reset_index(drop=True)
    return Fleet(cases, strategies, costs, shares, offered, aim, failed)


def _is_base(cases, axes):
    """Return bool[cases]: whether a case has the least value of each axis that its VM has."""
    chosen = np.ones(len(cases), bool)
    for axis in axes:
        least = cases[axis].where(chosen).groupby(cases["trace"], observed=True).transform("min")
        chosen &= (cases[axis] == least).to_numpy()
    return chosen


def of_each(fleet):
    """Return a frame with a row for each case: the strategy, the runner-up, how clear, how sure.

    `today` is the best that a kernel has (None: there is none), `today_ratio` its cost over the
    least.
    """
    costs, rows = fleet.costs[fleet.aim], np.arange(len(fleet.cases))
    best = fleet.best
    others = costs.copy()
    others[rows, best] = np.inf
    runner_up = others.argmin(axis=1)
    least, next_least = costs[rows, best], others[rows, runner_up]
    margin = _ratios(next_least, least)
    names = np.array(fleet.strategies, object)
    sure = fleet.shares[rows, best]
    alone = np.isinf(next_least)
    today = fleet.best_today
    of_today = np.where(fleet.offered[today], costs[rows, today], np.inf)
    return fleet.cases.assign(
        strategy=names[best],
        runner_up=np.where(alone, None, names[runner_up]),
        margin=margin,
        today=np.where(np.isinf(of_today), None, names[today]),
        today_ratio=_ratios(of_today, least),
        sure=sure,
        **{name: fleet.costs[name][rows, best] for name in AIMS},
        near_flip=~alone & ((sure < SURE) | (margin < CLEAR)),
        outlier=_is_outlier(least),
    )


def _is_outlier(values):
    logs = np.log(np.maximum(values, 1e-12))
    low, high = np.percentile(logs, [25, 75])
    reach = FENCE * (high - low)
    return (logs < low - reach) | (logs > high + reach)


def of_one_choice(fleet):
    """Return a frame: what each strategy for all VMs costs, beside the best for each.

    Columns: `is_proposal`, whether no kernel of the platform has it; `right_for`, VMs whose best it
    is; of each of `cpu` and `stall` the sum over all VMs (`cpu`: cores) or their mean (`stall`);
    `regret`, what it costs more of the aim than the best for each, as a ratio; `worst`, that ratio
    for the VM where it is largest. A strategy that some VM lacks is left out. The last rows are
    the best for each, and before it the best of what kernels have, where that differs.
    """
    rows = np.arange(len(fleet.cases))
    chosen = {name: np.full(len(rows), at) for at, name in enumerate(fleet.strategies)}
    today = fleet.best_today
    if fleet.offered[today].all() and (today != fleet.best).any():
        chosen[BEST_TODAY] = today
    chosen[BEST] = fleet.best
    found = [_choice(fleet, name, rows, at) for name, at in chosen.items()]
    return pd.DataFrame([row for row in found if np.isfinite(row["cpu"])])


def _choice(fleet, name, rows, at):
    """Return what it costs to give each VM (`rows`) the strategy `at`."""
    least, mine = (fleet.costs[fleet.aim][rows, places] for places in (fleet.best, at))
    return {
        "strategy": name,
        "is_proposal": not fleet.offered[at].all(),
        "right_for": int((fleet.best == at).sum()),
        "cpu": fleet.costs["cpu"][rows, at].sum(),
        "stall": fleet.costs["stall"][rows, at].mean(),
        "regret": float(_ratios(mine.sum(), least.sum())),
        "worst": _ratios(mine, least).max(),
    }


def _ratios(costs, least):
    """Return costs over the least: 1 where they are it, inf where that is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(costs == least, 1.0, costs / least)


def by_axis(fleet, axis):
    """Return `of_one_choice` for each value of an axis that at least half of the VMs have.

    Of the VMs that have all these values; the other axes have their base values.
    """
    others = [name for name in SETTING if name != axis]
    part = fleet.only(_is_base(fleet.cases, others))
    vms = part.cases.groupby(axis)["trace"].nunique()
    values = vms.index[vms >= part.cases["trace"].nunique() / 2].to_numpy()
    part = part.only(part.cases[axis].isin(values).to_numpy())
    has = part.cases.groupby("trace", observed=True)[axis].transform("nunique").to_numpy()
    complete = part.only(has == len(values))
    if len(values) < 2 or not len(complete.cases):
        return pd.DataFrame()
    return pd.concat(
        [
            of_one_choice(complete.only((complete.cases[axis] == value).to_numpy())).assign(
                **{axis: value}
            )
            for value in values
        ],
        ignore_index=True,
    )
