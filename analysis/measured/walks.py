"""What a harvest is made of: how often it walks what, and what each walk costs. No pandas here.

A harvest's time on the reference machine is the sum over its walks of count times cost. Counts are
closed formulas of slot and dirty pages; costs are fitted (`analysis.measured.fit`).

| walk | how often | what it is |
|---|---|---|
| page_scan | pages of the slot | lock its rmap word, look at C along its ring, unlock |
| page_clear | dirty pages | lock the HPTE, make it absent, clear C, valid again; report it |
| word_read | words of the bitmap | look at a word, clear that of the caller's buffer |
| word_take | words with a bit set | take it, and its first page: lines that none before fetched |
| region_enter | regions with a dirty page | far from the page before: translations, prefetchers |
| page_rearm | dirty pages | lock rmap and HPTE, make the HPTE read-only, unlock |
| page_protect | pages of the slot, once | the same for a whole slot, to start logging |
| word_clear | words of the bitmap | clear the caller's buffer: all of a clean double_buffer |
| tlbie | dirty pages | the simulation's tlbie, as measured apart on warm entries |
| tlbie_wait | dirty pages | what it adds among cold ones: its atomics wait for what is before |
| clock | once | two readings of the clock |
"""

from dataclasses import dataclass

import numpy as np

PAGES_PER_WORD = 64
REGION_PAGES = 4096
"""Pages of a region: of spans from 1024 to 16384, that which predicted left-out cells best."""


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


def _touched(slot_pages, dirty_pages, span):
    """Return how many spans of pages have a dirty one when the dirty pages lie at random."""
    clean = 1 - np.minimum(dirty_pages / slot_pages, 1.0)
    return np.ceil(slot_pages / span) * (1 - clean**span)


def _touched_words(slot_pages, dirty_pages):
    return _touched(slot_pages, dirty_pages, PAGES_PER_WORD)


def _touched_regions(slot_pages, dirty_pages):
    return _touched(slot_pages, dirty_pages, REGION_PAGES)


_TAKE = {"clock": _once, "word_take": _touched_words, "region_enter": _touched_regions}
_LIVE = {**_TAKE, "word_read": _words, "page_rearm": _dirty}

ENABLING = "enabling"
"""Enabling the log of a tracker that takes faults: no harvest, but the same walk of all pages."""

MADE_OF = {
    "c_bit_scan": {"clock": _once, "page_scan": _pages, "page_clear": _dirty, "tlbie": _dirty},
    "write_protect": {**_LIVE, "tlbie": _dirty, "tlbie_wait": _dirty},
    "write_protect_batched": _LIVE,
    "double_buffer": {
        **_TAKE,
        "word_read": _words_if_dirty,
        "word_clear": _words_if_clean,
        "page_rearm": _dirty,
    },
    ENABLING: {"page_protect": _pages},
}
"""What the time of each is the sum of: walk -> count of (slot pages, dirty pages)."""

IN_AND_BEYOND = ("page_scan", "page_clear", "page_rearm", "tlbie_wait", "page_protect")
"""Walks along the tables: one cost where a cache holds them, one where none does."""

RISING = ("word_take",)
"""Walks to a random place in the tables: their cost rises over all sizes."""

CONSTANT = ("word_read", "region_enter", "word_clear")
"""Walks that cost the same in all slots."""

TABLE_BYTES = {4096: 40, 65536: 136}
"""Bytes that a page has in the cache lines of the tables that a walk of all pages fetches, by page
size: 8 of its rmap word, and 16 in each of HPT and reverse map where four HPTEs share a line of 64
(4 KiB: two HPTEs for each page, half of each group used), or a line of each of its own (64 KiB)."""

KNOT_BYTES = (4 << 20, 16 << 20)
"""Up to these bytes of tables a cache holds them; from these bytes on none does. Between, and for
RISING up to the least and the greatest size measured, the logarithm of a cost is linear in that of
the size. (The second-level cache has 1 MiB, the third 32 MiB, shared with neighbours.)"""


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
