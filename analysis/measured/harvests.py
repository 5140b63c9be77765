"""What follows from the measured times: medians, ratios, costs per page.

All functions are pure: a DataFrame in, a DataFrame out. Every time here is measured. The other way
from numbers to conclusions, unit costs of a platform, is `analysis.model.compare`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.measured.load import OK
from strategies.errors import InputError
from strategies.replay.figure import read_harvests

HARVEST_BENCHMARK = "time_get_dirty_log"
TLBIE_BENCHMARK = "MachineCosts.track_tlbie"
BASELINE = "null"
REFERENCE = "write_protect"
CLOCK_LIMIT_NS = 100
"""Times below are "below 100 ns": two readings of the clock cost up to 30."""

LEAST_NS = 0.1
"""Least cost of a dirty page in a fit: where noise hides it, the difference is negative."""

SHOWN = ("lost", "harvest_ns_median")
"""Columns of a replay's summary that the report reads."""

CELL = ["page_bytes", "mapping", "slot_bytes", "density"]
SERIES = ["strategy", "page_bytes", "mapping"]
NS_PER_SECOND = 1e9


def harvests(frame):
    """Return the measured harvests, one row for each cell that is ok.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.measured.load.load_results`, of one commit.

    Returns
    -------
    DataFrame
        `strategy`, CELL, `slot_pages`, `dirty_pages`, `median_ns`, `q25_ns`, `q75_ns`, `lowest_ns`
        (the least sample; the median where no samples were kept), `spread`
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
    cells = cells.astype({"slot_bytes": np.int64, "page_bytes": np.int64})
    cells["slot_pages"] = cells["slot_bytes"] // cells["page_bytes"]
    cells["dirty_pages"] = (cells["slot_pages"] * cells["density"]).round().astype(np.int64)
    for column, source in (("median_ns", "value"), ("q25_ns", "q25"), ("q75_ns", "q75")):
        times = frame.loc[is_harvest, source].to_numpy(float)
        cells[column] = times * NS_PER_SECOND
    cells["lowest_ns"] = [_lowest(row) * NS_PER_SECOND for row in frame[is_harvest].itertuples()]
    cells["spread"] = (cells["q75_ns"] - cells["q25_ns"]) / cells["median_ns"]
    return _with_ratio(cells).sort_values([*SERIES, "slot_bytes", "density"], ignore_index=True)


def _lowest(row):
    """Return the least sample of a row, in seconds."""
    return min(row.samples) if isinstance(row.samples, list) else row.value


def _with_ratio(cells):
    """Return the cells with their ratio to the reference of the same cell."""
    reference = cells.loc[cells["strategy"] == REFERENCE, [*CELL, "median_ns"]]
    reference = reference.rename(columns={"median_ns": "reference_ns"})
    joined = cells.merge(reference, on=CELL, how="left")
    joined["ratio"] = joined["median_ns"] / joined["reference_ns"]
    return joined.drop(columns="reference_ns")


def measured(frame, name):
    """Return the cells of one benchmark that are ok, its times in nanoseconds.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.measured.load.load_results`, of one commit.
    name : str
        Of the benchmark, as `Class.method`.

    Returns
    -------
    DataFrame
        The columns of `frame`; empty where the benchmark was not run.
    """
    is_named = frame["benchmark"].str.endswith(f".{name}") & (frame["status"] == OK)
    rows = frame[is_named].reset_index(drop=True)
    unused = [name for name in rows if rows[name].isna().all()] if len(rows) else []
    rows = rows.drop(columns=unused)
    if name.rpartition(".")[2].startswith("time_"):
        rows["value"] *= NS_PER_SECOND
    return rows


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
        The folder holds none, or one that is incomplete.
    """
    paths = sorted(Path(folder).glob("*.summary.csv"))
    if not paths:
        raise InputError(f"no replays in {str(folder)!r}: accepted is a folder of `dirtylog study`")
    return pd.concat(map(_read_summary, paths), ignore_index=True)


def _read_summary(path):
    """Return the summary of one replay; but for its names, every column is of numbers."""
    rows = read_harvests(path)
    rows = rows[rows["strategy"] != BASELINE]
    numbers = rows.drop(columns=["trace", "strategy"]).select_dtypes("number")
    is_whole = numbers.shape[1] == rows.shape[1] - 2 and not rows.isna().any(axis=None)
    if not is_whole or not set(SHOWN) <= set(numbers):
        raise InputError(f"{str(path)!r} is no summary of a replay: it lacks numbers")
    return rows


def page_costs(cells, of="lowest_ns"):
    """Return what a page of a clean slot and what a dirty page adds, cell by cell.

    Parameters
    ----------
    cells : DataFrame
        As from `harvests`.
    of : {"lowest_ns", "median_ns"}
        Which time. Whatever else a machine does only adds to a time, so the lowest sample is the
        best estimate of the cost itself (Chen and Revels, "Robust benchmarking in noisy
        environments", 2016); the median is what is met there.

    Returns
    -------
    DataFrame
        SERIES, `slot_pages`, `density`, `page_ns` (of the clean slot) and `dirty_page_ns` (missing
        for density 0, at least LEAST_NS). Where the harvest has tlbies, the simulation's are in it.
    """
    clean = cells.loc[cells["dirty_pages"] == 0, [*SERIES, "slot_pages", of]]
    clean = clean.rename(columns={of: "clean_ns"})
    rows = cells.merge(clean, on=[*SERIES, "slot_pages"])
    added = (rows[of] - rows["clean_ns"]) / rows["dirty_pages"].replace(0, np.nan)
    rows["page_ns"] = rows["clean_ns"] / rows["slot_pages"]
    rows["dirty_page_ns"] = added.clip(lower=LEAST_NS)
    return rows[[*SERIES, "slot_pages", "density", "page_ns", "dirty_page_ns"]]


def simulated_tlbie_ns(frame):
    """Return what one simulated tlbie costs, in ns: `c_bit_scan` has one for each dirty page.

    Raises
    ------
    InputError
        The results lack it.
    """
    rows = measured(frame, TLBIE_BENCHMARK)
    if rows.empty:
        raise InputError("the results lack machine_costs: accepted are those of `make study`")
    return float(rows.loc[rows["mapping"] == "linear", "value"].iloc[0])
