"""One function for each figure of the report: a DataFrame in, a Figure out.

Trackers differ by marker, hatch or letter as well as by colour; each title says measured or
modelled.
"""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.advice.advise import tie_margin
from analysis.measured.harvests import CLOCK_LIMIT_NS
from analysis.model.estimate import MODELS
from strategies.units import size_text

MARKERS = "os^Dvp*X"
HATCHES = ("", "///", "--", "xx", "\\\\\\", "++", "oo", "**")
LETTERS = {
    "c_bit_scan": "C",
    "write_protect": "W",
    "write_protect_batched": "B",
    "double_buffer": "D",
    "pte_flush": "P",
}
METRIC_TITLES = {"latency": "harvest latency", "stall": "guest stall", "cpu": "total CPU time"}
GRID = {"alpha": 0.3, "linewidth": 0.6}


def style_of(strategy):
    """Return the colour, marker and hatch of a tracker: the same in all figures."""
    names = list(MODELS)
    number = names.index(strategy) if strategy in names else len(names)
    color = mpl.color_sequences["tab10"][number]
    return {"color": color, "marker": MARKERS[number], "hatch": HATCHES[number]}


def percent_text(fraction, _position=None):
    """Return a fraction in per cent, as short as it goes."""
    return f"{100 * fraction:g}%"


