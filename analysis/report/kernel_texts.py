"""Real kernels in words and in tables of texts."""

import pandas as pd

from analysis.model import curves
from analysis.report.kernels import CELLS, FITTED, RECORDINGS, passes_differ
from analysis.report.kernels import crossings as crossings_of
from analysis.report.wording import break_even, shares, time, two_digits
from strategies.units import share_text, size_text

PAGE_BYTES = 4096
BIG_MISS = 0.25
WHAT = {"harvest": "harvest", "interval": "guest time"}
PLATFORM = "x86, 4 KiB"


def origin(kernels):
    """Return which machine the lanes were measured on, or that none were."""
    if kernels is None:
        return "No lane was measured with these results (`dirtylog lanes` says which there are)."
    one = kernels.origin
    load = max(one["load"])
    told = {
        "other": "KVM has neither VMX nor SVM here and runs guests **in software**: its faults and "
        "harvests are that backend's."
    }
    passes = differ = ""
    if one["passes"] > 1:
        passes = f", the median of {one['passes']} passes"
        differ = (
            "A harvest of the slowest pass took "
            f"{share_text(passes_differ(kernels))} longer than one of the fastest (median of "
            "cells). "
        )
    return (
        f"*Measured* on {one['date']}: {one['cpu']}, {one['cpus']} CPUs, Linux {one['kernel']}; "
        f"the lower quartile of {one['repetitions']} repetitions{passes}. The load was at most "
        f"{load:.1f}, the lane itself included. Time in which other work had the CPU is left out, "
        f"what that does to the caches is not. {differ}"
        + told.get(one["backend"], f"KVM by {one['backend']}.")
        + f" {one.get('limits', '')}"
    ).strip()


def fitted(kernels):
    """Return the slots whose cells are fitted."""
    pages = kernels.cells[kernels.cells["is_fitted"]]["slot_pages"].unique()
    return ", ".join(size_text(int(n) * PAGE_BYTES) for n in sorted(pages))


def costs(kernels):
    """Return the fitted unit costs: units down, lanes across."""
    rows = [
        {"lane": lane, "unit": unit, "ns": two_digits(ns)}
        for lane, by_unit in kernels.costs.items()
        for unit, ns in by_unit.items()
    ]
    wide = pd.DataFrame(rows).pivot(index="unit", columns="lane", values="ns")
    order = list(dict.fromkeys(row["unit"] for row in rows))
    return wide.reindex(index=order, columns=list(kernels.costs)).fillna("-").reset_index()


def errors(judged):
    """Return by lane, phase and place how far predictions are off."""
    rows = []
    judged = judged.dropna(subset="error")
    for (lane, phase, where), group in judged.groupby(["lane", "phase", "where"], sort=False):
        off = group["error"].abs()
        rows.append(
            {
                "lane": lane,
                "of": WHAT[phase],
                "where": {FITTED: "seen by the fit", CELLS: "other cells"}.get(where, where),
                "cells": len(group),
                "median error": share_text(off.median()),
                "90% below": share_text(off.quantile(0.9)),
                "within 10%": share_text((off <= 0.1).mean()),
            }
        )
    return pd.DataFrame(rows)


def misses(judged):
    """Return what is predicted worst, the worst first."""
    unseen = judged[(judged["where"] != FITTED) & (judged["error"].abs() > BIG_MISS)]
    unseen = unseen.reindex(unseen["error"].abs().sort_values(ascending=False).index)
    return pd.DataFrame(
        {
            "lane": unseen["lane"],
            "of": unseen["phase"].map(WHAT),
            "what": [_cell(row) for row in unseen.itertuples()],
            "measured": unseen["measured"].map(time),
            "predicted": unseen["predicted"].map(time),
        }
    )


def _cell(row):
    """Return a recording's name, or a cell in words."""
    if row.where == RECORDINGS:
        return row.trace
    pattern = f"runs of {row.run:.0f}" if row.run > 1 else "random"
    part = f", in 1/{row.parts:.0f} of it" if row.parts > 1 else ""
    slot = size_text(int(row.slot_pages) * PAGE_BYTES)
    return f"{slot}, {share_text(row.density)} written, {pattern}{part}"


def winners(won):
    """Return the winners of the recordings."""
    rows = won[won["where"] == RECORDINGS]
    return pd.DataFrame(
        {
            "recording": rows["trace"],
            "measured": rows["measured"],
            "predicted": rows["predicted"],
            "the second takes more by": rows["margin"].map(share_text),
        }
    )


def winners_said(won):
    """Return a sentence on how often the predicted winner is the measured one."""
    clear = won[won["is_clear"]]
    right = (clear["measured"] == clear["predicted"]).sum()
    return (
        f"Of {len(won)} cells and recordings that no fit saw, {len(clear)} have a clear winner: in "
        f"no pass did it take as long as the second. In {right} of them "
        f"({share_text(right / max(len(clear), 1))}) it is the predicted one (*measured*)."
    )


def crossings(kernels):
    """Return where walk and log take the same time, by slot, measured, predicted and modelled."""
    with_faults = crossings_of(kernels, with_scan_faults=True)
    without = crossings_of(kernels, with_scan_faults=False)
    return pd.DataFrame(
        {
            "slot": [size_text(int(p) * PAGE_BYTES) for p in with_faults["slot_pages"]],
            "as the lanes are": _ranges(with_faults),
            "predicted": with_faults["predicted"].map(_met),
            "if the walk cost the guest nothing": _ranges(without),
            "predicted ": without["predicted"].map(_met),
            "x86-kvm said": [_modelled(int(p) * PAGE_BYTES) for p in with_faults["slot_pages"]],
        }
    )


def crossings_said(kernels):
    """Return the answer to the thread's question on this kernel, in a sentence or two."""
    met = crossings_of(kernels, with_scan_faults=True).dropna()
    free = crossings_of(kernels, with_scan_faults=False).dropna()
    slots = [size_text(int(n) * PAGE_BYTES) for n in met["slot_pages"]]
    said = _modelled(int(met["slot_pages"].max()) * PAGE_BYTES)
    return (
        f"- **Walk and faults cost the same where {shares(met['least'].min(), met['most'].max())} "
        f"of the pages are written** between two harvests ({slots[0]} to {slots[-1]}; "
        f"{shares(free['least'].min(), free['most'].max())} if the walk cost the guest nothing): "
        "below, KVM's bitmap takes less time, above, the walk (*measured*). Beforehand the model "
        f"had said {said} ({slots[-1]}, profile x86-kvm, *modelled*)."
    )


def _met(fraction):
    return share_text(fraction) if fraction > 0 else "not seen"


def _ranges(rows):
    return [
        f"{_met(row.median)} ({shares(row.least, row.most)})" if row.median > 0 else _met(0)
        for row in rows.itertuples()
    ]


def _modelled(slot_bytes):
    rows = curves.break_evens(slot_bytes)
    row = rows[(rows["platform"] == PLATFORM) & (rows["vcpus"] == 1)].iloc[0]
    return break_even(row)
