"""Figures of what was measured: a DataFrame in, a Figure out; each title says so."""

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from analysis.measured.carried import spread
from analysis.report.drawing import (
    GRID,
    INK,
    WIDTH,
    drawn,
    panels_of,
    percent_text,
    size_axis,
    time_axis,
    time_text,
    titled,
)
from analysis.report.tables import common_case
from analysis.report.wording import factor
from strategies.registry import FAMILIES, TRACKERS, choices
from strategies.styles import style_of
from strategies.units import size_text, two_digits

CLEAN_LINES = {"scan": "c_bit_scan", "bitmap": "write_protect"}
"""What the figure of clean slots draws, and which tracker it is."""

PAGE_BYTES = 4096
"""Of the figure of all trackers: with it slots have most pages."""

HARVEST_DENSITIES = (0.0, 0.01)

RATIOS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10)
"""What the axis of two machines' ratios is labelled with."""


@drawn
def clean_slot(clean, passes):
    """Return the time of a clean slot's harvest against its size, scan against bitmap.

    Parameters
    ----------
    clean : DataFrame
        As from `analysis.report.tables.clean_slots`: medians as lines, least to greatest as bars.
    passes : int
        How many the bars are over.
    """
    case = common_case(clean)
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panel = figure.subplots()
    for page_bytes, rows in clean.groupby("page_bytes"):
        is_usual = page_bytes == case["page_bytes"]
        for side in CLEAN_LINES:
            _draw_clean(panel, rows, side, solid=is_usual)
            last = rows.iloc[-1]
            panel.annotate(
                f"{side}, {size_text(page_bytes)} pages",
                (last["slot_bytes"], last[side]),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
            )
    _mark_case(panel, case)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.margins(x=0.04, y=0.09)
    panel.set(xlabel="slot size", ylabel="time of one harvest")
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(**GRID)
    size_axis(panel.xaxis, base=4)
    time_axis(panel.yaxis)
    times = two_digits(case["ratio"])
    titled(
        figure,
        f"Measured: a clean {size_text(case['slot_bytes'])} takes {times} times as long by scan",
        f"labelled times: {size_text(case['slot_bytes'])}, {size_text(case['page_bytes'])} pages; "
        f"{_over(passes)}",
    )
    return figure


def _draw_clean(panel, rows, side, *, solid):
    """Draw one line of clean slots with the range over passes."""
    style = style_of(CLEAN_LINES[side]) | {"linestyle": "-" if solid else "--"}
    bars = (rows[side] - rows[f"{side}_least"], rows[f"{side}_most"] - rows[side])
    options = {"capsize": 2, "markersize": 5, "linewidth": 1.3, **style}
    panel.errorbar(rows["slot_bytes"], rows[side], yerr=bars, label=side, **options)


def _mark_case(panel, case):
    """Label both times of the common case, and what lies between them."""
    place = case["slot_bytes"]
    panel.plot([place] * 2, [case["bitmap"], case["scan"]], color=INK, linewidth=0.9)
    for side in CLEAN_LINES:
        panel.annotate(
            time_text(float(f"{case[side]:.2g}")),
            (place, case[side]),
            xytext=(-2, 6),
            textcoords="offset points",
            ha="right",
            fontsize=13,
            fontweight="bold",
            color=style_of(CLEAN_LINES[side])["color"],
        )


