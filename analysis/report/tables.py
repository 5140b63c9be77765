"""Tables of the report, of numbers: measured passes, and what the model says. Frames out."""

import numpy as np
import pandas as pd

from analysis.measured.harvests import BASELINE, CLOCK_LIMIT_NS, harvests
from analysis.model.break_even import break_even, summary
from analysis.model.curves import PLATFORMS
from analysis.model.draws import drawn
from analysis.model.evaluate import costs
from analysis.model.profile import bundled, load_profile
from analysis.report.platforms import SLOT_BYTES
from strategies.registry import TRACKERS, choices

SCAN, FAULTS = "c_bit_scan", "write_protect"
ENDS = (5, 95)
"""Percentiles over the draws."""

CASE = ["page_bytes", "mapping", "slot_bytes", "density"]


def by_pass(frame):
    """Return the measured harvests of each pass apart, as `harvests` does, with its `pass`."""
    parts = [harvests(rows).assign(**{"pass": name}) for name, rows in frame.groupby("pass")]
    cells = pd.concat(parts, ignore_index=True)
    return cells[cells["strategy"] != BASELINE].reset_index(drop=True)


def over_passes(cells):
    """Return each cell's median over passes, and the least and the greatest of them.

    Returns
    -------
    DataFrame
        `strategy`, CASE, `median_ns`, `least_ns`, `most_ns`, `passes`.
    """
    groups = cells.groupby(["strategy", *CASE], sort=False)["median_ns"]
    table = groups.agg(median_ns="median", least_ns="min", most_ns="max", passes="size")
    return table.reset_index()


def clean_slots(cells):
    """Return what a harvest of a clean slot takes by scan and by bitmap, and their ratio.

    Parameters
    ----------
    cells : DataFrame
        As from `by_pass`.

    Returns
    -------
    DataFrame
        `page_bytes`, `slot_bytes` (linear mapping), and for `scan`, `bitmap` (ns) and `ratio` the
        median over the passes, `_least` and `_most`; times below CLOCK_LIMIT_NS count as that.
    """
    clean = cells[(cells["density"] == 0) & (cells["mapping"] == "linear")]
    wide = clean.pivot(
        index=["page_bytes", "slot_bytes", "pass"], columns="strategy", values="median_ns"
    )
    found = pd.DataFrame({"scan": wide[SCAN], "bitmap": wide[FAULTS].clip(lower=CLOCK_LIMIT_NS)})
    found["ratio"] = found["scan"] / found["bitmap"]
    assert not found.isna().any(axis=None), "a pass lacks a clean slot of another"
    groups = found.groupby(["page_bytes", "slot_bytes"])
    parts = [groups.median(), groups.min().add_suffix("_least"), groups.max().add_suffix("_most")]
    return pd.concat(parts, axis="columns").reset_index()


def scans_are_slowest(cells):
    """Say whether of each clean slot every scan takes longer than every tracker that may be chosen.

    Parameters
    ----------
    cells : DataFrame
        As from `over_passes`.
    """
    clean = cells[(cells["density"] == 0) & cells["strategy"].isin(choices())]
    is_scan = clean["strategy"].map(lambda name: TRACKERS[name].family == "scan")
    slot = ["page_bytes", "mapping", "slot_bytes"]
    quickest = clean[is_scan].groupby(slot)["median_ns"].min()
    return bool((quickest > clean[~is_scan].groupby(slot)["median_ns"].max()).all())


def common_case(clean, page_bytes=None):
    """Return the row of `clean_slots` for the common case: its slot, or the largest below it.

    Parameters
    ----------
    page_bytes : int, optional
        By default the smallest there is.
    """
    rows = clean[clean["page_bytes"] == (page_bytes or clean["page_bytes"].min())]
    return rows[rows["slot_bytes"] <= max(SLOT_BYTES, rows["slot_bytes"].min())].iloc[-1]


def sparse_ratios(cells):
    """Return scan / write_protect of each dirty cell of at most 1%, any mapping and page size.

    Parameters
    ----------
    cells : DataFrame
        As from `over_passes`.
    """
    is_sparse = (cells["density"] > 0) & (cells["density"] <= 0.01)
    wide = cells[is_sparse].pivot(index=CASE, columns="strategy", values="median_ns")
    wide = wide[[SCAN, FAULTS]]
    assert not wide.isna().any(axis=None), "a cell lacks its counterpart"
    return (wide[SCAN] / wide[FAULTS]).rename("ratio").reset_index()


def one_tlbie_each(slot_bytes, platforms=PLATFORMS):
    """Return the break-even with `write_protect`, a tlbie for each page, on POWER and one vCPU.

    Returns
    -------
    DataFrame
        `platform`, the density `p5`, `p50`, `p95`, `share` (of the draws that have a crossing), and
        `flush_wins` (in which one flush a harvest costs less at that `p50`).
    """
    rows = []
    for one in platforms:
        if not one.profile.startswith("power"):
            continue
        scenario, profile = one.at(slot_bytes)
        density, share = summary(break_even(scenario, profile, faults=(FAULTS,)))
        row = {"platform": one.label, "share": share} | density
        at = scenario.at_density(min(density["p50"], 1.0))
        each, once = costs([FAULTS, "write_protect_batched"], at, drawn(profile)).values()
        rows.append(row | {"flush_wins": float((once.cpu_ns < each.cpu_ns).mean())})
    return pd.DataFrame(rows)


def published_widths(cases):
    """Return how wide the model's ranges of published values are, and how many lie near.

    Parameters
    ----------
    cases : list of dict
        As from `analysis.model.published.judged`.

    Returns
    -------
    dict
        `width` (median of high / low), `near` (how many values lie within a factor of two),
        `drawn` (how many lie within 5% to 95% of the draws).
    """
    widths = [one["high"] / one["low"] for one in cases]
    near = sum(0.5 <= one["ratio"] <= 2 for one in cases)
    inside = sum(_is_drawn(one["case"]) for one in cases)
    return {"width": float(np.median(widths)), "near": near, "drawn": inside}


def _is_drawn(case):
    low, high = np.percentile(case.modelled(drawn(load_profile(case.profile))), ENDS)
    return bool(low <= case.cited <= high)


def fault_costs():
    """Return what a first write costs by fault and by the changed bit, on each platform.

    Returns
    -------
    DataFrame
        `profile`, and in ns `fault_low`, `fault_high` (exit and handling), `bit_low`, `bit_high`
        (missing where there is no changed bit): 5% and 95% of the draws.
    """
    rows = []
    for profile in map(load_profile, bundled()):
        draws = drawn(profile)
        low, high = np.percentile(draws["exit"] + draws["fault"], ENDS)
        row = {"profile": profile.name, "fault_low": low, "fault_high": high}
        if SCAN in profile.strategies():
            row["bit_low"], row["bit_high"] = np.percentile(draws["set_changed"], ENDS)
        rows.append(row)
    return pd.DataFrame(rows)
