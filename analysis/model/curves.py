"""What the model says over densities, platforms and unit costs: pure tables.

All ranges are over the draws of all constants at once: p5, p50 and p95. The scan is compared with
the cheapest fault strategy of each draw, whether or not a kernel of the platform has it (`offered`
says which have).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.model.break_even import (
    SCAN,
    break_even,
    cpu_gap,
    cpu_times,
    fault_strategies,
    summary,
)
from analysis.model.draws import drawn, drivers
from analysis.model.evaluate import costs
from analysis.model.profile import load_profile
from analysis.model.scenario import Scenario

PERCENTILES = {"p5": 5, "p50": 50, "p95": 95}
INTERVAL_NS = 1e9
"""Of a scenario whose interval does not matter: CPU time per interval is counted, not its share."""

SIDES = ("scan", "faults")


class Platform(NamedTuple):
    """A profile with one of its base pages, and what to call the two."""

    label: str
    profile: str
    page_bytes: int

    def scenario(self, slot_bytes, vcpus=1):
        """Return a slot of this platform in which nothing is written."""
        pages = slot_bytes // self.page_bytes
        return Scenario(pages, 0.0, INTERVAL_NS, vcpus, page_bytes=self.page_bytes)

    def at(self, slot_bytes, vcpus=1):
        """Return the scenario of a slot, and the profile with its costs there."""
        scenario = self.scenario(slot_bytes, vcpus)
        return scenario, load_profile(self.profile).at(scenario)


PLATFORMS = (
    Platform("POWER9 HPT, 64 KiB", "power9", 65536),
    Platform("POWER9 HPT, 4 KiB", "power9", 4096),
    Platform("POWER8 HPT, 64 KiB", "power8", 65536),
    Platform("POWER8 HPT, 4 KiB", "power8", 4096),
    Platform("POWER9 radix, 64 KiB", "power9-radix", 65536),
    Platform("POWER9 radix, 4 KiB", "power9-radix", 4096),
    Platform("arm64 with DBM, 4 KiB", "arm64-dbm", 4096),
    Platform("x86, 4 KiB", "x86-kvm", 4096),
)
"""Where there is a changed bit to scan: POWER with both base pages, the usual one first, and the
others with their usual one."""


def _percentiles(values):
    """Return the PERCENTILES over the last axis, by name."""
    return dict(zip(PERCENTILES, np.percentile(values, [*PERCENTILES.values()], -1), strict=True))


def cpu_curves(slot_bytes, densities, platforms=PLATFORMS):
    """Return the CPU time per interval of scan and of faults against density, one vCPU.

    Returns
    -------
    DataFrame
        `platform`, `side` (SIDES), `offered` (a kernel of the platform has it), `density`, and
        nanoseconds `p5`, `p50`, `p95`.
    """
    parts = []
    for one in platforms:
        scenario, profile = one.at(slot_bytes)
        column = np.asarray(densities)[:, None]
        both = cpu_times(scenario.at_density(column), profile, drawn(profile))
        for side, strategies, ns in zip(SIDES, _strategies(profile), both, strict=True):
            rows = pd.DataFrame({"density": densities, **_percentiles(ns)})
            offered = any(map(profile.is_offered, strategies))
            parts.append(rows.assign(platform=one.label, side=side, offered=offered))
    return pd.concat(parts, ignore_index=True)


def _strategies(profile):
    """Return the strategies of each of SIDES."""
    return [SCAN], fault_strategies(profile)


def break_evens(slot_bytes, vcpus=(1, 64), platforms=PLATFORMS):
    """Return above which density a scan costs less CPU time than faults.

    Returns
    -------
    DataFrame
        `platform`, `vcpus`, the density `p5`, `p50`, `p95` over all draws (infinite: faults cost
        less up to all pages), and shares of the draws: `share` (that have a crossing),
        `always_scan` and `always_faults` (those in which the one or the other is cheaper from one
        page written to all).
    """
    rows = []
    for one in platforms:
        for number in vcpus:
            scenario, profile = one.at(slot_bytes, number)
            found = break_even(scenario, profile)
            density, share = summary(found)
            faults = float(np.isinf(found).mean())
            rows.append(
                {"platform": one.label, "vcpus": number}
                | (density or dict.fromkeys(PERCENTILES, np.nan))
                | {"share": share, "always_scan": 1 - share - faults, "always_faults": faults}
            )
    return pd.DataFrame(rows)


def scan_shares(slot_bytes, densities, vcpus=1, platforms=PLATFORMS):
    """Return in which share of the draws a scan costs less CPU time: a row for each density."""
    rows = []
    for one in platforms:
        scenario, profile = one.at(slot_bytes, vcpus)
        column = np.asarray(densities)[:, None]
        cheaper = cpu_gap(scenario.at_density(column), profile, drawn(profile)) < 0
        rows += [
            {"platform": one.label, "vcpus": vcpus, "density": density, "share": float(row.mean())}
            for density, row in zip(densities, cheaper, strict=True)
        ]
    return pd.DataFrame(rows)


def fault_map(slot_bytes, densities, fault_ns, platforms=PLATFORMS):
    """Return how often a scan costs less, over density and what a first-write fault costs in all.

    The fault's cost stands for leaving the guest and for the host's handling; every other constant
    is drawn.

    Returns
    -------
    DataFrame
        `platform`, `density`, `fault_ns`, `share` (of the draws in which the scan costs less), and
        `likely_low`, `likely_high`: 5 % and 95 % of what the profile takes a fault to cost.
    """
    parts = []
    for one in platforms:
        scenario, profile = one.at(slot_bytes)
        draws = drawn(profile)
        low, high = np.percentile(draws["exit"] + draws["fault"], [5, 95])
        dense = scenario.at_density(np.asarray(densities)[:, None])
        for ns in fault_ns:
            constants = draws | {"exit": 0.0, "fault": float(ns)}
            share = (cpu_gap(dense, profile, constants) < 0).mean(axis=1)
            rows = pd.DataFrame({"density": densities, "share": share, "fault_ns": float(ns)})
            rows = rows.assign(platform=one.label, likely_low=low, likely_high=high)
            parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def harvest_ratios(slot_bytes, densities, platforms=PLATFORMS):
    """Return how many times as long a harvest takes by scan as by the quickest fault strategy.

    Returns
    -------
    DataFrame
        `platform`, `density`, and the ratio's `p5`, `p50`, `p95`.
    """
    parts = []
    for one in platforms:
        scenario, profile = one.at(slot_bytes)
        dense = scenario.at_density(np.asarray(densities)[:, None])
        found = costs([SCAN, *fault_strategies(profile)], dense, drawn(profile))
        scan, *faults = np.broadcast_arrays(*(cost.harvest_ns for cost in found.values()))
        ratio = scan / np.minimum.reduce(faults)
        rows = pd.DataFrame({"density": densities, **_percentiles(ratio)})
        parts.append(rows.assign(platform=one.label))
    return pd.concat(parts, ignore_index=True)


def last_rounds(slot_bytes, density, platforms=PLATFORMS):
    """Return how long the last harvest takes, all vCPUs stopped, of each strategy.

    Returns
    -------
    DataFrame
        `platform`, `strategy`, `offered`, nanoseconds `p5`, `p50`, `p95`.
    """
    rows = []
    for one in platforms:
        scenario, profile = one.at(slot_bytes)
        constants = drawn(profile)
        found = costs(profile.strategies(), scenario.at_density(density), constants)
        for strategy, cost in found.items():
            place = {"platform": one.label, "strategy": strategy}
            place["offered"] = profile.is_offered(strategy)
            rows.append(place | _percentiles(cost.last_ns))
    return pd.DataFrame(rows)


def scattered_writes(slot_bytes, pages, platforms=PLATFORMS):
    """Return what so many scattered first writes cost by scan and by faults (CPU time).

    Returns
    -------
    DataFrame
        `platform`, `scan_p5` ... `faults_p95` in ns, `share` (of the draws in which the scan costs
        less).
    """
    rows = []
    for one in platforms:
        scenario, profile = one.at(slot_bytes)
        scenario = replace(scenario, dirty_pages=float(pages))
        scan, faults = cpu_times(scenario, profile, drawn(profile))
        row = {"platform": one.label, "share": float((scan < faults).mean())}
        for side, ns in zip(SIDES, (scan, faults), strict=True):
            row |= {f"{side}_{key}": float(value) for key, value in _percentiles(ns).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def reported_share(density, entry_pages):
    """Return which share of memory is reported if one changed bit speaks for so many pages.

    Exact in expectation for pages written at random: 1 - (1 - density) ** entry_pages.
    """
    return 1 - (1 - density) ** entry_pages


def verdict_drivers(slot_bytes, platforms=PLATFORMS):
    """Return what the verdict between scan and faults hangs on, at the median break-even.

    Returns
    -------
    DataFrame
        `platform`, `density`, `constant`, `share` (of rank variance), the largest first.
    """
    rows = []
    for one in platforms:
        scenario, profile = one.at(slot_bytes)
        density = min(summary(break_even(scenario, profile))[0]["p50"], 1.0)
        gap = cpu_gap(scenario.at_density(density), profile, drawn(profile))
        rows += [
            {"platform": one.label, "density": density, "constant": name, "share": share}
            for name, share in drivers(gap, profile).items()
        ]
    return pd.DataFrame(rows)
