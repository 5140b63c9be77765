"""Tables of the recorded programs: how they write, and what tracking them costs."""

from functools import cache

import numpy as np
import pandas as pd

from analysis.advice.estimates import in_draws
from analysis.model.break_even import fault_strategies
from analysis.model.curves import PLATFORMS
from analysis.model.pricing import counts_of, price_counts, prices_plain
from analysis.model.profile import bundled, load_profile
from analysis.model.scenario import scenario_of_trace
from analysis.report.tables import ENDS, FAULTS, SCAN
from strategies.workloads.trace import bundled as recordings
from strategies.workloads.trace import load_trace

VGA = "vga_desktop"
THREAD = (SCAN, FAULTS, "double_buffer")
"""Trackers of the thread of 2011 that one may choose."""
VGA_SLOT_BYTES = 16 << 20
NS_PER_MS = 1e6


def vga(replays, cells):
    """Return what a scan of a VGA slot takes a frame on POWER: the walk, and the tlbies it needs.

    Parameters
    ----------
    replays, cells : DataFrame
        Summaries of the replays; harvests as from `tables.over_passes`.

    Returns
    -------
    DataFrame
        A row each for the visible frame buffer and for a slot of VGA_SLOT_BYTES: `slot_bytes`,
        `walk_ns` (measured: median frame, clean slot), `tlbies` (exact mean of a frame), `low_ns`
        and `high_ns` (modelled: walk + tlbies at both ends of POWER9's ranges of both),
        `frame_ns`.
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
    constants = load_profile("power9").constants
    walk, tlbie = constants["page_scan"], constants["tlbie"]
    low = rows["walk_ns"] * walk.low + tlbies * tlbie.low
    high = rows["walk_ns"] * walk.high + tlbies * tlbie.high
    return rows.assign(low_ns=low, high_ns=high)


def vga_busiest():
    """Return the share of clean frames of the desktop, and pages of its busiest (exact)."""
    pages = np.sort(np.diff(load_trace(VGA).offsets))
    rank = -(-99 * len(pages) // 100) - 1
    return {"clean": float((pages == 0).mean()), "p99": int(pages[rank]), "most": int(pages[-1])}


def tlbie_range(count):
    """Return what so many tlbies take on POWER9, at both ends of the range of one."""
    tlbie = load_profile("power9").constants["tlbie"]
    return count * tlbie.low, count * tlbie.high


def programs(platforms=PLATFORMS):
    """Return how densely the recordings write on each platform, in pages of its size (exact).

    Returns
    -------
    DataFrame
        `platform`, `trace`, `density` (mean of an epoch).
    """
    rows = [
        {"platform": one.label, "trace": name, "density": _coarse(name, one.page_bytes).density}
        for one in platforms
        for name in recordings()
    ]
    return pd.DataFrame(rows)


@cache
def _coarse(name, page_bytes):
    """Return a recording with larger pages."""
    return load_trace(name).coarsen(page_bytes.bit_length() - 1)


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
            if not prices_plain(load_profile(name), replay["strategy"]):
                continue
            cost = price_counts(replay["strategy"], counted, trace, load_profile(name))
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
        `stall_high` (shares of one vCPU's time, 5% to 95% of the draws), `scan_share` (of the draws
        in which the scan takes less CPU time than the cheapest way of taking faults into a
        bitmap).
    """
    rows = []
    for name in recordings():
        for interval_ms in intervals_ms if name != VGA else ():
            for one in platforms:
                trace = _merged(name, one.page_bytes, interval_ms)
                row = {"trace": name, "platform": one.label, "interval_ms": interval_ms}
                row |= {"pages": float(np.diff(trace.offsets).mean())}
                rows.append(row | _faults_cost(trace, load_profile(one.profile)))
    return pd.DataFrame(rows)


@cache
def _merged(name, page_bytes, interval_ms):
    """Return a recording with larger pages and longer intervals."""
    trace = _coarse(name, page_bytes)
    return trace.merged(round(interval_ms / trace.epoch_ms))


def _faults_cost(trace, profile):
    """Return the share of time that faults take from the guest, and how often a scan is cheaper."""
    scenario = scenario_of_trace(trace)
    found = in_draws(scenario, profile.at(scenario))
    low, high = map(float, np.percentile(found[FAULTS].stall_fraction, ENDS))
    cheapest = np.minimum.reduce([found[name].cpu_ns for name in fault_strategies(profile)])
    cheaper = float((found[SCAN].cpu_ns < cheapest).mean())
    return {"stall_low": low, "stall_high": high, "scan_share": cheaper}


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


def least_cpu(priced):
    """Return who takes the least CPU time of each recording on each platform, by the values.

    Parameters
    ----------
    priced : DataFrame
        As from `priced_replays`, of all trackers that one may choose.

    Returns
    -------
    DataFrame
        `trace`, `profile`, `strategy`, `ratio` (of its time to the least of THREAD's),
        `is_proposal`, and the same of what kernels have: `today`, `today_ratio` (or NaN).
    """
    rows = []
    for (trace, name), each in priced.groupby(["trace", "profile"]):
        profile, cpu = load_profile(name), each.set_index("strategy")["cpu"]
        of_2011 = cpu[[one for one in THREAD if one in cpu]].min()
        today = cpu[[one for one in cpu.index if profile.is_offered(one)]]
        best = cpu.idxmin()
        row = {"trace": trace, "profile": name, "strategy": best, "ratio": cpu[best] / of_2011}
        row |= {"is_proposal": best not in today, "today": today.idxmin()}
        rows.append(row | {"today_ratio": today.min() / of_2011})
    return pd.DataFrame(rows)


def stall_falls(longer):
    """Return by what factor a stall falls from the shortest interval to the longest."""
    wide = longer.pivot(index=["trace", "platform"], columns="interval_ms", values="stall_high")
    return wide[wide.columns.min()] / wide[wide.columns.max()]
