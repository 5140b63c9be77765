"""Is a lane exact? Many page writes on slots of several sizes, then a harvest beside a writer."""

import math
from itertools import cycle

from strategies.core.memory import available_bytes
from strategies.lanes.run import live, replay_lane
from strategies.lanes.words import PAGE_BYTES
from strategies.workloads.synthetic import synthesize

SIZES = tuple(mib << 20 for mib in (64, 256, 1024, 4096))
PATTERNS = ("uniform", "clustered")
LEAST_EPOCHS = 4
MOST_DENSITY = 0.5
LIVE_PAGES = (64 << 20) // PAGE_BYTES
LIVE_ROUNDS = 400


def check_lane(say, name, writes, sizes=SIZES):
    """Return what came of so many page writes or a few more, and of a live loop (a dict of counts).

    The writes are divided among those slots (bytes) that fit into free memory, random pages and
    clustered ones in turn. `lost` and `spurious` are judged by contents at each harvest;
    `live_differing` are the pages whose copy is not what memory holds at the end of the live loop.
    """
    sizes = [size for size in sizes if size * 1.25 < (available_bytes() or size * 2)]
    counts = {"slots_mib": [size >> 20 for size in sizes], "pages_written": 0, "lost": 0}
    counts |= {"spurious": 0, "harvests": 0}
    for size, pattern in zip(sizes, cycle(PATTERNS), strict=False):
        trace = _trace(pattern, size, math.ceil(writes / len(sizes)))
        result = replay_lane(say, trace, name, False)
        counts["pages_written"] += sum(result.stored)
        counts["lost"] += sum(result.lost)
        counts["spurious"] += sum(result.spurious)
        counts["harvests"] += len(result.harvest_ns)
    differing, stores, _ = live(say, name, LIVE_PAGES, LIVE_ROUNDS)
    live_counts = {"live_rounds": LIVE_ROUNDS, "live_stores": stores, "live_differing": differing}
    return counts | live_counts


def is_exact(counts):
    """Return whether nothing was lost, nothing reported in excess, and the copy is memory."""
    return not (counts["lost"] or counts["spurious"] or counts["live_differing"])


def _trace(pattern, size, writes):
    pages = size // PAGE_BYTES
    epochs = max(LEAST_EPOCHS, math.ceil(writes / (pages * MOST_DENSITY)))
    density = math.ceil(writes / epochs) / pages
    return synthesize(pattern, slot_pages=pages, density=density, epochs=epochs)