def _size_axis(axes, base=16):
    """Label slot sizes at the powers of a base."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=base))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size_text(value)))
    axes.set_xlabel("slot size (4 KiB pages)")


def _density_axis(axis, label="density (pages written per interval / slot pages)"):
    axis.set_major_formatter(FuncFormatter(percent_text))
    axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(label)


def harvest_latency(cells):
    """Return the measured harvest time against slot size: a panel for each density.

    Parameters
    ----------
    cells : DataFrame
        As from `analysis.measured.harvests.base_cells`. Medians, with the quartiles as bars.
    """
    densities = [d for d in sorted(cells["density"].unique()) if d <= 0.01]
    figure = Figure(figsize=(3.6 * len(densities) + 1, 5.2), layout="constrained")
    panels = figure.subplots(1, len(densities), sharex=True, sharey=True, squeeze=False)[0]
    for panel, density in zip(panels, densities, strict=True):
        _draw_latency(panel, cells[cells["density"] == density])
        panel.set_title("clean (nothing written)" if not density else percent_text(density))
    panels[0].set_ylabel("time of one harvest (ns, median and quartiles)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.suptitle("Measured: harvest of clean and sparse slots, by share of pages written")
    return figure


def _draw_latency(panel, cells):
    """Draw a line for each tracker."""
    for name, rows in cells.groupby("strategy", sort=False):
        rows = rows.sort_values("slot_bytes")
        style = style_of(name)
        errors = (rows["median_ns"] - rows["q25_ns"], rows["q75_ns"] - rows["median_ns"])
        panel.errorbar(
            rows["slot_bytes"],
            rows["median_ns"],
            yerr=[part.clip(lower=0) for part in errors],
            label=name,
            color=style["color"],
            marker=style["marker"],
            capsize=2,
            markersize=6,
        )
    panel.axhline(CLOCK_LIMIT_NS, color="0.4", linestyle=":", linewidth=1)
    panel.set_yscale("log")
    panel.grid(**GRID)
    _size_axis(panel)


def guest_stall(curves, title):
    """Return the modelled guest stall against density: a panel for each profile.

    Parameters
    ----------
    curves : dict of str to DataFrame
        By profile, as from `analysis.model.compare.stall_curve`.
    title : str
        What slot, interval and vCPUs are assumed.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, -(-len(curves) // 2), sharex=True, sharey=True, squeeze=False)
    for panel, (name, curve) in zip(panels.flat, curves.items(), strict=False):
        _draw_stall(panel, curve)
        panel.set_title(name)
    for panel in panels.flat[len(curves) :]:
        panel.set_axis_off()
    for panel in panels.flat[: len(curves)][-panels.shape[1] :]:
        panel.xaxis.set_tick_params(labelbottom=True)
        panel.set_xlabel("density (pages written / slot pages)")
    figure.supylabel("guest stall (share of vCPU time, band: low to high)")
    handles = {}
    for panel in panels.flat[: len(curves)]:
        drawn = panel.get_legend_handles_labels()
        handles |= dict(zip(drawn[1], drawn[0], strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=1)
    figure.suptitle(f"Modelled: guest stall against density; {title}")
    return figure


def _draw_stall(panel, curve):
    """Draw the strategies of a profile; those with the same stall share one line."""
    groups = {}
    for name, rows in curve.groupby("strategy", sort=False):
        groups.setdefault(tuple(rows["value"]), []).append(name)
    for names in groups.values():
        rows = curve[curve["strategy"] == names[0]]
        style = style_of(names[0])
        label = ", ".join(names)
        panel.fill_between(
            rows["density"], rows["low"], rows["high"], color=style["color"], alpha=0.18
        )
        panel.plot(
            rows["density"],
            rows["value"],
            color=style["color"],
            marker=style["marker"],
            markevery=3,
            label=label,
        )
    panel.axhline(1.0, color="black", linestyle="--", linewidth=0.8)
    panel.set(xscale="log", yscale="log")
    panel.grid(**GRID)
    _density_axis(panel.xaxis, "")
    panel.yaxis.set_major_formatter(FuncFormatter(percent_text))


def winner_maps(maps):
    """Return the modelled winner over slot size and density: profiles down, metrics across.

    Parameters
    ----------
    maps : dict of str to DataFrame
        By profile, as from `analysis.model.compare.winner_map`.
    """
    metrics = list(METRIC_TITLES)
    figure = Figure(figsize=(11, 2.6 * len(maps) + 1.4), layout="constrained")
    panels = figure.subplots(len(maps), len(metrics), sharex=True, sharey=True, squeeze=False)
    for row, (name, frame) in zip(panels, maps.items(), strict=True):
        for panel, metric in zip(row, metrics, strict=True):
            _draw_winners(panel, frame[frame["metric"] == metric])
            panel.set_title(f"{name}: {METRIC_TITLES[metric]}", fontsize=10)
            panel.label_outer()
    figure.supylabel("density (pages written per interval / slot pages)")
    figure.legend(handles=_winner_legend(maps), loc="outside lower center", ncols=3)
    figure.suptitle("Modelled: the strategy of least cost (4 KiB pages, 1 vCPU)")
    return figure


def _winner_legend(maps):
    """Return a patch for each strategy that wins anywhere, and the mark of a tie."""
    won = [
        name for name in MODELS if any((frame["winner"] == name).any() for frame in maps.values())
    ]
    patches = [_patch(name, label=f"{LETTERS.get(name, '?')}  {name}") for name in won]
    label = f"another is within {100 * tie_margin():.2g}%: a tie"
    tie = Line2D([], [], marker=".", color="black", linestyle="", label=label)
    return [*patches, tie]


def _patch(name, **options):
    style = style_of(name)
    return Patch(
        facecolor=(*style["color"], 0.45), edgecolor="0.25", hatch=style["hatch"], **options
    )


def _middle(rows):
    """Return the cell nearest to the middle of an area, both axes logarithmic."""
    points = np.log(rows[["slot_bytes", "density"]])
    away = ((points - points.mean()) / (points.std(ddof=0) + 1)).pow(2).sum(axis="columns")
    return rows.loc[away.idxmin()]


def _draw_winners(panel, frame):
    """Fill the area of each winner with its hatch, put its letter in the middle, dot the ties."""
    sizes, densities = (sorted(frame[column].unique()) for column in ("slot_bytes", "density"))
    for name, rows in frame.groupby("winner", sort=False):
        style = style_of(name)
        grid = frame.assign(is_won=(frame["winner"] == name) * 1.0)
        grid = grid.pivot_table(index="density", columns="slot_bytes", values="is_won")
        panel.contourf(
            sizes,
            densities,
            grid.to_numpy(),
            levels=[0.5, 1.5],
            colors=[(*style["color"], 0.45)],
            hatches=[style["hatch"]],
        )
        middle = _middle(rows)
        panel.text(
            middle["slot_bytes"],
            middle["density"],
            LETTERS.get(name, "?"),
            fontweight="bold",
            ha="center",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
    ties = frame[frame["is_tie"]]
    panel.plot(ties["slot_bytes"], ties["density"], ".", color="black", markersize=2.5)
    panel.set_yscale("log")
    panel.set_ylim(densities[0] / 1.6, densities[-1] * 1.6)
    _size_axis(panel, base=64)
    _density_axis(panel.yaxis, "")
