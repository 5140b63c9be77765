"""Tables of the report, of numbers: measured passes, replays, recordings. Data in, frames out."""

from functools import cache

import numpy as np
import pandas as pd

from analysis.advice.estimates import in_draws
from analysis.measured.harvests import BASELINE, CLOCK_LIMIT_NS, harvests
from analysis.model.curves import PLATFORMS
from analysis.model.draws import drawn
from analysis.model.pricing import counts_of, price_counts
from analysis.model.profile import bundled, load_profile
from analysis.model.scenario import scenario_of_trace
from strategies.workloads.trace import bundled as recordings
from strategies.workloads.trace import load_trace

SCAN, FAULTS = "c_bit_scan", "write_protect"
ENDS = (5, 95)
"""Percentiles over the draws."""

VGA = "vga_desktop"
VGA_SLOT_BYTES = 16 << 20
NS_PER_MS = 1e6

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


def vga(replays, cells):
    """Return what a scan of a VGA slot takes a frame on POWER: the walk, and the tlbies it needs.

    Parameters
    ----------
    replays, cells : DataFrame
        Summaries of the replays; harvests as from `over_passes`.

    Returns
    -------
    DataFrame
        A row each for the visible frame buffer and for a slot of VGA_SLOT_BYTES: `slot_bytes`,
        `walk_ns` (measured: median frame, clean slot), `tlbies` (exact mean of a frame), `low_ns`
        and `high_ns` (modelled: walk + tlbies at both ends of POWER9's range), `frame_ns`.
    """
    trace = load_trace(VGA)
    seen = replays[replays["trace"] == VGA].set_index("strategy")
    tlbies = seen.loc[SCAN, "tlbies"] / seen.loc[SCAN, "epochs"]
    is_large = (cells["slot_bytes"] == VGA_SLOT_BYTES) & (cells["page_bytes"] == 4096)
    is_clean = (cells["density"] == 0) & (cells["mapping"] == "linear")
    large = cells[is_large & is_clean & (cells["strategy"] == SCAN)]["median_ns"].item()
    rows = pd.DataFrame(
        {
            "slot_bytes": [trace.slot_pages * trace.page_size, VGA_SLOT_BYTES],
            "walk_ns": [seen.loc[SCAN, "harvest_ns_median"], large],
            "tlbies": tlbies,
            "frame_ns": trace.epoch_ms * NS_PER_MS,
        }
    )
    tlbie = load_profile("power9").constants["tlbie"]
    low, high = (rows["walk_ns"] + tlbies * ns for ns in (tlbie.low, tlbie.high))
    return rows.assign(low_ns=low, high_ns=high)


def programs():
    """Return the recordings: `trace`, `density` (mean of an epoch), `epoch_ms`."""
    traces = map(load_trace, recordings())
    rows = [{"trace": t.name, "density": t.density, "epoch_ms": t.epoch_ms} for t in traces]
    return pd.DataFrame(rows)


def priced_replays(replays, strategies=(SCAN, FAULTS, "write_protect_batched")):
    """Return what the replayed recordings cost on each platform: their exact counts, priced.

    Parameters
    ----------
    replays : DataFrame
        Summaries, their events among the columns.

    Returns
    -------
    DataFrame
        `trace`, `profile`, `strategy`, and shares of the recorded time: `stall`, `stall_low`,
        `stall_high`, `cpu`, `cpu_low`, `cpu_high` (4 KiB pages, 1 vCPU).
    """
    rows = []
    for _, replay in replays[replays["strategy"].isin(strategies)].iterrows():
        trace = load_trace(replay["trace"])
        counted = counts_of(replay, replay["pages_reported"], trace)
        whole_ns = trace.epochs * trace.epoch_ms * NS_PER_MS
        for name in bundled():
            cost = price_counts(replay["strategy"], counted, trace, load_profile(name))
            if cost is None:
                continue
            row = {"trace": trace.name, "profile": name, "strategy": replay["strategy"]}
            for of in ("stall", "cpu"):
                value, low, high = (cost[f"{of}_ns"][key] for key in ("value", "low", "high"))
                row[of] = value / whole_ns
                row |= {f"{of}_low": low / whole_ns, f"{of}_high": high / whole_ns}
            rows.append(row)
    return pd.DataFrame(rows)


