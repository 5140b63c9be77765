"""What the model says of strategies side by side: curves, winners, break-evens. All is modelled."""

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.advice.advise import tie_margin
from analysis.model.estimate import MODELS, Scenario, available, estimate
from analysis.model.profile import bundled, load_profile
from strategies.workloads.trace import bundled as recordings
from strategies.workloads.trace import load_trace

PAGE_BYTES = 4096
METRICS = ("latency", "stall", "cpu")
STEPS = 120
"""Densities that are looked at, between one page and all, before a break-even is closed in on."""


def profiles():
    """Return every bundled profile by name."""
    return {name: load_profile(name) for name in bundled()}


def _costs(profile, scenario, which="value"):
    """Return {strategy: {metric: ns per interval}}."""
    constants = profile.costs(scenario, which)
    costs = {name: MODELS[name](constants, scenario) for name in available(profile)}
    return {
        name: {"latency": cost.harvest_ns, "stall": cost.stall_ns, "cpu": cost.cpu_ns}
        for name, cost in costs.items()
    }


def stall_curve(profile, scenario, densities):
    """Return the guest stall of each strategy against density.

    Parameters
    ----------
    profile : Profile
    scenario : Scenario
        Slot, interval and vCPUs; its pages written and read are ignored.
    densities : sequence of float

    Returns
    -------
    DataFrame
        `strategy`, `density`, `value`, `low`, `high`: vCPU time lost over vcpus x interval.
    """
    rows = []
    for name in available(profile):
        for density in densities:
            at = replace(scenario, dirty_pages=density * scenario.slot_pages)
            stall = estimate(name, profile, at).stall_fraction
            ends = {"value": stall.value, "low": stall.low, "high": stall.high}
            rows.append({"strategy": name, "density": density, **ends})
    return pd.DataFrame(rows)


def winner_map(profile, slot_bytes, densities, vcpus=1):
    """Return the strategy of least cost for each slot size, density and metric.

    Returns
    -------
    DataFrame
        `slot_bytes`, `density`, `metric`, `winner`, `ties` (the others within the tie margin,
        joined by a comma) and `is_tie`. Pages are of 4 KiB, and none is only read.
    """
    rows = []
    for size in slot_bytes:
        pages = size / PAGE_BYTES
        for density in densities:
            costs = _costs(profile, Scenario(pages, pages * density, 1.0, vcpus))
            for metric in METRICS:
                winner, ties = _least({name: cost[metric] for name, cost in costs.items()})
                key = {"slot_bytes": size, "density": density, "metric": metric}
                rows.append(key | {"winner": winner, "ties": ", ".join(ties), "is_tie": bool(ties)})
    return pd.DataFrame(rows)


def _least(costs):
    """Return the strategy of least cost, and the others that are within the tie margin of it."""
    winner = min(costs, key=costs.get)
    limit = costs[winner] * (1 + tie_margin())
    return winner, [name for name, cost in costs.items() if name != winner and cost <= limit]


def break_evens(profile, slot_pages, metric="cpu", vcpus=1):
    """Return the densities at which two strategies cost the same.

    Parameters
    ----------
    profile : Profile
    slot_pages : float
    metric : {"latency", "stall", "cpu"}
    vcpus : int

    Returns
    -------
    DataFrame
        `sparse` (cheaper below), `dense` (cheaper above), `density`: a row for each crossing
        between one page and all pages; pairs that do not cross have none.
    """

    def gap(first, second, density):
        costs = _costs(profile, Scenario(slot_pages, density * slot_pages, 1.0, vcpus))
        return costs[first][metric] - costs[second][metric]

    names = available(profile)
    densities = np.geomspace(1 / slot_pages, 1.0, STEPS)
    tables = [_costs(profile, Scenario(slot_pages, d * slot_pages, 1.0, vcpus)) for d in densities]
    rows = []
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            gaps = np.array([table[first][metric] - table[second][metric] for table in tables])
            for step in np.flatnonzero(gaps[:-1] * gaps[1:] < 0):
                at = _root(lambda d, a=first, b=second: gap(a, b, d), *densities[step : step + 2])
                order = (first, second) if gaps[step] < 0 else (second, first)
                rows.append({"sparse": order[0], "dense": order[1], "density": at})
    return pd.DataFrame(rows, columns=["sparse", "dense", "density"])


