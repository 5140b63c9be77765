"""Tables of the report as people read them: numbers become texts of two digits, with units."""

import pandas as pd

from analysis.measured.harvests import BASELINE, measured
from analysis.model import curves
from analysis.model.published import judged
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
from strategies.registry import TRACKERS
from strategies.units import duration, size_text

HISTORY = {name: f"{name} (history)" for name, one in TRACKERS.items() if one.family == "history"}
USUAL = {"page_bytes": 4096, "mapping": "linear"}


def clean_slots(clean):
    """Return `tables.clean_slots` as text."""
    rows = [row for _, row in clean.iterrows()]
    return pd.DataFrame(
        {
            "pages": clean["page_bytes"].map(size_text),
            "slot": clean["slot_bytes"].map(size_text),
            "scan": [of_passes(row, "scan") for row in rows],
            "bitmap": [of_passes(row, "bitmap") for row in rows],
            "ratio": [two_digits(row["ratio"]) for row in rows],
            "of all passes": [factor(row["ratio_least"], row["ratio_most"]) for row in rows],
        }
    )


def scattered(cells):
    """Return by page and slot size how much slower the scattered mapping makes a clean scan."""
    clean = cells[(cells["density"] == 0) & (cells["strategy"] == SCAN)]
    wide = clean.pivot(index=["page_bytes", "slot_bytes"], columns="mapping", values="median_ns")
    if "scattered" not in wide:
        return pd.DataFrame()
    both = wide.dropna().reset_index()  # fewer slots were measured with the scattered mapping
    return pd.DataFrame(
        {
            "pages": both["page_bytes"].map(size_text),
            "slot": both["slot_bytes"].map(size_text),
            "times": (both["scattered"] / both["linear"]).map(two_digits),
        }
    )


def by_density(frame):
    """Return ratios with p5 and p95 by platform and density: densities across."""
    texts = [factor(row.p5, row.p95) for row in frame.itertuples()]
    labels = [f"{share(density)} written" for density in frame["density"]]
    wide = frame.assign(text=texts, label=labels)
    wide = wide.pivot(index="platform", columns="label", values="text")
    return wide.reindex(frame["platform"].unique())[list(dict.fromkeys(labels))].reset_index()


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
    """Return harvests in copies of their bitmap: a column for each tracker."""
    rows = measured(frame, "GetDirtyLog.track_relative_to_copy")
    if rows.empty:
        return rows
    wide = rows.pivot(index=["slot_bytes", "density"], columns="strategy", values="value")
    wide = wide.drop(columns=BASELINE).map(two_digits).reset_index()
    wide = wide.assign(
        slot_bytes=wide["slot_bytes"].map(size_text), density=wide["density"].map(share)
    )
    return wide.rename(columns={"slot_bytes": "slot", "density": "written"} | HISTORY)


def toggles(frame):
    """Return how long it takes to start and to end the log, by slot and tracker (4 KiB pages)."""
    found = {}
    for what in ("enable", "disable"):
        rows = measured(frame, f"LoggingToggle.time_{what}_logging")
        for column, usual in USUAL.items():
            rows = rows[rows[column] == usual]
        found[what] = rows.set_index(["slot_bytes", "strategy"])["value"].map(time)
    wide = pd.concat(found, axis=1).reset_index().replace({"strategy": HISTORY})
    wide = wide.assign(slot_bytes=wide["slot_bytes"].map(size_text))
    return wide.rename(columns={"slot_bytes": "slot"})


def beside_stores(frame):
    """Return median harvest and store beside each other, where they were measured."""
    found = {}
    for name, title in (("track_harvest", "harvest"), ("track_store", "store")):
        rows = measured(frame, f"Contention.{name}")
        if len(rows):
            found[title] = rows.set_index(["vcpus", "strategy"])["value"].map(time)
    if not found:
        return pd.DataFrame()
    return pd.concat(found, axis=1).reset_index().replace({"strategy": HISTORY})


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
    """Return `tables.priced_replays` as text: programs by profile, ranges of `stall` or `cpu`."""
    texts = [shares(row[f"{of}_low"], row[f"{of}_high"]) for _, row in costs.iterrows()]
    wide = costs.assign(text=texts).pivot(
        index=["trace", "strategy"], columns="profile", values="text"
    )
    return wide.fillna("-").reset_index()


def intervals(longer):
    """Return `tables.stalls_by_interval` as text: intervals across."""
    texts = [shares(row.stall_low, row.stall_high) for row in longer.itertuples()]
    labels = [f"every {duration(1e6 * ms)}" for ms in longer["interval_ms"]]
    wide = longer.assign(text=texts, label=labels)
    wide = wide.pivot(index=["trace", "platform"], columns="label", values="text")
    return wide[list(dict.fromkeys(labels))].reset_index()


def break_evens(slots):
    """Return break-evens of several slot sizes, for 1 and 64 vCPUs, and who wins without one."""
    rows = []
    for slot_bytes in slots:
        for _, row in curves.break_evens(slot_bytes).iterrows():
            rows.append(
                {
                    "platform": row["platform"],
                    "slot": size_text(slot_bytes),
                    "vCPUs": row["vcpus"],
                    "break-even": break_even(row) if row["share"] else "none",
                    "scan cheaper throughout": draws(row["always_scan"]),
                    "faults cheaper throughout": draws(row["always_faults"]),
                }
            )
    return pd.DataFrame(rows)


def drivers(shares_of):
    """Return `curves.verdict_drivers` as text: the three largest of each platform."""
    rows = []
    for platform, group in shares_of.groupby("platform", sort=False):
        first = [f"{row.constant} {draws(row.share)}" for row in group.head(3).itertuples()]
        density = group["density"].iloc[0]
        rows.append({"platform": platform, "at": share(density), "hangs on": ", ".join(first)})
    return pd.DataFrame(rows)


def last_rounds(last):
    """Return `curves.last_rounds` as text: strategies across; a star where no kernel has it."""
    texts = [f"{times(row.p5, row.p95)}{'' if row.offered else ' *'}" for row in last.itertuples()]
    wide = last.assign(text=texts).pivot(index="platform", columns="strategy", values="text")
    return wide.reindex(last["platform"].unique())[list(last["strategy"].unique())].reset_index()


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
