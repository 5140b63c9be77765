"""Frames of real kernels: what lanes were measured to cost, and what a fit predicts for them."""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.model.calibrate import costs_of
from analysis.model.lanes import COUNTED, names_of, predicted
from analysis.model.scenario import scenario_of_trace
from strategies.workloads.trace import load_trace

CELL = ["slot_pages", "density", "run", "parts"]
KEY = ["lane", "trace", *CELL]
TIMES = {"harvest": "harvest_ns", "interval": "lost_ns"}
"""By phase of the model what was measured of it."""

FITTED, CELLS, RECORDINGS = "fitted", "cells", "recordings"
WALK, LOG = "uffd_async", "kvm_bitmap"
"""The lanes at both ends of the thread."""

LEAST_NS = 100
"""What is measured below is too near the clock to be judged."""


class Kernels(NamedTuple):
    """The lanes of one machine.

    Attributes
    ----------
    passes : DataFrame
        A row for each lane, pass and cell.
    cells : DataFrame
        Their medians over passes.
    recordings : DataFrame
        A row for each lane and recording, all its epochs together.
    origin : dict
        Machine, kernel, backend, date, load; `cached_pages`, as of `analysis.model.lanes`; and
        `limits`, where something is known that is wrong with these times.
    costs : dict of dict
        Nanoseconds by lane and unit, fitted to the cells that are for that.
    """

    passes: pd.DataFrame
    cells: pd.DataFrame
    recordings: pd.DataFrame
    origin: dict
    costs: dict


def load_kernels(results):
    """Return the lanes in a folder of results, or None where none were measured."""
    folder = results / "lanes"
    if not (folder / "cells.csv").exists():
        return None
    passes = pd.read_csv(folder / "cells.csv")
    by_cell = passes.groupby(["lane", *CELL, "is_fitted"], sort=False)
    medians = by_cell[[*TIMES.values()]].median()
    cells = medians.join(by_cell[["dirty_pages", *COUNTED]].mean()).reset_index()
    recordings = pd.read_csv(folder / "recordings.csv")
    origin = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    by_lane = cells.groupby("lane", sort=False)
    costs = {lane: _costs(lane, rows, origin) for lane, rows in by_lane}
    return Kernels(passes, cells, recordings, origin, costs)


def clean_ratios(results):
    """Return how many times as long the walk of a clean slot takes as KVM's bitmap, by slot.

    Returns
    -------
    Series or None
        In the order measured, system calls included; None where a folder of results has none.
    """
    path = results / "lanes" / "clean_slots.json"
    if not path.exists():
        return None
    times = {
        (one["slot"], one["tracker"]): one["harvest_ns"]["median"]
        for one in json.loads(path.read_text(encoding="utf-8"))
    }
    return pd.Series({slot: times[slot, WALK] / times[slot, LOG] for slot, _ in times})


def _names(rows, origin):
    counted = {name: rows[name].to_numpy() for name in COUNTED}
    pages = rows["slot_pages"].to_numpy(float), rows["dirty_pages"].to_numpy()
    return names_of(*pages, counted, origin["cached_pages"])


def _costs(lane, rows, origin):
    """Return what each unit costs, from the cells that are fitted."""
    rows = rows[rows["is_fitted"]]
    names = ("slot_pages", "dirty_pages", *COUNTED, *TIMES.values())
    cells = {name: rows[name].to_numpy(float) for name in names}
    units, _, _ = costs_of(lane, cells, origin["cached_pages"])
    return {unit: one.value for unit, one in units.items()}


def judged(kernels):
    """Return predicted beside measured: a row for each lane, phase, and cell or recording.

    `where` says whether the fit saw it: FITTED, or CELLS or RECORDINGS, which it did not. `error`
    is missing where LEAST_NS is not reached or nothing was measured.
    """
    parts = [_judged_cells(kernels, lane, rows) for lane, rows in kernels.cells.groupby("lane")]
    parts += [_judged_recording(kernels, row) for row in kernels.recordings.itertuples()]
    both = pd.concat(parts, ignore_index=True)
    measured = both["measured"].where(both["measured"] >= LEAST_NS)
    return both.assign(error=both["predicted"] / measured - 1)


def _judged_cells(kernels, lane, rows):
    names, costs = _names(rows, kernels.origin), kernels.costs[lane]
    where = np.where(rows["is_fitted"], FITTED, CELLS)
    labels = rows[["lane", *CELL]].assign(where=where, trace=None)
    return pd.concat(
        labels.assign(
            phase=phase, predicted=predicted(lane, phase, names, costs), measured=rows[time]
        )
        for phase, time in TIMES.items()
    )


def _judged_recording(kernels, row):
    trace = load_trace(row.trace)
    one = scenario_of_trace(trace)
    cached = kernels.origin["cached_pages"]
    names = names_of(float(trace.slot_pages), one.dirty_pages, one.counted, cached)
    return pd.DataFrame(
        {
            "lane": row.lane,
            "where": RECORDINGS,
            "trace": row.trace,
            "phase": phase,
            "predicted": predicted(row.lane, phase, names, kernels.costs[row.lane]).sum(),
            "measured": getattr(row, time),
        }
        for phase, time in TIMES.items()
    )


