"""What each strategy costs in a deployment: by the constants' values, and in every draw."""

from dataclasses import dataclass

import numpy as np

from analysis.model.draws import drawn
from analysis.model.evaluate import costs
from analysis.model.scenario import ROWS, rows_of

P99, WORST = ROWS.index("p99"), ROWS.index("worst")


@dataclass(frozen=True)
class Estimate:
    """What one strategy costs; arrays are of shape (draws,), or (1,) by the constants' values.

    Attributes
    ----------
    harvest_ns, last_ns, stall_fraction, cpu_ns : float array
        Mean over the intervals; `last_ns` for the interval with the most pages written.
    enable_ns, disable_ns : float array
    p99_harvest_ns, worst_harvest_ns, p99_stall, worst_stall : float array
        In the interval at that rank by pages written, and in the worst.
    """

    harvest_ns: np.ndarray
    last_ns: np.ndarray
    stall_ns: np.ndarray
    stall_fraction: np.ndarray
    cpu_ns: np.ndarray
    enable_ns: np.ndarray
    disable_ns: np.ndarray
    p99_harvest_ns: np.ndarray
    worst_harvest_ns: np.ndarray
    p99_stall: np.ndarray
    worst_stall: np.ndarray


def _estimate(cost, weights, guest_ns, columns):
    def every(values):
        return np.broadcast_to(values, (len(ROWS), columns))

    def mean(values):
        return (every(values) * weights).sum(axis=0)

    harvest, stall = every(cost.harvest_ns), every(cost.stall_ns)
    return Estimate(
        harvest_ns=mean(harvest),
        last_ns=every(cost.last_ns)[WORST],
        stall_ns=mean(stall),
        stall_fraction=mean(stall) / guest_ns,
        cpu_ns=mean(cost.cpu_ns),
        enable_ns=every(cost.enable_ns)[WORST],
        disable_ns=every(cost.disable_ns)[WORST],
        p99_harvest_ns=harvest[P99],
        worst_harvest_ns=harvest[WORST],
        p99_stall=stall[P99] / guest_ns,
        worst_stall=stall[WORST] / guest_ns,
    )


def estimates(scenario, profile, constants=None):
    """Return the Estimate of each strategy that a profile prices.

    Parameters
    ----------
    scenario : Scenario
    profile : Profile
        As from `Profile.at`.
    constants : dict of str to float or float[n], optional
        By default the values of the profile.

    Returns
    -------
    dict of str to Estimate
    """
    constants = profile.values() if constants is None else constants
    rows, weights = rows_of(scenario)
    columns = max(np.size(value) for value in constants.values())
    columns = max(columns, np.size(rows.slot_pages), np.size(rows.vcpus))
    found = costs(profile.strategies(), rows, constants)
    guest_ns = scenario.vcpus * scenario.interval_ns
    return {name: _estimate(one, weights, guest_ns, columns) for name, one in found.items()}


def in_draws(scenario, profile):
    """Return the Estimates over all draws of a profile's constants."""
    return estimates(scenario, profile, drawn(profile))


def scores(found, wish):
    """Return the scores of strategies by a wish: float[strategies, draws], less is better."""
    return np.array(
        [
            wish.score(
                one.harvest_ns,
                one.stall_ns,
                one.cpu_ns,
                wish.excess(one.worst_harvest_ns, one.worst_stall),
            )
            for one in found.values()
        ]
    )


def shares(table):
    """Return in which share of the columns each row is least; equal ones count for all of them."""
    return (table <= table.min(axis=0) * (1 + 1e-9)).mean(axis=1)