def _root(of, low, high):
    """Return where a function changes its sign between two densities, to a part in 10000."""
    sign = of(low) > 0
    while high / low > 1.0001:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if (of(middle) > 0) == sign else (low, middle)
    return float((low * high) ** 0.5)


def scan_against_faults(profile_by_name, slot_pages, other="write_protect", vcpus=1):
    """Return per profile the density above which the scan takes less CPU time than faults.

    Returns
    -------
    DataFrame
        `profile`, `density` of the break-even; `low_density` and `high_density` of the same with
        the fault at the high and at the low end of its range. Missing where there is none; no
        row for a profile that does not offer both.
    """
    rows = []
    for name, profile in profile_by_name.items():
        if {"c_bit_scan", other} & set(profile.unavailable):
            continue
        fault = profile.constants["fault"]
        found = [
            _crossing(_with_fault(profile, value), slot_pages, other, vcpus)
            for value in (fault.value, fault.high, fault.low)
        ]
        names = ("density", "low_density", "high_density")
        rows.append({"profile": name, **dict(zip(names, found, strict=True))})
    return pd.DataFrame(rows)


def _with_fault(profile, value):
    fault = replace(profile.constants["fault"], value=value)
    return replace(profile, constants=profile.constants | {"fault": fault})


def _crossing(profile, slot_pages, other, vcpus):
    table = break_evens(profile, slot_pages, "cpu", vcpus)
    rows = table[(table["sparse"] == other) & (table["dense"] == "c_bit_scan")]
    return rows["density"].iloc[0] if len(rows) else np.nan


def trace_stalls(profile_by_name, summaries, epoch_ms):
    """Return the guest stall of recorded programs: exact counts of events x unit costs.

    Parameters
    ----------
    profile_by_name : dict of str to Profile
    summaries : DataFrame
        As from `analysis.measured.harvests.read_replays`.
    epoch_ms : dict of str to float
        Time between two harvests of each trace; traces without are left out.

    Returns
    -------
    DataFrame
        `trace`, `profile`, `strategy`, `value`, `low`, `high`: share of one vCPU's time.
    """
    known = summaries[summaries["trace"].isin(epoch_ms) & summaries["strategy"].isin(MODELS)]
    rows = []
    for name, profile in profile_by_name.items():
        for row in known[known["strategy"].isin(available(profile))].to_dict("records"):
            guest_ns = row["epochs"] * epoch_ms[row["trace"]] * 1e6
            stall = {
                which: _lost_ns(row, profile.constants, which) / guest_ns
                for which in ("value", "low", "high")
            }
            key = {"trace": row["trace"], "profile": name, "strategy": row["strategy"]}
            rows.append(key | stall)
    return pd.DataFrame(rows)


def _lost_ns(row, constants, which):
    """Return the vCPU time that tracking took in one replay."""
    if row["strategy"] == "c_bit_scan":
        return row["pages_stored"] * getattr(constants["set_changed"], which)
    return (row["write_faults"] + row["map_faults"]) * getattr(constants["fault"], which)


def recorded_epochs():
    """Return the interval of every bundled recording in ms, by name."""
    return {name: load_trace(name).epoch_ms for name in recordings()}


def latencies(profile, scenario):
    """Return the harvest latency of each strategy in nanoseconds: `strategy`, `value`."""
    costs = _costs(profile, scenario)
    return pd.DataFrame(
        [{"strategy": name, "value": cost["latency"]} for name, cost in costs.items()]
    )
