"""One harvest: its time inside compiled code, that of a copy of the bitmap, and of a call."""

import numpy as np

from benchmarks.common import (
    BASE,
    DENSITIES,
    FITTED,
    FULL_DENSITIES,
    GIB,
    IS_FULL,
    MAPPINGS,
    MEASURED,
    MIB,
    PAGES,
    SLOT,
    SLOTS,
    STUDY_SLOTS,
    VARIANTS,
    OwnClock,
    full_only,
    open_cell,
    page_count,
    skipped,
)
from strategies import registry
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.words import I64, ONE

COPY_BYTES = 16 * MIB
"""Bytes copied for one measurement of a copy: many copies of a small bitmap."""

RELATIVE_HARVESTS = 15

STAGGERED = (0.001, 1.0), (0.0001, 0.1)
"""Densities of every other slot of the full grid, beside 0 and 1 %: a fit wants spread."""

FEW = 0.0, 0.01

COPIED = [16 * MIB, 256 * MIB, 4 * GIB]
"""Slot sizes whose harvest is compared with a copy."""


@kernel
def copies_ns(source, out, times):
    """Copy a bitmap `times` times; return the nanoseconds, and a sum that needs every copy."""
    start = monotonic_ns()
    total = I64(0)
    for k in range(times):
        source[k % source.size] ^= ONE
        out[:] = source
        total += I64(out[k * 7 % out.size] & ONE)
    return monotonic_ns() - start, total


def copy_ns(source):
    """Return the nanoseconds of one copy of a bitmap, the mean of many."""
    times = max(4, COPY_BYTES // source.nbytes)
    source, out = source.copy(), np.zeros_like(source)
    copies_ns(source, out, 1)
    return copies_ns(source, out, times)[0] / times


def densities_of(slot_bytes, page_bytes, mapping):
    """Return the densities at which the full grid measures a slot.

    All at the smallest and the largest slot, and at those that the study has; half of them between.
    """
    variant = page_bytes, mapping
    number = VARIANTS[variant].index(slot_bytes)
    is_end = number in (0, len(VARIANTS[variant]) - 1)
    if is_end or (variant == BASE and slot_bytes in STUDY_SLOTS):
        return FULL_DENSITIES
    return *FEW, *STAGGERED[number % 2]


def is_left_out(strategy, slot_bytes, density, page_bytes, mapping):
    """Say which cells of the grid are not run."""
    if slot_bytes not in VARIANTS.get((page_bytes, mapping), ()):
        return True
    if not IS_FULL:
        few = (0.0,) if strategy == registry.BASELINE else FEW
        return slot_bytes == 16 * GIB and density not in few
    if density and not page_count(slot_bytes // page_bytes, density):
        return True  # less than one page
    if strategy not in FITTED:
        is_studied = (page_bytes, mapping) == BASE and slot_bytes in STUDY_SLOTS
        return not is_studied or density not in FEW
    return density not in densities_of(slot_bytes, page_bytes, mapping)


def is_not_copied(strategy, slot_bytes, density, page_bytes, mapping):
    """Say which cells are not compared with a copy: any that is dirty, variants, most sizes."""
    is_base = (page_bytes, mapping) == BASE
    return not is_base or slot_bytes not in COPIED or density > 0


class GetDirtyLog(OwnClock):
    """A harvest with the vCPUs stopped, after an interval that wrote a share of the slot."""

    param_names = ("strategy", "slot_bytes", "density", "page_bytes", "mapping")
    params = (
        MEASURED,
        SLOTS,
        DENSITIES,
        PAGES,
        MAPPINGS,
    )
    skip_params = skipped(is_left_out, *params)

    def setup(self, strategy, slot_bytes, density, page_bytes, mapping):
        """Run an interval."""
        self.cell = open_cell(strategy, slot_bytes, page_bytes, mapping)
        self.cell.dirty(density)

    def time_get_dirty_log(self, *_params):
        """Time one harvest, by the clock inside it."""
        self.ns += self.cell.harvest()

    def track_relative_to_copy(self, _strategy, _slot_bytes, density, *_params):
        """Return a harvest's median time over that of a copy of the same bitmap."""
        ratios = []
        for _ in range(RELATIVE_HARVESTS):
            ns = self.cell.harvest()
            ratios.append(ns / copy_ns(self.cell.out))
            self.cell.dirty(density)
        return float(np.median(ratios))

    track_relative_to_copy.unit = "copies"
    track_relative_to_copy.skip_params = skipped(is_not_copied, *params)


full_only(GetDirtyLog, "track_relative_to_copy")


class GetDirtyLogCall:
    """The same for a clean slot of 16 MiB, timed from Python: what a call costs beside a harvest.

    A harvest of a clean slot changes nothing, so asv may time many calls in a row.
    """

    param_names = ("strategy",)
    params = (MEASURED if IS_FULL else ["null"],)
    warmup_time = 0.1
    number = 1
    repeat = (5, 20, 1.0)
    rounds = 2
    version = "1"
    calls = 1000

    def setup(self, strategy):
        """Have a clean slot and a checked harvest of it."""
        self.cell = open_cell(strategy, 16 * MIB)
        self.cell.dirty(0.0)
        self.cell.harvest()

    def time_1000_calls(self, _strategy):
        """Time 1000 harvests from outside."""
        tracker, out = self.cell.tracker, self.cell.out
        for _ in range(self.calls):
            tracker.get_dirty_log(SLOT, out)
