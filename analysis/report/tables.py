"""Tables of the report: measured passes, priced recordings, what kernels do. Data in, a frame out."""

import numpy as np
import pandas as pd

from analysis.advice.estimates import in_draws
from analysis.measured.harvests import BASELINE, CLOCK_LIMIT_NS, harvests
from analysis.model.pricing import counts_of, price_counts
from analysis.model.profile import bundled, load_profile
from analysis.model.published import judged
from analysis.model.scenario import scenario_of_trace
from analysis.report.wording import share, shares, times, two_digits
from strategies.units import duration, size_text
from strategies.workloads.trace import bundled as recordings
from strategies.workloads.trace import load_trace

SCAN, FAULTS = "c_bit_scan", "write_protect"
TLBIE_NS = (200.0, 10000.0)
"""What a global tlbie may take on POWER: the range of the profiles, an estimate (none published)."""

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
        and `high_ns` (modelled: walk + tlbies at TLBIE_NS), `frame_ns`.
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
    low, high = (rows["walk_ns"] + tlbies * ns for ns in TLBIE_NS)
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


def stalls_by_interval(intervals_ms=(10, 100, 1000)):
    """Return what faults cost the recorded programs at longer intervals, on each platform.

    A page written several times in an interval faults once: distinct pages are counted exactly in
    the recording. The desktop is left out, whose frames are its interval.

    Returns
    -------
    DataFrame
        `trace`, `profile`, `interval_ms`, `pages` (distinct, mean of an interval), `stall_low`,
        `stall_high` (shares of one vCPU's time, 5 % to 95 % of the draws).
    """
    rows = []
    for name in recordings():
        trace = load_trace(name)
        for interval_ms in intervals_ms if name != VGA else ():
            merged = trace.merged(round(interval_ms / trace.epoch_ms))
            for profile in map(load_profile, bundled()):
                scenario = scenario_of_trace(merged)
                stall = in_draws(scenario, profile.at(scenario))[FAULTS].stall_fraction
                low, high = np.percentile(stall, [5, 95])
                rows.append(
                    {
                        "trace": name,
                        "profile": profile.name,
                        "interval_ms": interval_ms,
                        "pages": float(np.diff(merged.offsets).mean()),
                        "stall_low": float(low),
                        "stall_high": float(high),
                    }
                )
    return pd.DataFrame(rows)


TODAY = {
    "power8": "scans C bits, one tlbie each",
    "power9": "scans C bits, one tlbie each",
    "power9-radix": "scans its own page table, one tlbie each",
    "arm64-dbm": "write-protects (DBM scans: RFCs)",
    "arm64": "write-protects (no changed bit to scan)",
    "x86-kvm": "PML, or write-protects (no scan)",
}
"""What a mainline kernel does, in a few words; its sources are in the profiles' settings (cited)."""

HISTORY = (
    ("2011", "POWER, HPT", "scan C bits",
     "the posted patch; kept since (6c576e74fd91, e641a317830b, kvmppc_hv_get_dirty_log_hpt)"),
    ("2014", "s390", "from hardware change bits to write faults",
     "kvm-s390 pull request of 2014-04-22"),
    ("2015", "x86, Intel", "a log written by hardware (PML) beside write faults",
     "the PML series of Kai Huang, Linux 4.0"),
    ("2017", "POWER, radix", "scan dirty bits of its own page table",
     "8f7b79b8379a, Linux 4.11"),
    ("2020 to 2023", "arm64", "write faults; scans of hardware dirty state proposed, not merged",
     "RFC series of Zhu (2020, 2021) and Kolothum (2023)"),
)  # fmt: skip
"""What history chose: when, where, what, source (cited)."""


def history():
    """Return HISTORY as a table."""
    return pd.DataFrame(HISTORY, columns=["year", "where", "what", "source (cited)"])


def published():
    """Return the published times beside the model, each miss with its reason."""
    rows = []
    for one in judged():
        case = one["case"]
        is_time = case.kind == "time"
        rows.append(
            {
                "what": case.text,
                "profile": case.profile,
                "cited": duration(case.cited) if is_time else two_digits(case.cited),
                "modelled": times(one["low"], one["high"]) if is_time
                else f"{two_digits(one['low'])} to {two_digits(one['high'])}",
                "modelled / cited": two_digits(one["ratio"]),
                "in range": "yes" if one["in_range"] else "no",
                "why not": case.miss,
                "source": case.source,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def passes_differ(cells):
    """Return by how much passes differ: for each tracker the median and the greatest spread.

    Parameters
    ----------
    cells : DataFrame
        As from `over_passes`.
    """
    several = cells[cells["passes"] > 1]
    spread = several["most_ns"] / several["least_ns"] - 1
    table = spread.groupby(several["strategy"], sort=False).agg(["size", "median", "max"])
    table = table.reset_index().rename(columns={"size": "cells"})
    return table.assign(median=table["median"].map(share), max=table["max"].map(share))


def held_out_errors(judged_cells):
    """Return how well the fit predicts cells that it did not see, by tracker and page size."""
    rows = []
    groups = judged_cells.groupby(["strategy", "page_bytes"], sort=False)
    for (strategy, page_bytes), group in groups:
        errors = group["error"].abs()
        rows.append(
            {
                "strategy": strategy,
                "pages": size_text(page_bytes),
                "cells": len(group),
                "median error": share(errors.median()),
                "90 % below": share(errors.quantile(0.9)),
                "within its limit": share(group["holds"].mean()),
            }
        )
    return pd.DataFrame(rows)


def priced_text(priced, of):
    """Return priced replays as text: programs by profile, ranges of `stall` or `cpu`."""
    texts = [shares(row[f"{of}_low"], row[f"{of}_high"]) for _, row in priced.iterrows()]
    wide = priced.assign(text=texts).pivot(
        index=["trace", "strategy"], columns="profile", values="text"
    )
    return wide.reset_index()
