"""Tables of the report as people read them: numbers become texts of two digits, with units."""

import numpy as np
import pandas as pd

from analysis.measured.harvests import BASELINE, measured
from analysis.model import curves
from analysis.model.published import judged
from analysis.report.markup import heat_map
from analysis.report.platforms import TODAY
from analysis.report.tables import SCAN
from analysis.report.wording import (
    break_even,
    draws,
    factor,
    of_passes,
    share,
    shares,
    time,
    times,
    two_digits,
)
from strategies.registry import TRACKERS, choices
from strategies.units import duration, size_text

HISTORY = {name: f"{name} (history)" for name, one in TRACKERS.items() if one.family == "history"}
USUAL = {"page_bytes": 4096, "mapping": "linear"}


def clean_slots(clean):
    """Return `tables.clean_slots` as a heat map of the ratios."""
    cells = [
        {"slot": size_text(row["slot_bytes"]), "column": f"{name}, {size_text(row['page_bytes'])}"}
        | {"text": text, "times": value}
        for _, row in clean.iterrows()
        for name, text, value in (
            ("scan", of_passes(row, "scan"), np.nan),
            ("bitmap", of_passes(row, "bitmap"), np.nan),
            ("ratio", _ratio_of_passes(row), row["ratio"]),
        )
    ]
    return heat_map(pd.DataFrame(cells), ["slot"], "column", "times")


def _ratio_of_passes(row):
    ends = factor(row["ratio_least"], row["ratio_most"])
    middle = two_digits(row["ratio"])
    return middle if middle == ends else f"{middle} ({ends})"


def scattered(cells):
    """Return how many times as long the scattered mapping makes a clean scan, by slot and page."""
    clean = cells[(cells["density"] == 0) & (cells["strategy"] == SCAN)]
    wide = clean.pivot(index=["slot_bytes", "page_bytes"], columns="mapping", values="median_ns")
    if "scattered" not in wide:
        return None
    both = wide.dropna().reset_index()  # fewer slots were measured with the scattered mapping
    ratio = both["scattered"] / both["linear"]
    found = {
        "slot": both["slot_bytes"].map(size_text),
        "column": both["page_bytes"].map(lambda size: f"{size_text(size)} pages"),
        "text": ratio.map(two_digits),
        "ratio": ratio,
    }
    return heat_map(pd.DataFrame(found), ["slot"], "column", "ratio")


def by_density(frame):
    """Return ratios with p5 and p95 by platform and density: densities across."""
    texts = [factor(row.p5, row.p95) for row in frame.itertuples()]
    labels = [f"{share(density)} written" for density in frame["density"]]
    return heat_map(frame.assign(text=texts, column=labels), ["platform"], "column", "p50")


def vga(frames):
    """Return `tables.vga` as text."""
    rows = list(frames.itertuples())
    return pd.DataFrame(
        {
            "slot": frames["slot_bytes"].map(size_text),
            "walk": frames["walk_ns"].map(time),
            "tlbies a frame": frames["tlbies"].map("{:.3g}".format),
            "both": [times(row.low_ns, row.high_ns) for row in rows],
            "of a frame": [shares(row.low_ns / row.frame_ns, row.high_ns / row.frame_ns)
                           for row in rows],
        }
    )  # fmt: skip


def copies(frame):
    """Return harvests in copies of their bitmap, by tracker and slot."""
    rows = measured(frame, "GetDirtyLog.track_relative_to_copy")
    if rows.empty:
        return None
    rows = rows[rows["strategy"] != BASELINE]
    labels = [
        f"{size_text(row.slot_bytes)}, {share(row.density)} written" for row in rows.itertuples()
    ]
    return _by_tracker(rows.assign(column=labels, text=rows["value"].map(two_digits)))


