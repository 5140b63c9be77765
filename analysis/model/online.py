"""What no tracker can promise that does not know the stores to come: a lower bound, by a game.

An adversary sees which pages are protected. In each epoch it is silent, or it writes some pages,
one after the other, each one that is protected, if any is. Whatever a deterministic rule does page
by page, one of the adversary's choices makes it cost `least_ratio` times the best tracker that
never chooses.

Why two states are enough: a rule is closed while no more pages are open than cost less to look at
one by one than a sweep, and stays so until almost all are open: the adversary finds pages to write,
and each faults. It is open from then on until no more than those few are open again, and pays a
sweep in each epoch. What lies between costs a sweep and is not safe, so that to wait there gains
nothing. Where a rule would have to pay more than is counted here (what harvests report of faults,
bitmaps, waits), it is let off; it may start in either state, and is told at the first store of an
epoch how many will follow. So the bound holds by these unit costs, whatever the rule; it is not
claimed that any reaches it. A rule that draws lots may do better on average.
"""

from typing import NamedTuple

import numpy as np

from analysis.model.evaluate import costs
from analysis.model.scenario import Scenario

NEVER_CHOOSE = ("write_protect", "write_protect_batched", "double_buffer", "hpt_sweep")
PAGES = (1, 2, 4, 8, 16, 32, 64, 128)
"""That are written in an epoch which is not silent: the worst of these is taken."""

MOST = 3
"""Times what all sweeps cost that an adversary makes faults cost."""

STEPS = 12
"""Of a bisection for the ratio."""


class Game(NamedTuple):
    """Costs in ns: what a rule pays at least, and what never to choose costs in an epoch.

    Attributes
    ----------
    fault, written : float
        Of a store to a protected page, and of the first to an open one.
    sweep : float
        A harvest while all is open.
    opening, closing : float
        Of all pages that are looked at one by one neither before nor after.
    silent, noisy : float[tracker]
        An epoch without stores, and one with.
    """

    fault: float
    written: float
    sweep: float
    opening: float
    closing: float
    silent: np.ndarray
    noisy: np.ndarray


def game_of(profile, slot_pages, epoch_ns, pages, *, with_flush):
    """Return the game on a platform with an HPT (Game).

    Parameters
    ----------
    profile : Profile
    slot_pages : int
        Of 4 KiB.
    epoch_ns : float
    pages : int
        Written in each epoch that is not silent.
    with_flush : bool
        Whether one flush of all TLBs may stand for the tlbies of pages that are protected together.
    """
    rows = Scenario(slot_pages, np.array([0.0, pages]), epoch_ns)
    placed = profile.at(rows)
    at = placed.values()
    sweep = (rows.hpt_groups + slot_pages / 16) * at["block_sweep"]
    toggled = slot_pages - pages - sweep / at["page_pass"]
    tlbies = toggled * at["tlbie_shared"]
    priced = costs(NEVER_CHOOSE, rows, at)
    never = np.array([np.broadcast_to(priced[name].cpu_ns, 2) for name in NEVER_CHOOSE])
    return Game(
        fault=at["exit"] + at["fault"] + at["fault_tlbies"] * at["tlbie"],
        written=at["set_changed"] + at["page_clear"],
        sweep=sweep,
        opening=toggled * at["page_protect"],
        closing=toggled * at["page_rearm"] + (min(tlbies, at["flush"]) if with_flush else tlbies),
        silent=never[:, 0],
        noisy=never[:, 1],
    )


def excess(game, pages, epochs, ratio):
    """Return by how many ns the adversary makes a rule cost more than `ratio` times the best.

    Backwards over the epochs, for each number of those in which anything was written.
    """
    noisy = np.arange(min(int(MOST * epochs * game.sweep / (pages * game.fault)), epochs) + 1)
    never = game.silent[:, None] * (epochs - noisy) + game.noisy[:, None] * noisy
    closed = is_open = -ratio * never.min(axis=0)
    faults = pages * game.fault
    opened_at_once = game.fault + (pages - 1) * game.written + game.opening + game.sweep
    for _ in range(epochs):
        stays = np.minimum(closed, game.opening + is_open)
        leaves = game.sweep + np.minimum(is_open, game.closing + closed)
        attacked = np.minimum(faults + stays[1:], opened_at_once + is_open[1:])
        closed, is_open = stays, leaves
        closed[:-1] = np.maximum(closed[:-1], attacked)
        is_open[:-1] = np.maximum(is_open[:-1], leaves[1:] + pages * game.written)
    return min(closed[0], is_open[0])


def least_ratio(profile, slot_pages, epoch_ns, epochs, *, with_flush):
    """Return below which ratio to the best tracker that never chooses no rule can stay.

    Parameters
    ----------
    epochs : int
        Of every trace: the rule may know it.
    profile, slot_pages, epoch_ns, with_flush
        As of `game_of`.
    """
    return max(
        _threshold(
            game_of(profile, slot_pages, epoch_ns, pages, with_flush=with_flush), pages, epochs
        )
        for pages in PAGES
    )


def _threshold(game, pages, epochs):
    """Return the greatest ratio that the adversary enforces, by bisection from 1 to 4."""
    low, high = 1.0, 4.0
    for _ in range(STEPS):
        ratio = (low + high) / 2
        if excess(game, pages, epochs, ratio) > 0:
            low = ratio
        else:
            high = ratio
    return low
