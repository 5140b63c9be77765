"""One function for each figure of the report: a DataFrame in, a Figure out.

What a figure tells apart differs by marker, line or hatch as well as by colour; each title says
measured or modelled. Pictures are narrow and their letters large: a phone shows them at half size.
"""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from strategies.registry import choices
from strategies.styles import style_of
from strategies.units import duration, size_text

WIDTH = 6.4
"""Inches of every figure: 400 pixels of a phone leave 62 for each."""

FONT = {"font.size": 10.5, "axes.titlesize": 10.5, "figure.titlesize": 11.5}
GRID = {"alpha": 0.3, "linewidth": 0.6}
SIDE_STYLES = {
    "scan": {"color": "#0072b2", "hatch": "///", "marker": "o"},
    "faults": {"color": "#d55e00", "hatch": "...", "marker": "s"},
}
"""Scan and faults; solid where a kernel has it, dashed where it is a proposal."""

PROGRAMS = {"gcc_compile": "G", "redis_ycsb": "R", "sqlite_oltp": "S", "vga_desktop": "V"}
DENSITIES = (2e-6, 1.0)
"""What the axis of break-evens shows; where faults always cost less, they are beyond it."""
VCPU_STYLES = {1: {"marker": "o", "color": "#0072b2"}, 64: {"marker": "s", "color": "#d55e00"}}


def percent_text(fraction, _position=None):
    """Return a fraction in per cent, as short as it goes."""
    return f"{float(f'{100 * fraction:.3g}'):g}%"


def time_text(ns, _position=None):
    """Return nanoseconds in the unit that suits."""
    return duration(ns).replace("us", "µs")


def _drawn(function):
    """Draw with the letters of FONT."""

    def with_font(*args, **kwargs):
        with mpl.rc_context(FONT):
            return function(*args, **kwargs)

    with_font.__doc__ = function.__doc__
    with_font.__name__ = function.__name__
    return with_font


def _density_axis(axis, densities):
    axis.set_major_locator(FixedLocator(densities))
    axis.set_major_formatter(FuncFormatter(percent_text))
    axis.set_minor_formatter(NullFormatter())


def _time_axis(axis):
    axis.set_major_locator(LogLocator(base=10, numticks=8))
    axis.set_major_formatter(FuncFormatter(time_text))
    axis.set_minor_formatter(NullFormatter())


def _size_axis(axis, base=16):
    axis.set_major_locator(LogLocator(base=base))
    axis.set_major_formatter(FuncFormatter(lambda value, _: size_text(value)))
    axis.set_minor_formatter(NullFormatter())


def _panels(count, height, columns=2, **options):
    """Return a figure of panels, as many as needed, and those panels."""
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, height * rows + 1.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **options).flat
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, list(panels[:count])


