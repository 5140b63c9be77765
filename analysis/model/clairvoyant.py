"""What choosing between faults and changed bits, page by page, costs at least: a lower bound.

At each store a page is open, so that each harvest looks at it, or protected, so that the store
faults. Who knows all stores to come chooses for each page what costs least. Whatever is left out
here makes that cheaper: pages start and end as is best for each, bitmaps are read and pages
awaited for nothing, a page is opened just before a store at the price of a walk of neighbours and
without a fault, is made read-only without an invalidation of its own, and an open page is looked
at by the cheapest scan that the platform has, of a whole slot, as if all its pages were open. So
nothing that chooses so costs less by the same unit costs, nor do the trackers that never choose.
"""

from typing import NamedTuple

import numpy as np

from analysis.model.scenario import scenario_of_trace

BLOCK_PAGES = 16
"""Pages whose rmap words a sweep reads as one block."""


class PageCosts(NamedTuple):
    """What a page costs, and an epoch, in nanoseconds.

    Attributes
    ----------
    look : float
        A harvest's look at an open page.
    written : float
        Setting the changed bit of an open page, and clearing it.
    fault : float
        The first store to a protected page, until it is protected again.
    opening, cooling : float
        Making a page writable without a fault, and read-only again.
    flush : float
        Of an epoch in which anything was written.
    """

    look: float
    written: float
    fault: float
    opening: float
    cooling: float
    flush: float


def page_costs(profile, trace):
    """Return the least that a trace's pages and epochs cost on a platform (PageCosts)."""
    scenario = scenario_of_trace(trace)
    at = profile.at(scenario).values()
    looks, flushes = [at["page_scan"]], [at["flush"], at["tlbie"]]
    has_hpt = at["definitive_tlbies"]
    if has_hpt:
        blocks = scenario.hpt_groups / trace.slot_pages + 1 / BLOCK_PAGES
        looks += [at["page_pass"], blocks * at["block_sweep"]]
        flushes.append(at["shared_wait"])
    return PageCosts(
        look=float(min(looks)),
        written=at["set_changed"] + at["page_clear"] + has_hpt * at["tlbie_shared"],
        fault=at["exit"] + at["fault"] + at["fault_tlbies"] * at["tlbie"] + at["page_rearm"],
        opening=at["page_protect"],
        cooling=at["page_rearm"],
        flush=float(min(flushes)),
    )


def least_cpu_ns(trace, costs):
    """Return what choosing for each page of a trace costs at least, all epochs together, in ns.

    Dynamic programming over the stores to each page, all pages that an epoch writes at a time.

    Parameters
    ----------
    trace : Trace
    costs : PageCosts
    """
    if_open, if_protected = np.zeros(trace.slot_pages), np.zeros(trace.slot_pages)
    last = np.full(trace.slot_pages, -1)
    for epoch in range(trace.epochs):
        pages = trace.gfns[slice(*trace.offsets[epoch : epoch + 2])]
        begun = last[pages] >= 0
        waits = np.where(begun, epoch - last[pages] - 1, 0) * costs.look
        was_open, was_protected = if_open[pages], if_protected[pages]
        opened = np.minimum(was_open + costs.cooling, was_protected) + begun * costs.opening
        if_open[pages] = np.minimum(was_open + waits, opened) + costs.look + costs.written
        if_protected[pages] = np.minimum(was_open + costs.cooling, was_protected) + costs.fault
        last[pages] = epoch
    flushes = np.count_nonzero(np.diff(trace.offsets)) * costs.flush
    return float(np.minimum(if_open, if_protected).sum() + flushes)
