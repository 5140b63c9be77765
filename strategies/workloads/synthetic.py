"""Seeded synthetic traces: five write patterns, a fresh one in every epoch."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from strategies.errors import InputError
from strategies.workloads.archive import MAX_TRACE_BYTES
from strategies.workloads.checks import MAX_EPOCH_STORES, check_meta
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


def synthesize(
    pattern: str,
    *,
    slot_pages: int,
    density: float,
    epochs: int,
    seed: int = 0,
    stores: int | None = None,
    reads: int = 0,
    epoch_ms: float = 10.0,
    page_size: int = 4096,
) -> Trace:
    """Make a synthetic trace, the same one for the same arguments.

    Parameters
    ----------
    pattern : str
        A key of PATTERNS.
    slot_pages : int
        Pages of the slot.
    density : float
        Distinct pages written per epoch / `slot_pages`, 0 to 1, rounded to whole pages
        but to at least one page above 0.
    epochs : int
        Number of epochs.
    seed : int
        Seed of the written pages and, independently, of `stores` and `reads`: the same
        pages are written whatever those two are.
    stores : int, optional
        Stores in every epoch that writes: one to each written page, the others
        distributed over them at random.  None means one to each.
    reads : int
        Distinct pages only read per epoch, drawn uniformly from those not written in it.
    epoch_ms : float
        Milliseconds of an epoch.
    page_size : int
        Bytes of a page.

    Raises
    ------
    InputError
        If an argument is out of range, or the trace would not fit a trace file.
    """
    meta = checked_meta(
        pattern,
        slot_pages=slot_pages,
        density=density,
        epochs=epochs,
        seed=seed,
        stores=stores,
        reads=reads,
        epoch_ms=epoch_ms,
        page_size=page_size,
    )
    page_rng, store_rng, read_rng = np.random.default_rng(seed).spawn(3)
    offsets, gfns = _pack(PATTERNS[pattern](page_rng, slot_pages, density, epochs))
    _check_room(meta, int(np.diff(offsets).max()))
    counts = None if stores is None else _stores(store_rng, offsets, stores)
    if not reads:
        return Trace(offsets, gfns, meta, counts)
    read_offsets, read_gfns = _pack(_reads(read_rng, offsets, gfns, slot_pages, reads))
    return Trace(offsets, gfns, meta, counts, read_offsets, read_gfns)


def checked_meta(
    pattern: str,
    *,
    slot_pages: int,
    density: float,
    epochs: int,
    seed: int = 0,
    stores: int | None = None,
    reads: int = 0,
    epoch_ms: float = 10.0,
    page_size: int = 4096,
) -> dict:
    """Return the meta of a synthetic trace; the arguments are those of `synthesize`.

    Raises
    ------
    InputError
        If one is out of range, as far as it shows before the trace is made.
    """
    meta = {"name": pattern, "page_size": page_size, "slot_pages": slot_pages}
    meta |= {"epoch_ms": epoch_ms, "epochs": epochs, "recorder": "synthetic", "pattern": pattern}
    meta |= {"seed": seed, "density": density, "stores": stores, "reads": reads}
    _check_arguments(meta)
    return meta


def _check_arguments(meta: dict) -> None:
    if meta["pattern"] not in PATTERNS:
        raise InputError(f"no pattern {meta['pattern']!r}; accepted: {', '.join(PATTERNS)}")
    density, stores, reads, seed = (meta[key] for key in ("density", "stores", "reads", "seed"))
    if not 0 <= density <= 1:
        raise InputError(f"density must be 0 to 1 (0 % to 100 %), not {density}")
    check_meta(meta)
    largest = _burst_epochs(meta["epochs"]) / meta["epochs"]
    if meta["pattern"] == "framebuffer" and density > largest:
        raise InputError(
            f"density of framebuffer must be at most {largest:.3g}, not {density}: "
            "most of its epochs are idle"
        )
    if meta["pattern"] == "zipf" and meta["slot_pages"] > MAX_ZIPF_PAGES:
        raise InputError(
            f"slot of zipf must be at most {MAX_ZIPF_PAGES} pages, not {meta['slot_pages']}"
        )
    if stores is not None and not 0 <= stores <= MAX_EPOCH_STORES:
        raise InputError(f"stores must be 0 to {MAX_EPOCH_STORES}, not {stores}")
    if not 0 <= reads <= meta["slot_pages"]:
        raise InputError(f"reads must be 0 to the slot's {meta['slot_pages']} pages, not {reads}")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, not {seed}")
    _check_size(meta)


def _check_size(meta: dict) -> None:
    """Refuse what could not be loaded again, before it is made."""
    pages = meta["density"] * meta["slot_pages"] * (1 if meta["stores"] is None else 2)
    nbytes = meta["epochs"] * (4 * math.ceil(pages + meta["reads"]) + 16)
    if nbytes > MAX_TRACE_BYTES:
        raise InputError(
            f"a trace of {nbytes} bytes is too large; accepted: at most {MAX_TRACE_BYTES} bytes "
            "(fewer epochs, pages or reads)"
        )


def _check_room(meta: dict, most_written: int) -> None:
    if meta["stores"] is not None and meta["stores"] < most_written:
        raise InputError(
            f"stores must be at least the {most_written} pages written in an epoch, "
            f"not {meta['stores']}"
        )
    room = meta["slot_pages"] - most_written
    if meta["reads"] > room:
        raise InputError(
            f"reads must be at most the {room} pages not written in an epoch, not {meta['reads']}"
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
