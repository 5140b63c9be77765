"""The cost model: events of one interval times unit costs. Every number here is modelled.

An interval is the time between two harvests. For a slot of P pages, d of them written (each first
by one vCPU), r only read, V vCPUs storing:

- harvest latency is what the host's thread spends in one harvest;
- guest stall is what all vCPUs together lose to tracking in one interval;
- total CPU time is their sum.

Counts of events are those that the machine counts exactly (a test compares them); only the unit
costs are a platform's.
"""

from collections.abc import Callable
from dataclasses import dataclass

PAGES_PER_WORD = 64


@dataclass(frozen=True)
class Scenario:
    """One deployment.

    Attributes
    ----------
    slot_pages, dirty_pages, read_pages : float
        Pages of the slot, pages written and pages only read per interval.
    interval_ns : float
    vcpus : int
    """

    slot_pages: float
    dirty_pages: float
    interval_ns: float
    vcpus: int = 1
    read_pages: float = 0.0

    @property
    def words(self):
        """Words of the slot's bitmap."""
        return -(-self.slot_pages // PAGES_PER_WORD)

    @property
    def density(self):
        """Share of the slot's pages that are written in an interval."""
        return self.dirty_pages / self.slot_pages

    @property
    def is_dirty(self):
        """1 if anything is written in an interval; between 0 and 1 the chance of it."""
        return min(self.dirty_pages, 1.0)


@dataclass(frozen=True)
class Cost:
    """What a strategy costs in one interval, in nanoseconds."""

    harvest_ns: float
    stall_ns: float

    @property
    def cpu_ns(self):
        """Host and vCPU time together."""
        return self.harvest_ns + self.stall_ns


def _fault(c, s):
    return c["fault"] + c["fault_vcpu"] * (s.vcpus - 1)


def _tlbie(c, s):
    return c["tlbie"] + c["tlbie_vcpu"] * (s.vcpus - 1)


def _flush(c, s):
    return c["flush"] + c["flush_vcpu"] * (s.vcpus - 1)


def _c_bit_scan(c, s):
    harvest = s.slot_pages * c["page_scan"] + s.dirty_pages * (c["page_clear"] + _tlbie(c, s))
    return Cost(harvest, s.dirty_pages * c["set_changed"])


def _write_protect(c, s):
    harvest = s.words * c["word_read"] + s.dirty_pages * (c["page_rearm"] + _tlbie(c, s))
    return Cost(harvest, s.dirty_pages * _fault(c, s))


def _write_protect_batched(c, s):
    harvest = s.words * c["word_read"] + s.dirty_pages * c["page_rearm"]
    return Cost(harvest + s.is_dirty * _flush(c, s), s.dirty_pages * _fault(c, s))


def _double_buffer(c, s):
    busy = s.words * c["word_read"] + c["grace"] + _flush(c, s)
    harvest = s.is_dirty * busy + s.dirty_pages * c["page_rearm"]
    return Cost(harvest, s.dirty_pages * _fault(c, s))


def _pte_flush(c, s):
    touched = s.dirty_pages + s.read_pages
    busy = s.words * c["word_read"] + s.slot_pages * c["page_unmap"] + _flush(c, s)
    harvest = s.words * c["word_read"] + min(touched, 1.0) * busy
    return Cost(harvest, touched * _fault(c, s))


MODELS: dict[str, Callable[[dict[str, float], Scenario], Cost]] = {
    "c_bit_scan": _c_bit_scan,
    "write_protect": _write_protect,
    "write_protect_batched": _write_protect_batched,
    "double_buffer": _double_buffer,
    "pte_flush": _pte_flush,
}


@dataclass(frozen=True)
class Range:
    """A modelled number: from the profile's values, and from all its lows and highs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What a strategy costs on a platform, with ranges.

    `stall_fraction` is vCPU time lost to tracking over vcpus x interval.
    """

    strategy: str
    harvest_ns: Range
    stall_fraction: Range
    cpu_ns: Range


def estimate(strategy, profile, scenario):
    """Return the Estimate of a strategy on a platform.

    All costs grow with every constant, so the lows together bound from below, the highs from above.
    """
    low, value, high = (
        MODELS[strategy](profile.costs(scenario, which), scenario)
        for which in ("low", "value", "high")
    )
    guest_ns = scenario.vcpus * scenario.interval_ns

    def spread(of):
        return Range(of(value), of(low), of(high))

    return Estimate(
        strategy,
        harvest_ns=spread(lambda cost: cost.harvest_ns),
        stall_fraction=spread(lambda cost: cost.stall_ns / guest_ns),
        cpu_ns=spread(lambda cost: cost.cpu_ns),
    )


def available(profile):
    """Return the strategies that a platform offers, in the order of MODELS."""
    return tuple(name for name in MODELS if name not in profile.unavailable)