def stalls_by_interval(intervals_ms=(10, 100, 1000), platforms=PLATFORMS):
    """Return what faults cost the recorded programs at longer intervals, on each platform.

    A page written several times in an interval faults once: distinct pages are counted exactly in
    the recording, its pages merged to those of the platform. The desktop is left out, whose frames
    are its interval.

    Returns
    -------
    DataFrame
        `trace`, `platform`, `interval_ms`, `pages` (distinct, mean of an interval), `stall_low`,
        `stall_high` (shares of one vCPU's time, 5 % to 95 % of the draws).
    """
    rows = []
    for name in recordings():
        for interval_ms in intervals_ms if name != VGA else ():
            for one in platforms:
                trace = _merged(name, one.page_bytes, interval_ms)
                low, high = _stall(trace, load_profile(one.profile))
                row = {"trace": name, "platform": one.label, "interval_ms": interval_ms}
                row |= {"pages": float(np.diff(trace.offsets).mean())}
                rows.append(row | {"stall_low": low, "stall_high": high})
    return pd.DataFrame(rows)


@cache
def _merged(name, page_bytes, interval_ms):
    """Return a recording with larger pages and longer intervals."""
    trace = load_trace(name).coarsen(page_bytes.bit_length() - 1)
    return trace.merged(round(interval_ms / trace.epoch_ms))


def _stall(trace, profile):
    """Return 5 % and 95 % of the draws of the share of time that faults take from the guest."""
    scenario = scenario_of_trace(trace)
    stall = in_draws(scenario, profile.at(scenario))[FAULTS].stall_fraction
    return tuple(map(float, np.percentile(stall, ENDS)))


def sparse_ratios(cells):
    """Return scan / write_protect of each dirty cell of at most 1 %, any mapping and page size.

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


def vga_busiest():
    """Return the share of clean frames of the desktop, and pages of its busiest (exact)."""
    pages = np.sort(np.diff(load_trace(VGA).offsets))
    rank = -(-99 * len(pages) // 100) - 1
    return {"clean": float((pages == 0).mean()), "p99": int(pages[rank]), "most": int(pages[-1])}


def tlbie_range(count):
    """Return what so many tlbies take on POWER9, at both ends of the range of one."""
    tlbie = load_profile("power9").constants["tlbie"]
    return count * tlbie.low, count * tlbie.high


def fault_costs():
    """Return what a first write costs by fault and by the changed bit, on each platform.

    Returns
    -------
    DataFrame
        `profile`, and in ns `fault_low`, `fault_high` (exit and handling), `bit_low`, `bit_high`
        (missing where there is no changed bit): 5 % and 95 % of the draws.
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


def cheaper_replays(priced):
    """Return of how many recordings and platforms the scan takes less CPU time than faults.

    Parameters
    ----------
    priced : DataFrame
        As from `priced_replays`.

    Returns
    -------
    dict
        `all` pairs of a recording and a platform with a scan, and in how many the `scan` is
        cheaper than the cheapest fault strategy, by the values.
    """
    wide = priced.pivot(index=["trace", "profile"], columns="strategy", values="cpu")
    both = wide[wide[SCAN].notna()]
    return {"all": len(both), "scan": int((both[SCAN] < both.drop(columns=SCAN).min(axis=1)).sum())}


def stall_falls(longer):
    """Return by what factor a stall falls from the shortest interval to the longest."""
    wide = longer.pivot(index=["trace", "platform"], columns="interval_ms", values="stall_high")
    return wide[wide.columns.min()] / wide[wide.columns.max()]
