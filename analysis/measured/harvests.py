"""What follows from the measured times: medians over passes, spreads and ratios.

Every time here is measured. The other way from numbers to conclusions, unit costs of a platform, is
`analysis.model`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.measured.load import OK
from analysis.measured.walks import ENABLING
from strategies.errors import InputError
from strategies.registry import BASELINE
from strategies.replay.figure import read_harvests

HARVESTS = "harvests.csv"
"""What `analysis.derived` calls the file of `harvests`."""

HARVEST_BENCHMARK = "GetDirtyLog.time_get_dirty_log"
TLBIE_BENCHMARK = "MachineCosts.track_tlbie"
ENABLE_BENCHMARK = "LoggingToggle.time_enable_logging"
PROTECTING = ("write_protect", "write_protect_batched", "double_buffer")
REFERENCE = "write_protect"
CLOCK_LIMIT_NS = 100
"""Times below are "below 100 ns": two readings of the clock cost up to 30."""

SHOWN = ("lost", "harvest_ns_median")
"""Columns of a replay's summary that the report reads."""

PARAMETERS = ["strategy", "slot_bytes", "density", "page_bytes", "mapping", "vcpus", "trace"]
CELL = ["page_bytes", "mapping", "slot_bytes", "density"]
SERIES = ["strategy", "page_bytes", "mapping"]
NS_PER_SECOND = 1e9


def harvests(frame):
    """Return the measured harvests, one row for each cell that is ok in every pass that has it.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.measured.load.load_results`, of one commit.

    Returns
    -------
    DataFrame
        `strategy`, CELL, `slot_pages`, `dirty_pages`; the medians over the passes of a pass's
        `median_ns`, `q25_ns` and `q75_ns`; `lowest_ns`, the least sample of all passes (a pass's
        median where no samples were kept); `passes` (how many), `spread` (between passes: the
        greatest of their medians over the least, less 1; missing for one pass), `lowest_spread`
        (the same of their least samples) and `ratio` to write_protect's median of the same cell.

    Raises
    ------
    InputError
        The results hold no harvest.
    """
    rows = _times(frame, HARVEST_BENCHMARK)
    if rows.empty:
        raise InputError("the results hold no harvest: accepted are those of `make study`")
    cells = _over_passes(rows, ["strategy", *CELL])
    cells["slot_pages"] = cells["slot_bytes"] // cells["page_bytes"]
    cells["dirty_pages"] = (cells["slot_pages"] * cells["density"]).round().astype(np.int64)
    return _with_ratio(cells).sort_values([*SERIES, "slot_bytes", "density"], ignore_index=True)


def _times(frame, name):
    """Return the rows of a benchmark that are ok, with what was timed in nanoseconds."""
    rows = frame[frame["benchmark"].str.endswith(f".{name}") & (frame["status"] == OK)]
    rows = rows.reset_index(drop=True).astype({"slot_bytes": np.int64, "page_bytes": np.int64})
    for column, source in (("median_ns", "value"), ("q25_ns", "q25"), ("q75_ns", "q75")):
        rows[column] = rows[source].astype(float) * NS_PER_SECOND
    rows["lowest_ns"] = [_lowest(row) * NS_PER_SECOND for row in rows.itertuples()]
    return rows


def _lowest(row):
    """Return the least sample of a row, in seconds."""
    return min(row.samples) if isinstance(row.samples, list) else row.value


def _over_passes(rows, cell):
    """Return a row for each cell: its medians over the passes, its least time, and the spread."""
    groups = rows.groupby(cell)
    cells = groups[["median_ns", "q25_ns", "q75_ns"]].median()
    cells["lowest_ns"] = groups["lowest_ns"].min()
    cells["passes"] = groups["median_ns"].size()
    for column, of in (("spread", "median_ns"), ("lowest_spread", "lowest_ns")):
        spread = groups[of].max() / groups[of].min() - 1
        cells[column] = spread.where(cells["passes"] > 1)
    return cells.reset_index()


def _with_ratio(cells):
    """Return the cells with their ratio to the yardstick of the same cell."""
    reference = cells.loc[cells["strategy"] == REFERENCE, [*CELL, "median_ns"]]
    reference = reference.rename(columns={"median_ns": "reference_ns"})
    joined = cells.merge(reference, on=CELL, how="left")
    joined["ratio"] = joined["median_ns"] / joined["reference_ns"]
    return joined.drop(columns="reference_ns")


def measured(frame, name):
    """Return the cells of one benchmark that are ok, medians over passes, times in nanoseconds.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.measured.load.load_results`, of one commit.
    name : str
        Of the benchmark, as `Class.method`.

    Returns
    -------
    DataFrame
        The parameters of the benchmark, `unit`, `value`, `value_least` and `value_most` (of the
        passes), `passes` and `spread` (as in `harvests`); empty where the benchmark was not run.
    """
    is_named = frame["benchmark"].str.endswith(f".{name}") & (frame["status"] == OK)
    rows = frame[is_named].copy()
    if name.rpartition(".")[2].startswith("time_"):
        rows = rows.assign(value=rows["value"] * NS_PER_SECOND, unit="ns")
    parameters = [name for name in PARAMETERS if name in rows and rows[name].notna().any()]
    groups = rows.groupby([*parameters, "unit"], sort=False, dropna=False)["value"]
    ends = {"value_least": groups.min(), "value_most": groups.max()}
    cells = pd.DataFrame({"value": groups.median(), **ends, "passes": groups.size()})
    cells["spread"] = (cells["value_most"] / cells["value_least"] - 1).where(cells["passes"] > 1)
    return cells.reset_index()


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
        raise InputError(
            f"no replays in {str(folder)!r}: accepted is the `replay` of `dirtylog study`"
        )
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


def enablings(frame):
    """Return how long enabling took, less what enabling `null` took: a call, and nothing else.

    Only of trackers that walk all pages to make them read-only.

    Returns
    -------
    DataFrame
        `strategy` (of the walk: ENABLING), `page_bytes`, `mapping`, `slot_pages`, `dirty_pages`
        (0), `median_ns` and `lowest_ns`, as in `harvests`.
    """
    times = ["median_ns", "lowest_ns"]
    at = ["page_bytes", "mapping", "slot_bytes"]
    rows = _times(frame, ENABLE_BENCHMARK)
    cells = _over_passes(rows, ["strategy", *at]).set_index(at)
    walks = cells[cells["strategy"].isin(PROTECTING)]
    calls = cells.loc[cells["strategy"] == BASELINE, times].reindex(walks.index)
    walks = (walks[times] - calls).reset_index()
    walks["slot_pages"] = walks["slot_bytes"] // walks["page_bytes"]
    return walks.assign(strategy=ENABLING, dirty_pages=0)


def clock_ns(cells):
    """Return what a harvest of nothing takes, in ns: two readings of the clock."""
    return float(cells.loc[cells["strategy"] == BASELINE, "lowest_ns"].median())


def simulated_tlbie_ns(frame):
    """Return what one simulated tlbie costs, in ns, in the pass where it cost least.

    Raises
    ------
    InputError
        The results lack it.
    """
    is_tlbie = frame["benchmark"].str.endswith(f".{TLBIE_BENCHMARK}") & (frame["status"] == OK)
    rows = frame[is_tlbie & (frame["mapping"] == "linear")]
    if rows.empty:
        raise InputError("the results lack machine_costs: accepted are those of `make study`")
    return float(rows["value"].min())