def toggles(frame):
    """Return how long it takes to start and to end the log, by tracker and slot (4 KiB pages)."""
    parts = []
    for what, benchmark in (("start", "enable"), ("end", "disable")):
        rows = measured(frame, f"LoggingToggle.time_{benchmark}_logging")
        for column, usual in USUAL.items():
            rows = rows[rows[column] == usual]
        labels = [f"{what}, {size_text(size)}" for size in rows["slot_bytes"]]
        parts.append(rows.assign(column=labels))
    both = pd.concat(parts)
    return _by_tracker(both.assign(text=both["value"].map(time)))


def beside_stores(frame):
    """Return harvest and store beside each other, over the passes, where they were measured."""
    parts = []
    for name in ("harvest", "store"):
        rows = measured(frame, f"Contention.track_{name}")
        if rows.empty:
            return None
        labels = [f"{name}, {vcpus:g} vCPU{'s' * (vcpus > 1)}" for vcpus in rows["vcpus"]]
        texts = [of_passes(row, "value") for _, row in rows.iterrows()]
        parts.append(rows.assign(column=labels, text=texts))
    return _by_tracker(pd.concat(parts))


def _by_tracker(rows):
    """Return a HeatMap of `value` with a row for each tracker."""
    rows = rows.assign(tracker=rows["strategy"].replace(HISTORY))
    return heat_map(rows, ["tracker"], "column", "value")


def passes_differ(cells):
    """Return by how much passes of a cell differ: for each tracker the median and the greatest.

    Parameters
    ----------
    cells : DataFrame
        As from `tables.over_passes`.
    """
    several = cells[cells["passes"] > 1]
    spread = several["most_ns"] / several["least_ns"] - 1
    table = spread.groupby(several["strategy"], sort=False).agg(["size", "median", "max"])
    table = table.reset_index().rename(columns={"size": "cells"})
    return table.assign(median=table["median"].map(share), max=table["max"].map(share))


def held_out(judged_cells):
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
                "90% below": share(errors.quantile(0.9)),
                "within its limit": share(group["holds"].mean()),
            }
        )
    return pd.DataFrame(rows)


def fault_costs(costs):
    """Return `tables.fault_costs` as text, and how many faults a second take 1% of a vCPU."""
    rows = list(costs.itertuples())
    per_second = [(1e7 / row.fault_high, 1e7 / row.fault_low) for row in rows]
    return pd.DataFrame(
        {
            "profile": costs["profile"],
            "by fault": [times(row.fault_low, row.fault_high) for row in rows],
            "by the changed bit": [
                "none" if pd.isna(row.bit_low) else times(row.bit_low, row.bit_high) for row in rows
            ],
            "faults a second that take 1%": [factor(low, high) for low, high in per_second],
        }
    )


def priced(costs, of):
    """Return `programs.priced_replays` as a heat map of `stall` or `cpu`: platforms across."""
    texts = [shares(row[f"{of}_low"], row[f"{of}_high"]) for _, row in costs.iterrows()]
    ordered = costs.assign(text=texts).sort_values(["trace", "profile"], kind="stable")
    return heat_map(ordered, ["trace", "strategy"], "profile", of)


def replayed(replays):
    """Return the median harvests of replayed recordings as a heat map: recordings across."""
    asked = replays[replays["strategy"].isin(choices())]
    return heat_map(
        asked.assign(text=asked["harvest_ns_median"].map(duration)),
        ["strategy"],
        "trace",
        "harvest_ns_median",
    )


def least_cpu(least):
    """Return `programs.least_cpu`, a row for each pair: who is least, and of what kernels have."""
    star = least["is_proposal"].map({True: "*", False: ""})
    return pd.DataFrame(
        {
            "recording": least["trace"],
            "platform": least["profile"],
            "least of all": least["strategy"] + star,
            "times the least of 2011": least["ratio"].map(two_digits),
            "least of what a kernel has": least["today"],
            "times the least of 2011 ": least["today_ratio"].map(two_digits),
        }
    )


def intervals(longer):
    """Return `programs.stalls_by_interval` as a heat map: platforms across."""
    texts = [shares(row.stall_low, row.stall_high) for row in longer.itertuples()]
    labels = [duration(1e6 * ms) for ms in longer["interval_ms"]]
    found = longer.assign(text=texts, harvested_every=labels)
    found = found.rename(columns={"harvested_every": "harvested every"})
    return heat_map(found, ["trace", "harvested every"], "platform", "stall_high")


