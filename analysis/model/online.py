"""What no tracker can promise that does not know the stores to come: a lower bound, by a game.

An adversary sees which pages are protected. In each epoch it is silent, or it writes some pages,
one after the other, each one that is protected, if any is. Whatever a deterministic rule does page
by page, one of the adversary's choices makes it cost `least_ratio` times the best tracker that
never chooses.

Why two states are enough: a rule is closed while at most some share of all pages is open, and stays
so until fewer are protected than are written in an epoch: the adversary finds pages to write, and
each faults. It is open from then on until at most that share is open again, and pays that share of
a sweep in each epoch, for it has to look at what is open, and a part of the HPT costs its part of a
sweep (looked at one by one, pages cost more by these unit costs). Between the states it pays for
a look at what is open as well, and is let off. Only what faults open meanwhile is opened for
nothing: that of two epochs is taken off the price of opening, and in a further one the look that is
let off costs more. The bound holds for each share, so the greatest is taken.

Where a rule would have to pay more than is counted here (what harvests report of faults, bitmaps,
waits, tlbies of what is written), it is let off; it may start in either state, and is told at the
first store of an epoch how many will follow. So the bound holds by these unit costs, under the
linear mapping, where a part of the pages lies in its part of the HPT; it is not claimed that any
rule reaches it. A rule that draws lots may do better on average.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from analysis.model.evaluate import costs
from analysis.model.scenario import Scenario

NEVER_CHOOSE = ("write_protect", "write_protect_batched", "double_buffer", "hpt_sweep")
PAGES = (6, 8, 12, 16)
"""That are written in an epoch which is not silent: the worst of these is taken."""

SHARES = (0.7, 0.8, 0.9)
"""Of all pages, above which a rule counts as open: the one with the greatest bound is taken."""

MOST = 3
"""Times what all sweeps cost that an adversary makes faults cost at most: a limit for it alone."""

STEPS = 12
"""Of a bisection for the ratio."""


class Game(NamedTuple):
    """Costs in ns: what a rule pays at least, and what never to choose costs in an epoch.

    Attributes
    ----------
    fault, written : float
        Of a store to a protected page, and of the first to an open one.
    sweep : float
        A harvest while more than the share is open.
    opening, closing : float
        Of the pages above the share.
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


def game_of(profile, slot_pages, epoch_ns, pages, share):
    """Return the game on a platform with an HPT (Game).

    Parameters
    ----------
    profile : Profile
    slot_pages : int
        Of 4 KiB.
    epoch_ns : float
    pages : int
        Written in each epoch that is not silent.
    share : float
        Of all pages, above which a rule counts as open.
    """
    rows = Scenario(slot_pages, np.array([0.0, pages]), epoch_ns)
    placed = profile.at(rows)
    at = placed.values()
    sweep = (rows.hpt_groups + slot_pages / 16) * at["block_sweep"]
    toggled = (1 - share) * slot_pages - 2 * pages
    tlbies = min(toggled * at["tlbie_shared"], at["flush"])
    priced = costs(NEVER_CHOOSE, rows, at)
    never = np.array([np.broadcast_to(priced[name].cpu_ns, 2) for name in NEVER_CHOOSE])
    return Game(
        fault=at["exit"] + at["fault"] + at["fault_tlbies"] * at["tlbie"],
        written=at["set_changed"] + at["page_clear"],
        sweep=share * sweep,
        opening=toggled * at["page_protect"],
        closing=toggled * at["page_rearm"] + tlbies,
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
    opened_at_once = game.fault + (pages - 1) * game.written + game.opening
    for _ in range(epochs):
        stays = np.minimum(closed, game.opening + is_open)
        leaves = game.sweep + np.minimum(is_open, game.closing + closed)
        attacked = np.minimum(faults + stays[1:], opened_at_once + leaves[1:])
        closed, is_open = stays, leaves
        closed[:-1] = np.maximum(closed[:-1], attacked)
        is_open[:-1] = np.maximum(is_open[:-1], leaves[1:] + pages * game.written)
    return min(closed[0], is_open[0])


def least_ratio(profile, slot_pages, epoch_ns, epochs):
    """Return below which ratio to the best tracker that never chooses no rule can stay.

    Parameters
    ----------
    epochs : int
        Of every trace: the rule may know it.
    profile, slot_pages, epoch_ns
        As of `game_of`.
    """
    return max(
        _threshold(game_of(profile, slot_pages, epoch_ns, pages, share), pages, epochs)
        for pages, share in product(PAGES, SHARES)
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
