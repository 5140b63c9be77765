"""What the guest does between two harvests: the numbers that the model's formulas start from."""

from dataclasses import dataclass, field, replace

import numpy as np

NAMES = ("slot_pages", "dirty_pages", "read_pages", "vcpus", "entry_pages", "hpt_groups")
"""Attributes that formulas may name."""

PAGES_PER_WORD = 64
PAGES_PER_SUMMARY = 64 * PAGES_PER_WORD
PAGES_PER_LINE, PAGES_PER_TABLE = 8, 512
"""Of page tables with entries of 8 bytes."""
GROUP_BYTES = 128
HPT_SHARE = 128
LEAST_HPT_BYTES = 1 << 18


@dataclass(frozen=True)
class Scenario:
    """One deployment, or several at once: numbers may be arrays, and they broadcast.

    Attributes
    ----------
    slot_pages, dirty_pages, read_pages : float or array
        Base pages of the slot, pages written and pages only read per interval.
    interval_ns : float
    vcpus : int or array
        That store, each its share.
    page_bytes : int
        Of a base page: what a bit of the log speaks for.
    entry_pages : int
        Base pages of one page-table entry before logging: above 1 for huge pages.
    mapping : {"linear", "scattered"}
        How guest addresses follow memory; matters to walks of a hashed page table.
    resend_ns : float
        What sending one page again costs; the price of a page that is reported but was not
        written.
    counted : dict of str to float or array
        Counts of `analysis.model.terms.COUNTS` that were counted and need no formula.
    """

    slot_pages: float
    dirty_pages: float
    interval_ns: float
    vcpus: float = 1
    read_pages: float = 0.0
    page_bytes: int = 4096
    entry_pages: float = 1
    mapping: str = "linear"
    resend_ns: float = 0.0
    counted: dict = field(default_factory=dict)

    @property
    def density(self):
        """Share of the slot's pages that are written in an interval."""
        return self.dirty_pages / self.slot_pages

    @property
    def hpt_groups(self):
        """Groups of a hashed page table that is 1/128 of the slot, a power of two, as QEMU's is."""
        share = np.asarray(self.slot_pages, float) * self.page_bytes / HPT_SHARE
        table = 2.0 ** np.ceil(np.log2(np.maximum(share, LEAST_HPT_BYTES)))
        return table / GROUP_BYTES

    def names(self):
        """Return what formulas may name, by name."""
        return {name: np.asarray(getattr(self, name), float) for name in NAMES} | self.counted

    def scaled_to(self, slot_pages):
        """Return the scenario of a slot of so many pages: all counts of pages in proportion."""
        times = slot_pages / self.slot_pages
        return replace(
            self,
            slot_pages=slot_pages,
            dirty_pages=self.dirty_pages * times,
            read_pages=self.read_pages * times,
            counted={name: count * times for name, count in self.counted.items()},
        )

    def at_density(self, density):
        """Return the scenario with another share of pages written, scattered; the mean is read."""
        reads = float(np.mean(self.read_pages))
        return replace(self, dirty_pages=density * self.slot_pages, read_pages=reads, counted={})


def scenario_of_trace(trace, vcpus=1, entry_pages=1):
    """Return the scenario of a recording: an array element for each epoch, counted, not expected.

    Parameters
    ----------
    trace : Trace
    vcpus : int
    entry_pages : int
        Base pages that one entry speaks for while logging.
    """
    epochs = np.repeat(np.arange(trace.epochs), np.diff(trace.offsets))
    reads = 0.0 if trace.read_offsets is None else np.diff(trace.read_offsets).astype(float)
    return Scenario(
        slot_pages=trace.slot_pages,
        dirty_pages=np.diff(trace.offsets).astype(float),
        interval_ns=trace.epoch_ms * 1e6,
        vcpus=vcpus,
        read_pages=reads,
        page_bytes=trace.page_size,
        entry_pages=entry_pages,
        counted={
            "touched_words": _distinct(trace, epochs, max(PAGES_PER_WORD, entry_pages))
            * max(1, entry_pages // PAGES_PER_WORD),
            "touched_summaries": _distinct(trace, epochs, max(PAGES_PER_SUMMARY, entry_pages))
            * max(1, entry_pages // PAGES_PER_SUMMARY),
            "dirty_entries": _distinct(trace, epochs, entry_pages),
            "line_runs": _runs(trace, epochs, PAGES_PER_LINE),
            "touched_tables": _distinct(trace, epochs, PAGES_PER_TABLE),
            "runs": _runs(trace, epochs, 1),
        },
    )


def _distinct(trace, epochs, pages):
    """Return for each epoch in how many aligned groups of so many pages something was written."""
    groups = trace.gfns // np.uint32(pages)
    return _begun(trace, epochs, groups[1:] != groups[:-1])


def _runs(trace, epochs, pages):
    """Return for each epoch how many runs of adjacent such groups something was written in."""
    groups = trace.gfns // np.uint32(pages)
    return _begun(trace, epochs, groups[1:] > groups[:-1] + np.uint32(1))


def _begun(trace, epochs, begins):
    """Return for each epoch how many pages begin something, its first being one of them."""
    first = np.ones(len(epochs), bool)
    first[1:] = begins | (epochs[1:] != epochs[:-1])
    return np.bincount(epochs[first], minlength=trace.epochs).astype(float)


ROWS = ("clean", "written", "p99", "worst")


def rows_of(scenario):
    """Return a scenario of four rows that stand for all its intervals, and the rows' weights.

    `clean`: an interval without a write; `written`: the mean of the others. The terms of the model
    are linear in the counts of such intervals, so the two, weighted, give the mean over all of
    them exactly. `p99` and `worst` are single intervals, by pages written; their weight is 0.

    Returns
    -------
    tuple of (Scenario, float[4, 1])
        With arrays of shape (4, 1), to broadcast against draws.
    """
    dirty = np.atleast_1d(np.asarray(scenario.dirty_pages, float))
    order = np.argsort(dirty, kind="stable")
    clean = dirty == 0
    single = [order[-(-99 * dirty.size // 100) - 1], order[-1]]

    def four(values):
        values = np.broadcast_to(np.asarray(values, float), dirty.shape)
        written = values[~clean].mean() if not clean.all() else values.mean()
        unwritten = values[clean].mean() if clean.any() else 0.0
        return np.array([unwritten, written, *values[single]])[:, None]

    weights = np.array([clean.mean(), 1 - clean.mean(), 0.0, 0.0])[:, None]
    return replace(
        scenario,
        dirty_pages=four(dirty),
        read_pages=four(scenario.read_pages),
        counted={name: four(values) for name, values in scenario.counted.items()},
    ), weights