def break_evens(slots):
    """Return break-evens of several slot sizes, for 1 and 64 vCPUs, as a heat map."""
    parts = []
    for slot_bytes in slots:
        rows = curves.break_evens(slot_bytes)
        texts = [break_even(row) if row["share"] else "none" for _, row in rows.iterrows()]
        labels = [f"{size_text(slot_bytes)}, {n} vCPU{'s' * (n > 1)}" for n in rows["vcpus"]]
        parts.append(rows.assign(text=texts, column=labels))
    return heat_map(pd.concat(parts), ["platform"], "column", "p50")


def verdicts(single, many, each, scan_shares):
    """Return the table of the answer: where scan and faults cost the same, and how surely.

    Parameters
    ----------
    single, many : DataFrame
        Break-evens of 1 and 64 vCPUs, by platform.
    each : DataFrame
        `tables.one_tlbie_each`, by platform.
    scan_shares : DataFrame
        As from `curves.scan_shares`, of the densities that the column names.
    """
    densities = " / ".join(two_digits(100 * one) for one in scan_shares["density"].unique())
    cheaper = scan_shares.assign(text=scan_shares["share"].map(draws)).groupby("platform")["text"]
    return pd.DataFrame(
        {
            "platform, base page": single.index,
            "same CPU time at, 1 vCPU": [break_even(row) for _, row in single.iterrows()],
            "64 vCPUs": [break_even(row) for _, row in many.iterrows()],
            "1 vCPU, a tlbie each": [
                break_even(each.loc[one]) if one in each.index else "-" for one in single.index
            ],
            f"scan costs less at {densities}% written": [
                " / ".join(cheaper.get_group(one)) for one in single.index
            ],
            "a kernel there today": [TODAY[one.profile] for one in curves.PLATFORMS],
        }
    )


def drivers(shares_of):
    """Return `curves.verdict_drivers` as text: the three largest of each platform."""
    rows = []
    for platform, group in shares_of.groupby("platform", sort=False):
        first = [f"{row.constant} {draws(row.share)}" for row in group.head(3).itertuples()]
        density = group["density"].iloc[0]
        rows.append({"platform": platform, "at": share(density), "depends on": ", ".join(first)})
    return pd.DataFrame(rows)


def last_rounds(last):
    """Return `curves.last_rounds` as a heat map, a star where no kernel has it."""
    texts = [f"{times(row.p5, row.p95)}{'' if row.offered else ' *'}" for row in last.itertuples()]
    return heat_map(last.assign(text=texts), ["strategy"], "platform", "p50")


def advice(rows):
    """Return `advice.scenarios.advice_table` in few columns, a star where no kernel has it."""
    star = rows["is_proposal"].map({True: " *", False: ""})
    return pd.DataFrame(
        {
            "deployment": rows["deployment"],
            "where": rows["profile"] + ", " + rows["pages"] + " pages",
            "slot": rows["slot"],
            "written": rows["written"] + " every " + rows["every"],
            "vCPUs": rows["vCPUs"],
            "to minimise": rows["least"],
            "least with": rows["strategy"] + star + " (" + rows["best in"] + " of the draws)",
            "next": rows["runner-up"],
            "a kernel there has": rows["a kernel there has"],
        }
    )


def published():
    """Return the published times beside the model, each miss with its reason."""
    rows = []
    for one in judged():
        case = one["case"]
        form, ends = (time, times) if case.kind == "time" else (two_digits, factor)
        rows.append(
            {
                "what": case.text,
                "profile": case.profile,
                "cited": form(case.cited),
                "modelled": ends(one["low"], one["high"]),
                "modelled / cited": two_digits(one["ratio"]),
                "in range": "yes" if one["in_range"] else "no",
                "why not": case.miss,
                "source": case.source,
            }
        )
    return pd.DataFrame(rows)