def passes_differ(kernels):
    """Return how much longer a harvest took in the slowest pass than in the fastest: the median."""
    by_cell = kernels.passes.groupby(["lane", *CELL])["harvest_ns"]
    return float((by_cell.max() / by_cell.min() - 1).median())


def winners(kernels):
    """Return who takes the least time of harvest and guest together, predicted and measured.

    A row for each cell that no fit saw and each recording: `margin`, by how much the measured
    second exceeds the first, and `is_clear`: in no pass did the first take as long as the second.
    """
    sums = judged(kernels).groupby(["where", "trace", *CELL, "lane"], dropna=False)
    sums = sums[["predicted", "measured"]].sum(min_count=2).dropna().reset_index()
    sums = sums[sums["measured"] > 0]  # a difference of two times can be noise below 0
    sums = sums[sums["where"] != FITTED].merge(_ranges(kernels), how="left", on=KEY)
    rows = []
    for _, group in sums.groupby(["where", "trace", *CELL], dropna=False, sort=False):
        first, second = (row for _, row in group.sort_values("measured").head(2).iterrows())
        predicted_first = group.loc[group["predicted"].idxmin(), "lane"]
        measured = {"measured": first["lane"], "predicted": predicted_first}
        measured |= {"margin": second["measured"] / first["measured"] - 1}
        measured |= {"is_clear": first["most"] < second["least"]}
        rows.append(first[["where", "trace", *CELL]].to_dict() | measured)
    return pd.DataFrame(rows)


def _ranges(kernels):
    """Return the least and the most that harvest and guest together took in a pass."""
    totals = kernels.passes.assign(total=kernels.passes[[*TIMES.values()]].sum(axis=1))
    cells = totals.groupby(["lane", *CELL])["total"].agg(least="min", most="max").reset_index()
    one = kernels.recordings
    recordings = one[["lane", "trace"]].assign(
        least=one["harvest_ns_least"] + one["lost_ns_least"],
        most=one["harvest_ns_most"] + one["lost_ns_most"],
    )
    return pd.concat([cells, recordings], ignore_index=True)


def crossings(kernels, *, with_scan_faults):
    """Return by slot at which density the walk costs as much as KVM's faults and bitmap.

    Parameters
    ----------
    kernels : Kernels
    with_scan_faults : bool
        Whether the guest pays for the walk, too: userfaultfd's protection faults, which a bit set
        by hardware would not.

    Returns
    -------
    DataFrame
        `slot_pages`, and of the passes the `median`, `least` and `most` density; `predicted` by
        the fit.
    """
    random = kernels.passes[(kernels.passes["run"] == 1) & (kernels.passes["parts"] == 1)]
    random = random[random["dirty_pages"] > 0]
    ratios = {
        key: _crossing(_ratios(cells, with_scan_faults))
        for key, cells in random.groupby(["slot_pages", "pass"])
    }
    by_slot = pd.Series(ratios).groupby(level=0)
    measured = by_slot.agg(median="median", least="min", most="max").rename_axis("slot_pages")
    measured = measured.reset_index()
    found = [_predicted_crossing(kernels, n, with_scan_faults) for n in measured["slot_pages"]]
    return measured.assign(predicted=found)


def _ratios(cells, with_scan_faults):
    """Return by density the time of the walk over that of the log."""
    walk, log = (
        cells[cells["lane"] == lane].set_index("density").sort_index() for lane in (WALK, LOG)
    )
    of_walk = walk["harvest_ns"] + with_scan_faults * walk["lost_ns"]
    ratio = of_walk / (log["harvest_ns"] + log["lost_ns"])
    ratio = ratio.set_axis(walk["dirty_pages"] / walk["slot_pages"])
    return ratio[ratio > 0]  # noise can exceed what a few stores lost


def _crossing(ratio):
    """Return the density at which a ratio falls below 1, between two by logarithms, or NaN."""
    logs, densities = np.log(ratio.to_numpy()), np.log(ratio.index.to_numpy())
    falls = np.flatnonzero((logs[:-1] > 0) & (logs[1:] <= 0))
    if not falls.size:
        return np.nan
    at = falls[0]
    share = logs[at] / (logs[at] - logs[at + 1])
    return float(np.exp(densities[at] + share * (densities[at + 1] - densities[at])))


def _predicted_crossing(kernels, slot_pages, with_scan_faults):
    densities = np.geomspace(1e-5, 1, 401)
    cached = kernels.origin["cached_pages"]
    names = names_of(float(slot_pages), densities * slot_pages, {}, cached)
    walk, log = kernels.costs[WALK], kernels.costs[LOG]
    of_walk = predicted(WALK, "harvest", names, walk)
    if with_scan_faults:
        of_walk = of_walk + predicted(WALK, "interval", names, walk)
    of_log = predicted(LOG, "harvest", names, log) + predicted(LOG, "interval", names, log)
    return _crossing(pd.Series(of_walk / of_log, densities))
