"""Seeded synthetic traces: five write patterns, a fresh one in every epoch."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from strategies.errors import InputError
from strategies.plural import plural
from strategies.workloads.archive import MAX_TRACE_BYTES
from strategies.workloads.checks import MAX_EPOCH_STORES, check_meta
from strategies.workloads.recipe import Recipe
from strategies.workloads.trace import Trace

ZIPF_EXPONENT = 0.99
MAX_ZIPF_PAGES = 2**24  # each epoch draws a number for every page: 64 GiB take a second
CLUSTER_PAGES = 16
# Of the recording vga_desktop, where a page is one scan line.
BURST_EPOCHS = 0.13
SCAN_LINES = 26


def uniform(rng: Generator, slot_pages: int, density: float, epochs: int) -> Iterator[np.ndarray]:
    """Yield distinct pages, all equally likely."""
    count = _page_count(slot_pages, density)
    for _ in range(epochs):
        yield rng.choice(slot_pages, count, replace=False, shuffle=False)


def zipf(rng: Generator, slot_pages: int, density: float, epochs: int) -> Iterator[np.ndarray]:
    """Yield distinct pages drawn without replacement, the page of rank r with weight r**-0.99.

    The ranks are scattered over the slot, one way for the whole trace.
    """
    count = _page_count(slot_pages, density)
    # The pages with the smallest Exp(1) / weight are a weighted draw without replacement
    # (Efraimidis and Spirakis 2006).
    inverse_weight = rng.permutation(np.arange(1.0, slot_pages + 1) ** ZIPF_EXPONENT)
    for _ in range(epochs):
        keys = rng.standard_exponential(slot_pages) * inverse_weight
        yield np.argpartition(keys, max(count - 1, 0))[:count]


def sequential(
    rng: Generator, slot_pages: int, density: float, epochs: int
) -> Iterator[np.ndarray]:
    """Yield a window that moves on by its own length and wraps at the end of the slot."""
    count = _page_count(slot_pages, density)
    start = int(rng.integers(slot_pages))
    for epoch in range(epochs):
        yield (start + epoch * count + np.arange(count)) % slot_pages


def clustered(rng: Generator, slot_pages: int, density: float, epochs: int) -> Iterator[np.ndarray]:
    """Yield runs of 16 adjacent pages; the last run is cut to the exact count."""
    count = _page_count(slot_pages, density)
    for _ in range(epochs):
        yield _runs(rng, slot_pages, count, CLUSTER_PAGES)


def framebuffer(
    rng: Generator, slot_pages: int, density: float, epochs: int
) -> Iterator[np.ndarray]:
    """Yield runs of 26 scan lines in 13 % of the epochs, and nothing in the others.

    `density` is the mean over all epochs, so the bursts are 7.7 times as dense.  They are
    equally large to within a page; those of a real desktop vary more.
    """
    active = _burst_epochs(epochs)
    total = _page_count(slot_pages * epochs, density)
    counts = np.zeros(epochs, np.int64)
    bursts = rng.choice(epochs, active, replace=False)
    counts[bursts] = total // active
    counts[bursts[: total % active]] += 1
    for count in counts:
        yield _runs(rng, slot_pages, int(count), SCAN_LINES)


PATTERNS: dict[str, Callable[[Generator, int, float, int], Iterator[np.ndarray]]] = {
    "uniform": uniform,
    "zipf": zipf,
    "sequential": sequential,
    "clustered": clustered,
    "framebuffer": framebuffer,
}


def synthesize(pattern: str, **arguments) -> Trace:
    """Make a synthetic trace; the arguments are those of `Recipe`.

    Raises
    ------
    InputError
        If an argument is out of range, or the trace would not fit a trace file.
    """
    recipe = Recipe(pattern, **arguments)
    check_recipe(recipe)
    page_rng, store_rng, read_rng = np.random.default_rng(recipe.seed).spawn(3)
    shape = recipe.slot_pages, recipe.density, recipe.epochs
    offsets, gfns = _pack(PATTERNS[pattern](page_rng, *shape))
    _check_room(recipe, int(np.diff(offsets).max()))
    counts = None if recipe.stores is None else _stores(store_rng, offsets, recipe.stores)
    if not recipe.reads:
        return Trace(offsets, gfns, recipe.meta, counts)
    reads = _reads(read_rng, offsets, gfns, recipe.slot_pages, recipe.reads)
    return Trace(offsets, gfns, recipe.meta, counts, *_pack(reads))


def check_recipe(recipe: Recipe) -> None:
    """Raise InputError if a recipe is out of range, as far as it shows before it is followed."""
    if recipe.pattern not in PATTERNS:
        raise InputError(f"no pattern {recipe.pattern!r}; accepted: {', '.join(PATTERNS)}")
    if not 0 <= recipe.density <= 1:
        raise InputError(f"density must be 0 to 1 (0 % to 100 %), not {recipe.density}")
    check_meta(recipe.meta)
    _check_pattern(recipe)
    _check_counts(recipe)
    _check_size(recipe)


def _check_pattern(recipe: Recipe) -> None:
    largest = _burst_epochs(recipe.epochs) / recipe.epochs
    if recipe.pattern == "framebuffer" and recipe.density > largest:
        raise InputError(
            f"density of framebuffer must be at most {largest:.3g}, not {recipe.density}: "
            "most of its epochs are idle"
        )
    if recipe.pattern == "zipf" and recipe.slot_pages > MAX_ZIPF_PAGES:
        raise InputError(
            f"slot of zipf must be at most {MAX_ZIPF_PAGES} pages, not {recipe.slot_pages}"
        )


def _check_counts(recipe: Recipe) -> None:
    pages, stores, reads = recipe.slot_pages, recipe.stores, recipe.reads
    if stores is not None and not 0 <= stores <= MAX_EPOCH_STORES:
        raise InputError(f"stores must be 0 to {MAX_EPOCH_STORES}, not {stores}")
    if not 0 <= reads <= pages:
        raise InputError(f"reads must be 0 to the slot's {plural(pages, 'page')}, not {reads}")
    if recipe.seed < 0:
        raise InputError(f"seed must be 0 or more, not {recipe.seed}")


def _check_size(recipe: Recipe) -> None:
    """Refuse what could not be loaded again, before it is made."""
    pages = recipe.density * recipe.slot_pages * (1 if recipe.stores is None else 2)
    nbytes = recipe.epochs * (4 * math.ceil(pages + recipe.reads) + 16)
    if nbytes > MAX_TRACE_BYTES:
        raise InputError(
            f"a trace of {nbytes} bytes is too large; accepted: at most {MAX_TRACE_BYTES} bytes "
            "(fewer epochs, pages or reads)"
        )


def _check_room(recipe: Recipe, most_written: int) -> None:
    if recipe.stores is not None and recipe.stores < most_written:
        raise InputError(
            f"stores must be at least the {plural(most_written, 'page')} written in an epoch, "
            f"not {recipe.stores}"
        )
    room = recipe.slot_pages - most_written
    if recipe.reads > room:
        raise InputError(
            f"reads must be at most the {plural(room, 'page')} not written in an epoch, "
            f"not {recipe.reads}"
        )


def _page_count(pages: int, density: float) -> int:
    return max(1, round(density * pages)) if density > 0 else 0


def _burst_epochs(epochs: int) -> int:
    return max(1, round(BURST_EPOCHS * epochs))


def _runs(rng: Generator, slot_pages: int, count: int, length: int) -> np.ndarray:
    """Return `count` distinct pages in runs of `length`, at a random phase to any alignment."""
    phase = int(rng.integers(length))
    blocks = -(-(slot_pages + phase) // length)
    # Two more than needed: the slot's ends may cut the first and the last block.
    chosen = rng.choice(blocks, min(blocks, -(-count // length) + 2), replace=False)
    pages = (chosen[:, None] * length + np.arange(length) - phase).ravel()
    return pages[(pages >= 0) & (pages < slot_pages)][:count]


def _pack(epochs: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 offsets and uint32 gfns, sorted within each epoch."""
    pages = [np.sort(epoch.astype(np.uint32)) for epoch in epochs]
    return np.cumsum([0, *map(len, pages)], dtype=np.int64), np.concatenate(pages)


def _stores(rng: Generator, offsets: np.ndarray, stores: int) -> np.ndarray:
    """Return uint32[total]: one store to each page, the rest of an epoch's at random."""
    counts = np.ones(offsets[-1], np.uint32)
    for begin, end in pairwise(offsets):
        if begin < end:
            again = rng.integers(end - begin, size=stores - (end - begin))
            counts[begin:end] += np.bincount(again, minlength=end - begin).astype(np.uint32)
    return counts


def _reads(
    rng: Generator, offsets: np.ndarray, gfns: np.ndarray, slot_pages: int, reads: int
) -> Iterator[np.ndarray]:
    """Yield per epoch `reads` distinct pages that it does not write."""
    for begin, end in pairwise(offsets):
        written = gfns[begin:end].astype(np.int64)
        ranks = rng.choice(slot_pages - len(written), reads, replace=False, shuffle=False)
        clean_below = written - np.arange(len(written))
        yield ranks + np.searchsorted(clean_below, ranks, side="right")