@drawn
def harvest_latency(cells, is_closer):
    """Return the measured harvest time against slot size: a row of panels for each family.

    Parameters
    ----------
    cells : DataFrame
        As from `analysis.report.tables.over_passes`: medians over passes, the least and the
        greatest as bars. What is drawn has the linear mapping and pages of PAGE_BYTES; the other
        families are grey in the background.
    is_closer : bool
        Whether scans take longest where nothing is written, and less so with 1%: the title says it.
    """
    is_drawn = (cells["mapping"] == "linear") & (cells["page_bytes"] == PAGE_BYTES)
    cells = cells[is_drawn & cells["strategy"].isin(choices())]
    family_of = cells["strategy"].map(lambda name: TRACKERS[name].family)
    families = [family for family in FAMILIES if (family_of == family).any()]
    places = [(family, density) for family in families for density in HARVEST_DENSITIES]
    figure, panels = panels_of(len(places), 2.1, sharex=True, sharey=True)
    for panel, (family, density) in zip(panels, places, strict=True):
        rows = cells[cells["density"] == density]
        _draw_background(panel, rows[family_of[rows.index] != family])
        _draw_family(panel, rows[family_of[rows.index] == family])
        what = f"{percent_text(density)} written" if density else "nothing written"
        panel.set_title(f"{family}: {what}")
        if density == HARVEST_DENSITIES[0]:
            panel.legend(fontsize=9, loc="upper left", borderpad=0.1, labelspacing=0.2)
    panels[0].set_ylim(top=100 * cells["most_ns"].max())  # room for the legends
    for panel in panels[-2:]:
        panel.set_xlabel("slot size")
    figure.supylabel("time of one harvest")
    closer = "nothing written, the scans take longest; at 1% it is closer"
    titled(
        figure,
        f"Measured: {closer if is_closer else 'a harvest, against the size of the slot'}",
        f"{size_text(PAGE_BYTES)} pages; {_over(cells['passes'].max())}; thin: the other families",
    )
    return figure


@drawn
def carried_over(cells):
    """Return how long harvests take on a second machine, relative to the reference, by tracker.

    Parameters
    ----------
    cells : DataFrame
        As from `analysis.measured.carried.joined`: a tick for each cell, a mark at the median.
    """
    told = cells.dropna(subset="ratio")
    trackers = [name for name in choices() if (told["strategy"] == name).any()]
    figure = Figure(figsize=(WIDTH, 0.26 * len(trackers) + 1.5), layout="constrained")
    panel = figure.subplots()
    for place, name in enumerate(trackers):
        ratio, style = told.loc[told["strategy"] == name, "ratio"], style_of(name)
        ticks = {"marker": "|", "markersize": 11, "linestyle": "", "alpha": 0.5}
        panel.plot(ratio, [place] * len(ratio), color=style["color"], **ticks)
        panel.plot(ratio.median(), place, **style | {"color": INK, "markersize": 7})
    panel.axvline(1, color=INK, linewidth=0.9)
    panel.set_yticks(range(len(trackers)), trackers)
    panel.set(xscale="log", xlabel="time on the second machine / on the reference")
    panel.margins(y=0.5 / len(trackers))
    panel.invert_yaxis()
    panel.xaxis.set_major_locator(FixedLocator(RATIOS))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="x", **GRID)
    found = spread(told["ratio"])
    titled(
        figure,
        f"Measured: a second machine takes {factor(found['p5'], found['p95'])} times as long",
        f"ticks: {found['count']:,} cells, mark: a tracker's median; title: 5% to 95% of cells",
    )
    return figure


def _over(passes):
    """Say what marks and bars are of so many passes."""
    return (
        f"marks: median, bars: least to greatest of {passes} passes" if passes > 1 else "one pass"
    )


def _draw_background(panel, cells):
    """Draw the other families, to compare with."""
    for _, rows in cells.sort_values("slot_bytes").groupby("strategy"):
        panel.plot(rows["slot_bytes"], rows["median_ns"], color=INK, alpha=0.35, linewidth=0.8)


def _draw_family(panel, cells):
    """Draw a line for each tracker of a family."""
    for name in choices():
        rows = cells[cells["strategy"] == name].sort_values("slot_bytes")
        if rows.empty:
            continue
        bars = (rows["median_ns"] - rows["least_ns"], rows["most_ns"] - rows["median_ns"])
        options = {"label": name, "capsize": 2, "markersize": 5, "linewidth": 1, **style_of(name)}
        panel.errorbar(rows["slot_bytes"], rows["median_ns"], yerr=bars, **options)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.grid(**GRID)
    size_axis(panel.xaxis)
    time_axis(panel.yaxis)
    panel.tick_params(axis="x", labelrotation=30)
