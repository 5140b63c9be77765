"""Three figures of a fleet, from its costs alone."""

from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np

from strategies.replay.output import completed

LEAST = 1e-9
"""Costs below it are drawn as it: the axes are logarithmic."""


def save_figures(fleet, folder):
    """Write `distribution.png`, `heat_map.png` and `regret.png` to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for draw in (distribution, heat_map, regret):
        with _figure() as (figure, axes):
            draw(axes, fleet)
            with completed(folder / f"{draw.__name__}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=120)


@contextmanager
def _figure():
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    try:
        yield figure, axes
    finally:
        plt.close(figure)


def distribution(axes, fleet):
    """Draw how the cost of the best strategy is distributed over the VMs."""
    least = np.maximum(fleet.costs[fleet.aim].min(axis=1), LEAST)
    bins = np.geomspace(least.min(), max(least.max(), least.min() * 1.01), 40)
    names = [name for at, name in enumerate(fleet.strategies) if (fleet.best == at).any()]
    parts = [least[fleet.best == fleet.strategies.index(name)] for name in names]
    axes.hist(parts, bins, stacked=True, label=names)
    axes.set(xscale="log", xlabel=f"{fleet.aim} per second (modelled)", ylabel="VMs")
    axes.legend(title="best strategy")


def heat_map(axes, fleet):
    """Draw each strategy's cost over the best for the VM; VMs sorted by that cost."""
    costs = np.maximum(fleet.costs[fleet.aim], LEAST)
    least = costs.min(axis=1)
    ratio = np.log10(costs / least[:, None])[np.argsort(least)]
    image = axes.imshow(
        np.where(np.isinf(ratio), np.nan, ratio), aspect="auto", cmap="viridis", vmin=0, vmax=2
    )
    axes.set_xticks(range(len(fleet.strategies)), fleet.strategies, rotation=20)
    axes.set(ylabel=f"VMs, by least {fleet.aim}")
    axes.figure.colorbar(image, label="log10 of the cost over the best for the VM (modelled)")


def regret(axes, fleet):
    """Draw for each single choice how much dearer than the best it is, VM by VM, sorted."""
    costs = np.maximum(fleet.costs[fleet.aim], LEAST)
    share = (np.arange(len(costs)) + 1) / len(costs)
    for at, name in enumerate(fleet.strategies):
        axes.plot(share, np.sort(costs[:, at] / costs.min(axis=1)), label=name)
    axes.set(yscale="log", xlabel="share of VMs", ylabel=f"{fleet.aim} over the best (modelled)")
    axes.legend(title="one choice for all")
