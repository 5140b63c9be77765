"""The density at which a scan and the best of the fault strategies cost the same."""

import numpy as np

from analysis.model.draws import drawn
from analysis.model.evaluate import costs
from strategies.registry import TRACKERS

STEPS = 61
"""Densities that are looked at, between one page and all."""

SCAN = "c_bit_scan"


def fault_strategies(profile):
    """Return the priced strategies of the family `fault` that a profile has."""
    return [name for name in profile.strategies() if TRACKERS[name].family == "fault"]


def cpu_times(scenario, profile, constants, faults=None):
    """Return the CPU time of a scan, and that of the best fault strategy, in ns.

    Parameters
    ----------
    scenario, constants
        As for `analysis.model.evaluate.costs`; they broadcast.
    faults : sequence of str, optional
        The fault strategies; by default all that the profile prices.
    """
    found = costs([SCAN, *(faults or fault_strategies(profile))], scenario, constants)
    scan, *faults = np.broadcast_arrays(*(one.cpu_ns for one in found.values()))
    return scan, np.minimum.reduce(faults)


def cpu_gap(scenario, profile, constants, faults=None):
    """Return the logarithm of what a scan costs over what the best fault strategy does (CPU time).

    Parameters
    ----------
    scenario, constants, faults
        As for `cpu_times`.
    """
    tiny = np.finfo(float).tiny
    scan, best = cpu_times(scenario, profile, constants, faults)
    return np.log(np.maximum(scan, tiny)) - np.log(np.maximum(best, tiny))


def crossings(gaps, densities):
    """Return for each column of gaps the density where they fall through 0.

    0 where they are below it at all densities, infinite where they stay above it.

    Parameters
    ----------
    gaps : float[densities, columns]
    densities : float[densities]
        Ascending.
    """
    above = gaps > 0
    falls = above[:-1] & ~above[1:]
    step = falls.argmax(axis=0)
    column = np.arange(gaps.shape[1])
    before, after = gaps[step, column], gaps[step + 1, column]
    logs = np.log(densities)
    crosses = falls.any(axis=0)
    part = np.divide(before, before - after, out=np.zeros_like(before), where=crosses)
    at = np.exp(logs[step] + part * (logs[step + 1] - logs[step]))
    return np.where(crosses, at, np.where(above[-1], np.inf, 0.0))


def break_even(scenario, profile, constants=None, faults=None):
    """Return the density above which a scan takes less CPU time than faults, in each draw.

    Parameters
    ----------
    scenario : Scenario
        Numbers, no arrays; its density is ignored.
    profile : Profile
        As from `Profile.at`.
    constants : dict, optional
        Values of the constants; by default all draws of the profile.
    faults : sequence of str, optional
        The fault strategies; by default all that the profile prices.

    Returns
    -------
    float array
        One value for each draw: 0 where the scan takes less from one page on, infinite where
        faults take less up to all pages. Empty where the profile has no scan or no fault strategy.
    """
    constants = drawn(profile) if constants is None else constants
    if SCAN not in profile.strategies() or not fault_strategies(profile):
        return np.array([])
    densities = np.geomspace(1 / scenario.slot_pages, 1.0, STEPS)
    gaps = cpu_gap(scenario.at_density(densities[:, None]), profile, constants, faults)
    return crossings(np.atleast_2d(gaps), densities)


def summary(values):
    """Return the percentiles of a break-even over all draws, and in how many there is one.

    Returns
    -------
    tuple of (dict or None, float)
        {"p5", "p50", "p95"}, each infinite where faults take less up to all pages, 0 where the
        scan does from one page on, and None where no draw crosses; the share that cross.
    """
    crosses = (values > 0) & np.isfinite(values)
    if not crosses.any():
        return None, 0.0
    ends = np.percentile(values, [5, 50, 95], method="inverted_cdf")
    return dict(zip(("p5", "p50", "p95"), ends.tolist(), strict=True)), float(crosses.mean())
