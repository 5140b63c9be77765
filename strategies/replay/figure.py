"""Figures of a replay, drawn from its CSV file."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from strategies.errors import InputError
from strategies.styles import style_of
from strategies.units import duration


def read_harvests(path):
    """Return the tidy harvests that a replay wrote (one row per tracker and epoch).

    Raises
    ------
    InputError
        The file is no table whose rows name a trace and a strategy.
    """
    try:
        # One tracker is called null, which pandas would take for a missing value.
        rows = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} is no file of a replay: {error}") from error
    # pandas makes an index of the first columns where a row is longer than the header.
    if not {"trace", "strategy"} <= set(rows) or not isinstance(rows.index, pd.RangeIndex):
        raise InputError(f"{str(path)!r} is no file of a replay: its rows do not fit its header")
    return rows


def harvest_time_per_epoch(harvests):
    """Return a figure of the measured time of each harvest: a panel per tracker, one scale.

    Parameters
    ----------
    harvests : DataFrame
        As from `read_harvests`, of one trace.

    Returns
    -------
    matplotlib.figure.Figure
        Panels share both axes (time is logarithmic); the last one shows the pages stored.
    """
    groups = list(harvests.groupby("strategy", sort=False))
    count = len(groups)
    figure = Figure(figsize=(10, 1.5 * count + 2.2), layout="constrained")
    axes = figure.subplots(count + 1, 1, sharex=True)
    for panel, (strategy, rows) in zip(axes[:-1], groups, strict=True):
        panel.sharey(axes[0])
        _draw_times(panel, strategy, rows)
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda ns, _: _time(ns)))
    _draw_pages(axes[-1], groups[0][1])
    figure.supylabel("time of one harvest (measured, logarithmic)", fontsize=10)
    figure.suptitle(f"{harvests['trace'].iloc[0]}: every harvest of each tracker", parse_math=False)
    return figure


def _time(ns):
    return duration(ns).replace("us", "µs")


def _draw_times(panel, strategy, rows):
    """Draw each harvest of one tracker as a mark, and the median as a line."""
    times = rows["harvest_ns"]
    panel.plot(
        rows["epoch"], times, linestyle="", markersize=2.5, markeredgewidth=0, **style_of(strategy)
    )
    panel.axhline(times.median(), color="black", linewidth=0.8, linestyle="--")
    median, most = _time(times.median()), _time(times.max())
    label = f"{strategy}: median {median} (dashed), maximum {most}"
    panel.set_title(label, loc="left", fontsize=10)
    panel.grid(alpha=0.3)


def _draw_pages(panel, rows):
    """Draw the pages that the guest stored to, the same for all trackers."""
    panel.fill_between(rows["epoch"], rows["pages_stored"], step="mid", color="0.5")
    panel.set_title("pages stored in the epoch (exact count)", loc="left", fontsize=10)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("epoch")
    panel.grid(alpha=0.3)
