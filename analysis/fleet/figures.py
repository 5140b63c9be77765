"""Figures of a fleet, from its costs alone: each title says what it shows of these VMs."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.report.drawing import GRID, WIDTH, drawn, noted_legend, percent_text
from strategies.plural import plural
from strategies.styles import style_of
from strategies.units import number

LEAST = 1e-6
"""Costs below it, 0.0001 %, are drawn as it: the axes are logarithmic."""

COST = {
    "cpu": "CPU time of host and guest, per second",
    "stall": "vCPU time lost, per second",
    "harvest": "harvests' time, per second",
}
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "ooo", "---", "+++", "|||", "***", "OOO")
STAR = "star: a proposal"
MOST = 100.0
"""Times the best: what the heat map shows darkest."""


@drawn
def distribution(fleet):
    """Return how the cost of the best strategy is distributed over the VMs."""
    figure, axes = _one_panel(3.6)
    least = np.maximum(fleet.costs[fleet.aim].min(axis=1), LEAST)
    bins = np.geomspace(least.min(), max(least.max(), least.min() * 1.01), 40)
    right_for = np.bincount(fleet.best, minlength=len(fleet.strategies))
    below = np.zeros(len(bins) - 1)
    for at in np.argsort(-right_for, kind="stable")[: np.count_nonzero(right_for)]:
        height, _ = np.histogram(least[fleet.best == at], bins)
        axes.bar(
            bins[:-1],
            height,
            np.diff(bins),
            below,
            align="edge",
            color=style_of(fleet.strategies[at])["color"],
            edgecolor="white",
            linewidth=0.3,
            hatch=HATCHES[at % len(HATCHES)],
            label=f"{fleet.strategies[at]} ({right_for[at]})",
        )
        below += height
    axes.set(xscale="log", xlabel=COST[fleet.aim], ylabel="VMs")
    _share_axis(axes.xaxis)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    most = int(right_for.argmax())
    of_all = f"{right_for[most]} of {plural(len(least), 'VM')}"
    figure.suptitle(f"{_named(fleet, most)} is the best for {of_all}")
    noted_legend(figure, f"what the best of a VM costs (modelled); in brackets: VMs; {STAR}")
    return figure


@drawn
def heat_map(fleet):
    """Return each strategy's cost over the best for the VM; VMs sorted by what the best costs."""
    figure, axes = _one_panel(4.2)
    costs = np.maximum(fleet.costs[fleet.aim], LEAST)
    least = costs.min(axis=1)
    ratio = np.log10(costs / least[:, None])[np.argsort(least)]
    shown = np.ma.masked_invalid(np.clip(ratio, None, np.log10(MOST)))
    image = axes.imshow(
        shown, aspect="auto", cmap="cividis_r", vmin=0, vmax=np.log10(MOST), interpolation="nearest"
    )
    axes.set_xticks(
        range(len(fleet.strategies)), fleet.strategies, rotation=35, ha="right", fontsize=9
    )
    axes.set(ylabel="VMs, the cheapest above")
    bar = figure.colorbar(image, label=f"{fleet.aim} over the best for the VM")
    ticks = [1, 2, 5, 10, 20, 50, MOST]
    bar.set_ticks(np.log10(ticks), labels=[f"{tick:g}x" for tick in ticks[:-1]] + [f">{MOST:g}x"])
    figure.suptitle("What each strategy costs each VM (modelled)")
    return figure


@drawn
def regret(fleet):
    """Return for each single choice how much dearer than the best it is, VM by VM, sorted."""
    figure, axes = _one_panel(3.6)
    costs = np.maximum(fleet.costs[fleet.aim], LEAST)
    share = (np.arange(len(costs)) + 1) / len(costs)
    ratios = np.sort(costs / costs.min(axis=1)[:, None], axis=0)
    for at, name in enumerate(fleet.strategies):
        every = max(1, len(share) // 8)
        axes.plot(share, ratios[:, at], label=name, markevery=every, ms=4, **style_of(name))
    axes.set(yscale="log", xlabel="share of VMs", ylabel=f"{fleet.aim} over the best for the VM")
    axes.xaxis.set_major_formatter(FuncFormatter(percent_text))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}x"))
    axes.grid(**GRID)
    middle = ratios[len(ratios) // 2]
    least = int(middle.argmin())
    far = number(max(middle[least], 1.01))
    figure.suptitle(f"For all: {_named(fleet, least)}, within {far}x of the best for half")
    noted_legend(figure, f"modelled; the lower, the nearer to the best for each VM; {STAR}")
    return figure


DRAWN = {
    "distribution": (distribution, "Modelled: what the best costs, distributed over the VMs"),
    "regret": (regret, "Modelled: one strategy for all, its cost over the best of each VM"),
    "heat_map": (heat_map, "Modelled: cost of each strategy over the best, for each VM"),
}
"""By file name: the function, and the caption."""


def _named(fleet, at):
    """Return the name of a strategy, with a star where no kernel of the platform has it."""
    return fleet.strategies[at] + ("" if fleet.offered[at] else "*")


def _one_panel(height):
    figure = Figure(figsize=(WIDTH, height + 1.0), layout="constrained")
    return figure, figure.subplots()


def _share_axis(axis):
    axis.set_major_locator(LogLocator(base=10, numticks=8))
    axis.set_major_formatter(FuncFormatter(percent_text))
    axis.set_minor_formatter(NullFormatter())
