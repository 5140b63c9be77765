"""A figure of what is in a trace: five panels, each with its message in the title."""

import matplotlib as mpl
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullFormatter

from strategies.plural import plural
from strategies.units import duration, number, percent, size_text
from strategies.workloads import shape

FONT = {"font.size": 10, "axes.titlesize": 10.5, "figure.titlesize": 12}
COLOR = "#0072b2"
SPANS = 400
"""Points that a line over all epochs has at most."""


def trace_figure(trace):
    """Return a figure of distinct pages by interval, density, working set, runs, and heat.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    matplotlib.figure.Figure
    """
    with mpl.rc_context(FONT):
        figure = Figure(figsize=(10, 11), layout="constrained")
        grid = figure.add_gridspec(3, 2, height_ratios=(1, 1, 1.3))
        _draw_distinct(figure.add_subplot(grid[0, 0]), trace)
        _draw_densities(figure.add_subplot(grid[0, 1]), trace)
        _draw_working_set(figure.add_subplot(grid[1, 0]), trace)
        _draw_runs(figure.add_subplot(grid[1, 1]), trace)
        _draw_heat(figure, figure.add_subplot(grid[2, :]), trace)
        figure.suptitle(
            f"{trace.name}: {plural(trace.epochs, 'epoch')} of {_time(trace.epoch_ms)}, "
            f"{plural(trace.slot_pages, 'page')} of {size_text(trace.page_size)} (exact counts)",
            parse_math=False,
        )
    return figure


def _time(ms, _position=None):
    return duration(ms * 1e6).replace("us", "µs") if ms > 0 else "0"


def _seconds(seconds, _position=None):
    return _time(1000 * seconds)


def _thousands(value, _position=None):
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"


def _set_formats(axis, form):
    axis.set_major_formatter(FuncFormatter(form))
    axis.set_minor_formatter(NullFormatter())


def _draw_distinct(panel, trace):
    rows = shape.distinct_by_interval(trace)
    times = [row["interval_ms"] for row in rows]
    pages = [row["pages"] for row in rows]
    panel.plot(times, pages, "o-", color=COLOR, markersize=4, label="recorded")
    straight = [pages[0] * time / times[0] for time in times]
    panel.plot(times, straight, "--", color="0.4", label="if no page came again")
    panel.axhline(trace.slot_pages, color="black", linewidth=0.8, linestyle=":", label="slot")
    panel.set_xscale("log")
    if pages[0]:
        panel.set_yscale("log")
        panel.set_ylim(top=4 * trace.slot_pages)
    _set_formats(panel.xaxis, _time)
    _set_formats(panel.yaxis, lambda value, _: number(value))
    panel.set_xlabel("interval")
    panel.set_ylabel("distinct pages written, mean")
    longer = f"{times[-1] / times[0]:,.0f} times the interval"
    panel.set_title(f"{longer}, {number(pages[-1] / max(pages[0], 1e-9))} times the pages")
    panel.legend()
    panel.grid(alpha=0.3)


def _draw_densities(panel, trace):
    shares = shape.densities(trace)
    spans = np.array_split(shares, min(SPANS, len(shares)))
    at = np.linspace(0, trace.epochs * trace.epoch_ms / 1000, len(spans), endpoint=False)
    panel.fill_between(at, [one.max() for one in spans], step="post", color=COLOR, alpha=0.3,
                       label="most")  # fmt: skip
    panel.step(at, [one.mean() for one in spans], where="post", color=COLOR, label="mean")
    panel.set_ylim(bottom=0)
    _set_formats(panel.xaxis, _seconds)
    _set_formats(panel.yaxis, lambda value, _: f"{100 * value:.3g}%")
    panel.set_xlabel("time")
    panel.set_ylabel("of the slot written in an epoch")
    empty = np.mean(shares == 0)
    panel.set_title(
        f"mean {percent(shares.mean())} an epoch; {percent(empty)} of epochs write none"
    )
    panel.legend()
    panel.grid(alpha=0.3)


def _draw_working_set(panel, trace):
    counts = shape.writes_by_page(trace)
    at = np.unique(np.geomspace(1, max(len(counts), 1), 200).astype(int))
    part = np.cumsum(counts)
    if len(counts):
        panel.plot(at, part[at - 1] / part[-1], color=COLOR)
        panel.set_xscale("log")
    panel.set_ylim(0, 1.02)
    _set_formats(panel.xaxis, _thousands)
    _set_formats(panel.yaxis, lambda value, _: f"{100 * value:.3g}%")
    panel.set_xlabel(f"pages, those written most often first ({len(counts):,} in all)")
    panel.set_ylabel("of all writes")
    panel.set_title(f"pages with half of the writes: {shape.working_set(trace)[0.5]:,}")
    panel.grid(alpha=0.3)


def _draw_runs(panel, trace):
    shares = shape.pages_by_run(trace)
    panel.barh(shape.run_classes(), shares, color=COLOR)
    panel.invert_yaxis()
    _set_formats(panel.xaxis, lambda value, _: f"{100 * value:.3g}%")
    panel.set_xlabel("of the pages written in an epoch")
    panel.set_ylabel("adjacent pages in a run")
    lengths = shape.runs(trace)
    mean = number(lengths.mean()) if len(lengths) else "0"
    panel.set_title(f"pages in a run: {mean}, mean")
    panel.grid(alpha=0.3, axis="x")


def _draw_heat(figure, panel, trace):
    heat = shape.heat(trace)
    seconds = trace.epochs * trace.epoch_ms / 1000
    extent = (0, seconds, 0, trace.slot_pages * trace.page_size)
    norm = PowerNorm(0.4, vmin=0, vmax=max(heat.max(), 1e-12))
    image = panel.imshow(heat, aspect="auto", origin="lower", extent=extent, cmap="cividis",
                         norm=norm, interpolation="nearest")  # fmt: skip
    _set_formats(panel.xaxis, _seconds)
    panel.yaxis.set_major_locator(MultipleLocator(1 << max(extent[3].bit_length() - 3, 0)))
    _set_formats(panel.yaxis, lambda value, _: size_text(int(value)) if value > 0 else "0")
    panel.set_xlabel("time")
    panel.set_ylabel("place in the slot")
    place = f"{heat.shape[0]} parts of the slot"
    panel.set_title(
        f"where and when: {percent(np.mean(heat.any(axis=1)))} of {place} are ever written"
    )
    bar = figure.colorbar(image, ax=panel, format=FuncFormatter(lambda v, _: f"{100 * v:.3g}%"))
    bar.set_label("of its pages written in an epoch")
