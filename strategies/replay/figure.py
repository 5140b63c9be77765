"""Figures of a replay, drawn from its CSV file."""

import warnings

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from strategies.errors import InputError
from strategies.styles import style_of
from strategies.units import duration

WIDTH = 7.5
INK = "#6e7781"
"""Of letters and axes: 4.5 to 1 against white, 4.1 to 1 against a dark page."""

SETTINGS = {
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
}


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


def harvest_time_per_epoch(harvests, epoch_ms):
    """Return a figure of the measured time of each harvest: a panel per tracker, one scale.

    Parameters
    ----------
    harvests : DataFrame
        As from `read_harvests`, of one trace.
    epoch_ms : float
        Length of an epoch.

    Returns
    -------
    matplotlib.figure.Figure
        Panels share both axes (time is logarithmic); the last one shows the pages stored. It is
        transparent, its letters grey: for light and dark pages.
    """
    with mpl.rc_context(SETTINGS):
        groups = list(harvests.groupby("strategy", sort=False))
        figure = Figure(figsize=(WIDTH, 1.1 * len(groups) + 2), layout="constrained")
        axes = figure.subplots(len(groups) + 1, 1, sharex=True)
        for panel, (strategy, rows) in zip(axes[:-1], groups, strict=True):
            panel.sharey(axes[0])
            _draw_times(panel, strategy, rows, epoch_ms)
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_locator(LogLocator(base=100, numticks=9))
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda ns, _: _time(ns)))
        _draw_pages(axes[-1], groups[0][1], epoch_ms)
        figure.supylabel("time of one harvest")
        name = harvests["trace"].iloc[0]
        figure.suptitle(f"Measured: every harvest, {name}", parse_math=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a trace's name may have letters that the font lacks
            figure.draw_without_rendering()
        return figure


def _time(ns):
    return duration(ns).replace("us", "µs")


def _draw_times(panel, strategy, rows, epoch_ms):
    """Draw each harvest of one tracker as a mark, and the median as a line."""
    times, at = rows["harvest_ns"], rows["epoch"] * epoch_ms / 1000
    style = style_of(strategy) | {"linestyle": ""}
    panel.plot(at, times, markersize=2.5, markeredgewidth=0, **style)
    panel.axhline(times.median(), color=INK, linewidth=0.8, linestyle="--")
    median, most = _time(times.median()), _time(times.max())
    label = f"{strategy}: median {median} (dashed), maximum {most}"
    panel.set_title(label, loc="left", fontsize=10)
    panel.grid(alpha=0.3)


def _draw_pages(panel, rows, epoch_ms):
    """Draw the pages that the guest stored to, the same for all trackers."""
    at = rows["epoch"] * epoch_ms / 1000
    panel.fill_between(at, rows["pages_stored"], step="mid", color=INK, alpha=0.7)
    panel.set_title("pages stored in the epoch (exact count)", loc="left", fontsize=10)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("seconds of the recording")
    panel.grid(alpha=0.3)
