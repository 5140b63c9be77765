"""Figures of what is modelled or cited: a DataFrame in, a Figure out; each title says so.

What a figure tells apart differs by marker, line or hatch as well as by colour.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from analysis.report.drawing import (
    GRID,
    INK,
    WIDTH,
    density_axis,
    drawn,
    noted_legend,
    panels_of,
    percent_text,
    time_axis,
    titled,
)
from analysis.report.wording import density, draws
from strategies.styles import COLORS
from strategies.units import two_digits

SIDE_STYLES = {
    "scan": {"color": COLORS["scan"], "marker": "o"},
    "faults": {"color": COLORS["fault"], "marker": "s"},
}
"""Scan and faults; solid where a kernel has it, dashed where it is a proposal."""

PROGRAMS = {"gcc_compile": "G", "redis_ycsb": "R", "sqlite_oltp": "S", "vga_desktop": "V"}
LIMITS = (2e-6, 1.0)
"""What the axis of break-evens shows; where faults always cost less, they are beyond it."""
SHARE_LEVELS = (0, 0.05, 0.35, 0.65, 0.95, 1)
SHARE_COLORS = [(COLORS["scan"], alpha) for alpha in (0.0, 0.2, 0.4, 0.65, 0.95)]
"""Of draws in which the scan costs less: nothing, up to its colour."""

VCPU_STYLES = {1: {"marker": "o"}, 64: {"marker": "s", "markerfacecolor": "none"}}


@drawn
def at_a_glance(curves, programs, title):
    """Return the CPU time of scan and of faults against density: a panel for each platform.

    Parameters
    ----------
    curves : DataFrame
        As from `analysis.model.curves.cpu_curves`: line p50, band p5 to p95.
    programs : DataFrame
        `platform`, `trace` and `density` of the recordings, marked on the axis by a letter.
    title : str
        What slot and vCPUs are assumed.
    """
    platforms = list(curves["platform"].unique())
    figure, panels = panels_of(len(platforms), 1.75, sharex=True, sharey=True)
    for panel, platform in zip(panels, platforms, strict=True):
        rows = curves[curves["platform"] == platform]
        for side, style in SIDE_STYLES.items():
            _draw_side(panel, rows[rows["side"] == side], side, style)
        panel.set(xscale="log", yscale="log", title=platform)
        panel.grid(**GRID)
        _mark_programs(panel, programs[programs["platform"] == platform])
        density_axis(panel.xaxis)
        time_axis(panel.yaxis)
        panel.tick_params(axis="x", labelrotation=30)
    _label_below(panels)
    figure.supylabel("CPU time per interval, host and guest")
    names = ", ".join(f"{letter} {name}" for name, letter in PROGRAMS.items())
    figure.suptitle("Modelled: few pages written, faults cost less; many, the scan")
    noted_legend(
        figure,
        f"{title}; lines: median, bands: 5% to 95% of the draws\nrecorded: {names}",
        handles=_side_legend(),
    )
    return figure


def _label_below(panels):
    """Label the densities below the last row of two panels."""
    for panel in panels[-2:]:
        panel.set_xlabel("pages written per interval")


def _draw_side(panel, rows, side, style):
    """Draw median and band of the scan or of faults."""
    line = "-" if rows["offered"].all() else "--"
    panel.fill_between(rows["density"], rows["p5"], rows["p95"], color=style["color"], alpha=0.2)
    panel.plot(
        rows["density"],
        rows["p50"],
        color=style["color"],
        marker=style["marker"],
        markersize=4,
        markevery=max(1, len(rows) // 6),
        linestyle=line,
        label=side,
    )


def _mark_programs(panel, programs):
    """Mark how densely each recorded program writes, by its letter on the axis."""
    for place, row in enumerate(programs.sort_values("density").itertuples()):
        panel.axvline(row.density, color=INK, linewidth=0.8, linestyle=":")
        panel.annotate(
            PROGRAMS[row.trace],
            (row.density, 0.03 + 0.13 * (place % 3)),
            xytext=(2, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=9,
        )


def _side_legend():
    """Return a line for each side, and what solid and dashed mean."""
    lines = [
        Line2D([], [], color=style["color"], marker=style["marker"], markersize=5, label=side)
        for side, style in SIDE_STYLES.items()
    ]
    for line, meaning in (("-", "a kernel there has it"), ("--", "a proposal: no kernel has it")):
        lines.append(Line2D([], [], color=INK, linestyle=line, label=meaning))
    return lines


@drawn
def break_even_dots(frame, title):
    """Return the break-even densities: a dot at p50 and a bar from p5 to p95, for each platform.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.model.curves.break_evens`. The median stands beside its dot, and where
        not all draws have a crossing, the share that has one; an end at infinity (never) is open:
        an arrow.
    title : str
        What slot is assumed.
    """
    platforms = list(frame["platform"].unique())
    figure = Figure(figsize=(WIDTH, 0.78 * len(platforms) + 1.9), layout="constrained")
    panel = figure.subplots()
    for vcpus, style in VCPU_STYLES.items():
        rows = frame[frame["vcpus"] == vcpus].set_index("platform").reindex(platforms)
        places = np.arange(len(rows)) + (0.2 if vcpus > 1 else -0.2)
        label = f"{vcpus} vCPU{'s' if vcpus > 1 else ''}"
        _draw_dots(panel, rows, places, label=label, **style)
    panel.set_yticks(range(len(platforms)), platforms)
    panel.set(xscale="log", xlabel="pages written per interval", xlim=LIMITS)
    panel.invert_yaxis()
    panel.grid(axis="x", **GRID)
    density_axis(panel.xaxis)
    panel.tick_params(axis="x", labelrotation=30)
    figure.suptitle("Modelled: if more is written than this, the scan costs less")
    note = f"{title}; mark: median, bar: 5% to 95% of the draws, arrow: never"
    noted_legend(figure, note)
    return figure


def _draw_dots(panel, rows, places, **style):
    """Draw break-evens for one number of vCPUs, and write the medians above them."""
    is_open = np.isinf(rows["p95"])
    ends = rows[["p5", "p50", "p95"]].clip(*LIMITS)
    bars = (ends["p50"] - ends["p5"], ends["p95"] - ends["p50"])
    options = {"linestyle": "", "capsize": 3, "markersize": 6, "color": INK, **style}
    panel.errorbar(ends["p50"], places, xerr=bars, **options)
    arrows = {"linestyle": "", "marker": ">", "color": INK, "clip_on": False}
    panel.plot(ends.loc[is_open, "p95"], places[is_open], **arrows)
    for place, row, end in zip(places, rows.itertuples(), ends["p50"], strict=True):
        text = density(row.p50)
        if row.share < 1:
            text += f" ({draws(row.share)} of draws have it)"
        panel.annotate(
            text,
            (end, place),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
        )


@drawn
def scan_share_map(frame, title):
    """Return how often a scan costs less, over density and fault cost: a panel for each platform.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.model.curves.fault_map`; a bar at the left marks what the profile takes a
        fault to cost.
    """
    platforms = list(frame["platform"].unique())
    figure, panels = panels_of(len(platforms), 1.9, sharex=True, sharey=True)
    for panel, platform in zip(panels, platforms, strict=True):
        grid = frame[frame["platform"] == platform].pivot(
            index="fault_ns", columns="density", values="share"
        )
        at = (grid.columns, grid.index, grid.to_numpy())
        filled = panel.contourf(*at, levels=SHARE_LEVELS, colors=SHARE_COLORS)
        panel.contour(*at, levels=[0.5], colors=INK, linewidths=1.2)
        panel.set(xscale="log", yscale="log", title=platform)
        likely = frame.loc[frame["platform"] == platform, ["likely_low", "likely_high"]].iloc[0]
        panel.plot([grid.columns[0] * 1.6] * 2, likely, color=COLORS["fault"], linewidth=4)
        density_axis(panel.xaxis)
        time_axis(panel.yaxis)
        panel.tick_params(axis="x", labelrotation=30)
    bar = figure.colorbar(filled, ax=panels, orientation="horizontal", aspect=40, shrink=0.9)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(percent_text))
    bar.set_label("draws in which the scan costs less CPU time")
    _label_below(panels)
    figure.supylabel("one first-write fault: exit and handling")
    titled(
        figure,
        "Modelled: dear faults and many pages written favour the scan",
        f"{title}; line: half of the draws; bar at the left: what a fault is taken to cost",
    )
    return figure


@drawn
def published_ratios(cases, title):
    """Return the model beside published times: modelled / cited, a dot and a bar for each case.

    Parameters
    ----------
    cases : list of dict
        As from `analysis.model.published.judged`.
    title : str
        Whose machine it is.
    """
    figure = Figure(figsize=(WIDTH, 0.33 * len(cases) + 1.6), layout="constrained")
    panel = figure.subplots()
    panel.axvspan(0.5, 2, color=COLORS["scan"], alpha=0.12, linewidth=0)
    panel.axvline(1, color=INK, linewidth=0.8, alpha=0.4)
    for place, one in enumerate(cases):
        cited, holds = one["case"].cited, one["in_range"]
        color = COLORS["scan" if holds else "fault"]
        panel.plot([one["low"] / cited, one["high"] / cited], [place] * 2, color=color, linewidth=3)
        mark = {"marker": "o", "markersize": 7} if holds else {"marker": "X", "markersize": 10}
        panel.plot(one["ratio"], place, color=color, **mark)
        panel.annotate(
            f"{one['case'].profile}: {one['case'].text}",
            (0.0, place),
            xytext=(2, 6),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=9,
        )
    panel.set(xscale="log", ylim=(len(cases) - 0.4, -1), xlabel="modelled / cited")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: two_digits(value)))
    panel.yaxis.set_visible(False)
    panel.spines[["top", "left", "right"]].set_visible(False)
    hits = sum(one["in_range"] for one in cases)
    titled(
        figure,
        f"Modelled: {hits} of {len(cases)} published values lie in the model's range",
        f"{title}; bar: costs all low to all high, dot: their values, X: a miss; shaded: factor 2",
    )
    return figure
