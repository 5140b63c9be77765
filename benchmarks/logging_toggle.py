"""Enabling and disabling the log of a slot."""

import time

from benchmarks.common import (
    BASE,
    GIB,
    IS_FULL,
    MAPPINGS,
    MEASURED,
    MIB,
    PAGE_64K,
    PAGES,
    SLOT,
    OwnClock,
    WrongHarvestError,
    open_cell,
    skipped,
)
from strategies import registry

CHECKED_DENSITY = 0.01
SLOTS = [16 * MIB, 256 * MIB, 4 * GIB, 64 * GIB] if IS_FULL else [256 * MIB]
FAULTS = ("write_faults", "map_faults")


def outside_ns(function, *args):
    """Return the nanoseconds of a call, the call itself included."""
    start = time.perf_counter_ns()
    function(*args)
    return time.perf_counter_ns() - start


def is_left_out(strategy, slot_bytes, page_bytes, mapping):
    """Say which cells are not run: large slots of small pages, most trackers in the variants."""
    if slot_bytes not in ((256 * MIB, 4 * GIB, 64 * GIB) if page_bytes == PAGE_64K else SLOTS[:3]):
        return True
    return (page_bytes, mapping) != BASE and strategy not in ("write_protect", registry.BASELINE)


def is_not_disabled(strategy, slot_bytes, page_bytes, mapping):
    """Say where disabling is not measured: in the variants."""
    is_base = (page_bytes, mapping) == BASE
    return not is_base or is_left_out(strategy, slot_bytes, page_bytes, mapping)


class LoggingToggle(OwnClock):
    """A slot whose pages were all written since the guest mapped them, as of a guest that ran long.

    Enabling and disabling keep no time of their own: these are timed from outside, some
    microseconds of call included (see `null`).
    """

    param_names = ("strategy", "slot_bytes", "page_bytes", "mapping")
    params = (MEASURED, SLOTS, PAGES, MAPPINGS)
    skip_params = skipped(is_left_out, *params)
    version = "2"

    def setup(self, strategy, slot_bytes, page_bytes, mapping):
        """Write all pages while nothing logs."""
        self.cell = open_cell(strategy, slot_bytes, page_bytes, mapping)
        self.cell.tracker.disable_logging(SLOT)
        self.cell.dirty(1.0)

    def time_enable_logging(self, *_params):
        """Time the start of logging; the log must be empty then."""
        ns = outside_ns(self.cell.tracker.enable_logging, SLOT)
        self.cell.draw(0.0)
        self.cell.harvest()
        self.ns += ns

    def time_disable_logging(self, *_params):
        """Time the end of logging, some pages written since the last harvest.

        No store may fault for the log afterwards.
        """
        self.cell.tracker.enable_logging(SLOT)
        self.cell.dirty(CHECKED_DENSITY)
        ns = outside_ns(self.cell.tracker.disable_logging, SLOT)
        before = self.cell.vm.events()
        self.cell.dirty(CHECKED_DENSITY)
        after = self.cell.vm.events()
        if any(after[fault] != before[fault] for fault in FAULTS):
            raise WrongHarvestError(f"{self.cell.tracker.name}: faults after logging was disabled")
        self.ns += ns

    time_disable_logging.skip_params = skipped(is_not_disabled, *params)
