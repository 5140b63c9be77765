"""What follows from the measured times: medians, ratios, costs per page (`analysis.fit` predicts).

All functions are pure: a DataFrame in, a DataFrame out. Every time here is measured. The other way
from numbers to conclusions, unit costs of a platform, is `analysis.compare`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.load import OK
from analysis.replay import read_harvests
from strategies.errors import InputError

HARVEST_BENCHMARK = "time_get_dirty_log"
BASELINE = "null"
REFERENCE = "write_protect"
WITH_TLBIE = ("c_bit_scan", "write_protect")
"""Trackers whose harvest has one tlbie for each dirty page."""

TLBIE_NS = 5.1
"""One simulated tlbie that finds no entry, measured: `benchmarks.harvest_against_c` prints it. On
another machine it differs, but it is a tenth of what a dirty page costs."""

CLOCK_LIMIT_NS = 100
"""Times below are "below 100 ns": two readings of the clock cost up to 30."""

LEAST_NS = 0.1
"""Least cost of a dirty page in a fit: where noise hides it, the difference is negative."""

CELL = ["page_bytes", "mapping", "slot_bytes", "density"]
SERIES = ["strategy", "page_bytes", "mapping"]
NS_PER_SECOND = 1e9


def harvests(frame):
    """Return the measured harvests, one row for each cell that is ok.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.load.load_results`, of one commit.

    Returns
    -------
    DataFrame
        `strategy`, CELL, `slot_pages`, `dirty_pages`, `median_ns`, `q25_ns`, `q75_ns`, `spread`
        (quartile distance over median) and `ratio` to write_protect's median of the same cell.

    Raises
    ------
    InputError
        The results hold no harvest.
    """
    is_harvest = frame["benchmark"].str.endswith(HARVEST_BENCHMARK) & (frame["status"] == OK)
    if not is_harvest.any():
        raise InputError("the results hold no harvest: accepted are those of `make study`")
    cells = frame.loc[is_harvest, ["strategy", *CELL]].reset_index(drop=True)
    cells["slot_pages"] = cells["slot_bytes"] / cells["page_bytes"]
    cells["dirty_pages"] = (cells["slot_pages"] * cells["density"]).round()
    for column, source in (("median_ns", "value"), ("q25_ns", "q25"), ("q75_ns", "q75")):
        times = frame.loc[is_harvest, source].to_numpy(float)
        cells[column] = times * NS_PER_SECOND
    cells["spread"] = (cells["q75_ns"] - cells["q25_ns"]) / cells["median_ns"]
    return _with_ratio(cells).sort_values([*SERIES, "slot_bytes", "density"], ignore_index=True)


def _with_ratio(cells):
    """Return the cells with their ratio to the reference of the same cell."""
    reference = cells.loc[cells["strategy"] == REFERENCE, [*CELL, "median_ns"]]
    reference = reference.rename(columns={"median_ns": "reference_ns"})
    joined = cells.merge(reference, on=CELL, how="left")
    joined["ratio"] = joined["median_ns"] / joined["reference_ns"]
    return joined.drop(columns="reference_ns")


def base_cells(cells):
    """Return the cells of 4 KiB pages and the linear mapping, without the baseline."""
    is_base = (cells["page_bytes"] == 4096) & (cells["mapping"] == "linear")
    return cells[is_base & (cells["strategy"] != BASELINE)].reset_index(drop=True)


def read_replays(folder):
    """Return the summaries of all replays of a folder: a row for each trace and tracker.

    The baseline, which has no harvest to be judged, is left out.

    Raises
    ------
    InputError
        The folder holds none.
    """
    paths = sorted(Path(folder).glob("*.summary.csv"))
    if not paths:
        raise InputError(f"no replays in {str(folder)!r}: accepted is a folder of `dirtylog study`")
    rows = pd.concat([read_harvests(path) for path in paths], ignore_index=True)
    return rows[rows["strategy"] != BASELINE].reset_index(drop=True)


def page_costs(cells, tlbie_ns=TLBIE_NS):
    """Return what a page of a clean slot and what a dirty page adds, cell by cell.

    Parameters
    ----------
    cells : DataFrame
        As from `harvests`.
    tlbie_ns : float
        Subtracted for each dirty page where the harvest has a tlbie, for the simulation's tlbie is
        not a host's. A tlbie that finds its entry, or misses the cache, costs more than that.

    Returns
    -------
    DataFrame
        SERIES, `slot_bytes`, `density`, `page_ns` (of the clean slot) and `dirty_page_ns` (missing
        for density 0, at least LEAST_NS).
    """
    clean = cells.loc[cells["dirty_pages"] == 0, [*SERIES, "slot_bytes", "median_ns"]]
    clean = clean.rename(columns={"median_ns": "clean_ns"})
    rows = cells.merge(clean, on=[*SERIES, "slot_bytes"])
    subtracted = rows["strategy"].isin(WITH_TLBIE) * tlbie_ns
    added = (rows["median_ns"] - rows["clean_ns"]) / rows["dirty_pages"].replace(0, np.nan)
    rows["page_ns"] = rows["clean_ns"] / rows["slot_pages"]
    rows["dirty_page_ns"] = (added - subtracted).clip(lower=LEAST_NS)
    return rows[[*SERIES, "slot_bytes", "density", "page_ns", "dirty_page_ns"]]