@_drawn
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
    figure, panels = _panels(len(platforms), 1.75, sharex=True, sharey=True)
    for panel, platform in zip(panels, platforms, strict=True):
        rows = curves[curves["platform"] == platform]
        for side, style in SIDE_STYLES.items():
            _draw_side(panel, rows[rows["side"] == side], side, style)
        panel.set(xscale="log", yscale="log", title=platform)
        panel.grid(**GRID)
        _mark_programs(panel, programs[programs["platform"] == platform])
        _density_axis(panel.xaxis, (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0))
        _time_axis(panel.yaxis)
        panel.tick_params(axis="x", labelrotation=30)
    _label_below(panels)
    figure.supylabel("CPU time per interval, host and guest")
    names = ", ".join(f"{letter} {name}" for name, letter in PROGRAMS.items())
    figure.legend(
        handles=_side_legend(),
        loc="outside lower center",
        ncols=2,
        title=f"recorded: {names}",
        title_fontsize=9.5,
    )
    figure.suptitle(f"Modelled: {title}\nlines: median; bands: 5% to 95% of the draws")
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
        panel.axvline(row.density, color="0.4", linewidth=0.8, linestyle=":")
        panel.annotate(
            PROGRAMS[row.trace],
            (row.density, 0.03 + 0.14 * (place % 2)),
            xycoords=("data", "axes fraction"),
            fontsize=9,
            ha="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )


def _side_legend():
    """Return a line for each side, and what solid and dashed mean."""
    lines = [
        Line2D([], [], color=style["color"], marker=style["marker"], markersize=5, label=side)
        for side, style in SIDE_STYLES.items()
    ]
    for line, meaning in (("-", "a kernel there has it"), ("--", "a proposal: no kernel has it")):
        lines.append(Line2D([], [], color="0.2", linestyle=line, label=meaning))
    return lines


@_drawn
def break_even_dots(frame, title):
    """Return the break-even densities: a dot at p50 and a bar from p5 to p95, for each platform.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.model.curves.break_evens`. Where not all draws have a crossing, the share
        that has one is written beside the bar; an end at infinity (never) is open: an arrow.
    """
    platforms = list(frame["platform"].unique())
    figure = Figure(figsize=(WIDTH, 0.55 * len(platforms) + 1.9), layout="constrained")
    panel = figure.subplots()
    for vcpus, style in VCPU_STYLES.items():
        rows = frame[frame["vcpus"] == vcpus].set_index("platform").reindex(platforms)
        never = np.isinf(rows["p95"])
        rows = rows.assign(**rows[["p5", "p50", "p95"]].clip(*DENSITIES))
        shift = 0.17 if vcpus > 1 else -0.17
        places = np.arange(len(rows)) + shift
        bars = (rows["p50"] - rows["p5"], rows["p95"] - rows["p50"])
        label = f"{vcpus} vCPU{'s' if vcpus > 1 else ''}"
        options = {"linestyle": "", "capsize": 3, "markersize": 7, "label": label, **style}
        panel.errorbar(rows["p50"], places, xerr=bars, **options)
        arrows = {"linestyle": "", "marker": ">", "color": style["color"], "clip_on": False}
        panel.plot(rows.loc[never, "p95"], places[never], **arrows)
        for place, row in zip(places, rows.itertuples(), strict=True):
            if row.share < 1:
                text = f"{100 * row.share:.3g}% of draws  "
                panel.annotate(text, (row.p5, place), va="center", ha="right", fontsize=9)
    panel.set_yticks(range(len(platforms)), platforms)
    panel.set(xscale="log", xlabel="pages written per interval")
    panel.set_xlim(*DENSITIES)
    panel.invert_yaxis()
    panel.grid(axis="x", **GRID)
    _density_axis(panel.xaxis, (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0))
    figure.legend(loc="outside lower center", ncols=2)
    figure.suptitle(f"Modelled: above it the scan costs less CPU time; arrow: never\n{title}")
    return figure


@_drawn
def scan_share_map(frame, title):
    """Return how often a scan costs less, over density and fault cost: a panel for each platform.

    Parameters
    ----------
    frame : DataFrame
        As from `analysis.model.curves.fault_map`; a bar at the left marks what the profile takes a
        fault to cost.
    """
    platforms = list(frame["platform"].unique())
    figure, panels = _panels(len(platforms), 1.9, sharex=True, sharey=True)
    for panel, platform in zip(panels, platforms, strict=True):
        grid = frame[frame["platform"] == platform].pivot(
            index="fault_ns", columns="density", values="share"
        )
        at = (grid.columns, grid.index, grid.to_numpy())
        filled = panel.contourf(*at, levels=[0, 0.05, 0.35, 0.65, 0.95, 1], cmap="Greys")
        lines = panel.contour(
            *at, levels=[0.05, 0.5, 0.95], colors="#d55e00", linestyles=[":", "-", "--"]
        )
        panel.clabel(lines, fmt=percent_text, fontsize=9)
        panel.set(xscale="log", yscale="log", title=platform)
        likely = frame.loc[frame["platform"] == platform, ["likely_low", "likely_high"]].iloc[0]
        panel.plot([grid.columns[0] * 1.6] * 2, likely, color="#0072b2", linewidth=4)
        _density_axis(panel.xaxis, (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0))
        _time_axis(panel.yaxis)
        panel.tick_params(axis="x", labelrotation=30)
    bar = figure.colorbar(filled, ax=panels, orientation="horizontal", aspect=40, shrink=0.9)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(percent_text))
    bar.set_label("draws in which the scan costs less CPU time")
    _label_below(panels)
    figure.supylabel("one first-write fault: exit and handling")
    what = "Modelled: how sure it is that the scan costs less"
    figure.suptitle(f"{what}\n{title}; bar: what a fault is taken to cost")
    return figure


HARVEST_PANELS = ((4096, 0.0), (4096, 0.01), (65536, 0.0), (65536, 0.01))


@_drawn
def harvest_latency(cells):
    """Return the measured harvest time against slot size: a panel for each page size and density.

    Parameters
    ----------
    cells : DataFrame
        As from `analysis.report.tables.over_passes`, of the linear mapping: medians over passes,
        the least and the greatest as bars. Panels without cells are left out.
    """
    cells = cells[(cells["mapping"] == "linear") & cells["strategy"].isin(choices())]
    groups = {
        key: cells[(cells["page_bytes"] == key[0]) & (cells["density"] == key[1])]
        for key in HARVEST_PANELS
    }
    groups = {key: rows for key, rows in groups.items() if len(rows)}
    figure, panels = _panels(len(groups), 2.4, sharex=True, sharey=True)
    for panel, ((page_bytes, density), rows) in zip(panels, groups.items(), strict=True):
        _draw_latency(panel, rows)
        what = f"{percent_text(density)} written" if density else "nothing written"
        panel.set_title(f"{size_text(page_bytes)} pages, {what}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    for panel in panels[-2:]:
        panel.set_xlabel("slot size")
    figure.supylabel("time of one harvest")
    passes = cells["passes"].max()
    bars = f"bars: least to greatest of {passes} passes" if passes > 1 else "one pass"
    figure.suptitle(f"Measured: harvest by slot size, median; {bars}")
    return figure


def _draw_latency(panel, cells):
    """Draw a line for each tracker."""
    for name in choices():
        rows = cells[cells["strategy"] == name].sort_values("slot_bytes")
        if rows.empty:
            continue
        bars = (rows["median_ns"] - rows["least_ns"], rows["most_ns"] - rows["median_ns"])
        panel.errorbar(
            rows["slot_bytes"],
            rows["median_ns"],
            yerr=bars,
            label=name,
            capsize=2,
            markersize=5,
            linewidth=1,
            **style_of(name),
        )
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.grid(**GRID)
    _size_axis(panel.xaxis)
    _time_axis(panel.yaxis)
    panel.tick_params(axis="x", labelrotation=30)
