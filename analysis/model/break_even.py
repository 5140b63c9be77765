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


def cpu_times(scenario, profile, constants):
    """Return the CPU time of a scan, and that of the best fault strategy, in ns.

    Parameters
    ----------
    scenario, constants
        As for `analysis.model.evaluate.costs`; they broadcast.
    """
    found = costs([SCAN, *fault_strategies(profile)], scenario, constants)
    scan, *faults = np.broadcast_arrays(*(one.cpu_ns for one in found.values()))
    return scan, np.minimum.reduce(faults)


def cpu_gap(scenario, profile, constants):
    """Return the logarithm of what a scan costs over what the best fault strategy does (CPU time).

    Parameters
    ----------
    scenario, constants
        As for `cpu_times`.
    """
    tiny = np.finfo(float).tiny
    scan, faults = cpu_times(scenario, profile, constants)
    return np.log(np.maximum(scan, tiny)) - np.log(np.maximum(faults, tiny))


def crossings(gaps, densities):
    """Return for each column of gaps the density where they fall through 0; NaN where nowhere.

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
    return np.where(crosses, at, np.nan)


def break_even(scenario, profile, constants=None):
    """Return the density above which a scan takes less CPU time than faults, in each draw.

    Parameters
    ----------
    scenario : Scenario
        Numbers, no arrays; its density is ignored.
    profile : Profile
        As from `Profile.at`.
    constants : dict, optional
        Values of the constants; by default all draws of the profile.

    Returns
    -------
    float array
        NaN where there is no crossing between one page and all pages, or where the profile has no
        scan or no fault strategy; one value for each draw.
    """
    constants = drawn(profile) if constants is None else constants
    if SCAN not in profile.strategies() or not fault_strategies(profile):
        return np.array([np.nan])
    densities = np.geomspace(1 / scenario.slot_pages, 1.0, STEPS)
    gaps = cpu_gap(scenario.at_density(densities[:, None]), profile, constants)
    return crossings(np.atleast_2d(gaps), densities)


def summary(values):
    """Return the percentiles of a break-even over the draws, and in how many there is one.

    Returns
    -------
    tuple of (dict or None, float)
        {"p5", "p50", "p95"} over the draws that cross, None where none does; the share that cross.
    """
    found = values[~np.isnan(values)]
    share = found.size / values.size
    if not found.size:
        return None, 0.0
    p5, p50, p95 = np.percentile(found, [5, 50, 95])
    return {"p5": float(p5), "p50": float(p50), "p95": float(p95)}, share
