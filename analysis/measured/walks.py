"""What a harvest is made of: how often it walks what, and what each walk costs. No pandas here.

A harvest's time on the reference machine is the sum over its walks of count times cost. Counts are
closed formulas of slot and dirty pages; costs are fitted (`analysis.measured.fit`), those that miss
caches by the size of the slot: the larger it is, the fewer of its tables a cache holds.
"""

from dataclasses import dataclass

import numpy as np

PAGES_PER_WORD = 64


def _once(slot_pages, dirty_pages):
    return np.ones_like(slot_pages)


def _is_dirty(slot_pages, dirty_pages):
    return np.minimum(dirty_pages, 1.0)


def _pages(slot_pages, dirty_pages):
    return slot_pages


def _dirty(slot_pages, dirty_pages):
    return dirty_pages


def _words(slot_pages, dirty_pages):
    return np.ceil(slot_pages / PAGES_PER_WORD)


def _words_if_clean(slot_pages, dirty_pages):
    return _words(slot_pages, dirty_pages) * (1 - _is_dirty(slot_pages, dirty_pages))


def _words_if_dirty(slot_pages, dirty_pages):
    return _words(slot_pages, dirty_pages) * _is_dirty(slot_pages, dirty_pages)


def _touched_words(slot_pages, dirty_pages):
    """Return how many words of the bitmap have a bit set when the dirty pages lie at random."""
    clean = 1 - np.minimum(dirty_pages / slot_pages, 1.0)
    return _words(slot_pages, dirty_pages) * (1 - clean**PAGES_PER_WORD)


_BITMAP = {
    "clock": _once,
    "word_read": _words,
    "dirty_harvest": _is_dirty,
    "word_take": _touched_words,
    "page_rearm": _dirty,
}

ENABLING = "enabling"
"""Enabling the log of a fault-based tracker: no harvest, but the same walk over all pages."""

MADE_OF = {
    "c_bit_scan": {
        "clock": _once,
        "page_scan": _pages,
        "page_clear": _dirty,
        "tlbie": _dirty,
    },
    "write_protect": {**_BITMAP, "tlbie": _dirty, "tlbie_wait": _dirty},
    "write_protect_batched": _BITMAP,
    "double_buffer": {**_BITMAP, "word_read": _words_if_dirty, "word_clear": _words_if_clean},
    ENABLING: {"page_protect": _pages},
}
"""What the time of each is the sum of: walk -> count of (slot pages, dirty pages)."""

BY_SIZE = (
    "page_scan",
    "page_clear",
    "word_read",
    "word_take",
    "page_rearm",
    "tlbie_wait",
    "page_protect",
)
"""Walks whose cost depends on the size of the slot."""

CONSTANT = ("dirty_harvest", "word_clear")
"""Walks that cost the same in all slots."""

KNOTS = tuple(1 << shift for shift in (12, 15, 18, 20, 22))
"""Slot pages between which the logarithm of a cost is linear in that of the size.

A page of a 4 KiB slot has 40 bytes of tables in lines that it shares, one of a 64 KiB slot 136 of
its own: from what a second-level cache holds, over what a third-level cache does, to neither.
"""


def hats(slot_pages, knots):
    """Return the weight of each knot at each size: float[..., knots], each row's sum 1.

    Beyond the knots the nearest has all the weight.
    """
    logs = np.log2(np.asarray(knots, float))
    at = np.log2(np.asarray(slot_pages, float))
    return np.stack([np.interp(at, logs, row) for row in np.eye(len(logs))], axis=-1)


def counts(strategy, slot_pages, dirty_pages):
    """Return how often a harvest walks what: a dict of arrays.

    Parameters
    ----------
    strategy : str
        One of MADE_OF.
    slot_pages, dirty_pages : array_like of float
    """
    slot_pages, dirty_pages = np.broadcast_arrays(
        np.asarray(slot_pages, float), np.asarray(dirty_pages, float)
    )
    return {name: count(slot_pages, dirty_pages) for name, count in MADE_OF[strategy].items()}


@dataclass(frozen=True)
class Cost:
    """The cost of a walk at some slot sizes, and between them.

    Attributes
    ----------
    slot_pages : float[n]
        Knots; one only where the cost is the same in all slots.
    ns, error : float[n]
        Nanoseconds for each time, and the relative standard error of that.
    """

    slot_pages: np.ndarray
    ns: np.ndarray
    error: np.ndarray

    def at(self, slot_pages):
        """Return (ns, relative standard error) at a size; constant beyond the knots.

        The error between two knots is interpolated, too: it is at most that.
        """
        weights = hats(slot_pages, self.slot_pages)
        return np.exp(weights @ np.log(self.ns)), weights @ self.error


def harvest_ns(costs, strategy, slot_pages, dirty_pages):
    """Return the time of a harvest as the sum of its walks, in ns.

    Parameters
    ----------
    costs : dict of str to Cost
        At least those of the strategy.
    """
    times = counts(strategy, slot_pages, dirty_pages)
    return sum(count * costs[name].at(slot_pages)[0] for name, count in times.items())
