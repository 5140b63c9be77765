"""What a real kernel's tracker costs: terms as the model's, whose unit costs a fit finds.

A harvest's cost per written page seems to depend on density by a factor of 3 to 10. It is a cost
for each page table, bitmap word or run in which something was written, beside a nearly constant one
for each page; a trace gives these counts exactly, a scenario in expectation.

KVM's lanes have one more: from written page to written page they jump in the arrays of page-table
entries and of rmap heads. Where these exceed the L2 cache a jump waits for memory, while the cache
line beside the last one was fetched ahead. So 3 % of random pages cost more in a slot of 1 GiB than
all other terms say, and neither 10 % nor runs do.
"""

from pathlib import Path

import numpy as np

from analysis.model.evaluate import names_at, value_of
from analysis.model.scenario import Scenario
from analysis.model.terms import Term
from strategies.units import parse_size

COUNTED = ("touched_words", "line_runs", "touched_tables", "runs")
"""Counts of a trace that its number of written pages does not tell."""


def _harvest(**counts):
    return tuple(Term("harvest", "host", count, unit) for unit, count in counts.items())


def _stores(**counts):
    return tuple(Term("interval", "guest", count, unit) for unit, count in counts.items())


_FAULTS = _stores(fault="dirty_pages", fault_run="runs", fault_table="touched_tables")

_KVM = (
    *_harvest(
        call="harvests",
        flush="any_dirty",
        word_read="words",
        word_take="touched_words",
        table_take="touched_tables",
        cold_run="line_runs * max(1 - cached_pages / slot_pages, 0)",
        page_rearm="dirty_pages",
    ),
    *_FAULTS,
)

LANE_TERMS = {
    "uffd_async": (
        *_harvest(
            call="harvests",
            page_scan="slot_pages",
            page_clear="dirty_pages",
            table_take="touched_tables",
            run_take="runs",
        ),
        *_FAULTS,
    ),
    "kvm_bitmap": _KVM,
    "kvm_manual": _KVM,
    "kvm_ring": _KVM,
}
"""Terms by lane; each unit is in nanoseconds and of that lane alone."""

ENTRY_BYTES = 8 + 8
"""Of a page: its entry in a page table, and the head of its rmap, which shadow paging has."""

PLAIN = {"splits": 1.0, "uncontended_vcpus": 1.0, "vcore_threads": 1.0}
"""Mechanisms that counts name: base pages, one vCPU."""


def cached_pages(cpu=Path("/sys/devices/system/cpu/cpu0")):
    """Return how many pages have their ENTRY_BYTES in the L2 cache of this machine's first CPU.

    Where the system does not tell, that of 1 MiB.
    """
    for index in cpu.glob("cache/index*"):
        if (index / "level").read_text().strip() == "2":
            return parse_size((index / "size").read_text()) // ENTRY_BYTES
    return (1 << 20) // ENTRY_BYTES


def names_of(slot_pages, dirty_pages, counted, cached):
    """Return all that the terms' counts may name.

    Parameters
    ----------
    slot_pages, dirty_pages : float or array
    counted : dict of str to float or array
        COUNTED; what is not there is what random pages make, in expectation.
    cached : int
        As from `cached_pages`, of the machine that is predicted.
    """
    known = {name: counted[name] for name in COUNTED if name in counted}
    known["cached_pages"] = float(cached)
    return names_at(Scenario(slot_pages, dirty_pages, 0.0, counted=known), PLAIN)


def columns(lane, phase, names):
    """Return by unit how often it is paid in a phase, "harvest" or "interval": float64[n] each."""
    like = np.asarray(names["dirty_pages"], float)
    return {
        term.unit: value_of(term.count, names) + 0 * like
        for term in LANE_TERMS[lane]
        if term.phase == phase
    }


def predicted(lane, phase, names, costs):
    """Return the nanoseconds of a phase.

    Parameters
    ----------
    lane : str
    phase : {"harvest", "interval"}
        A harvest, or what the guest loses in the interval before it.
    names : dict
        As from `names_of`.
    costs : dict of str to float
        Nanoseconds by unit.
    """
    return sum(costs[unit] * count for unit, count in columns(lane, phase, names).items())
