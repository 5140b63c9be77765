"""What a replay would cost on a platform: the machine's own exact counts, priced by a profile."""

import numpy as np

from analysis.model.draws import drawn, spread
from analysis.model.evaluate import PAID, named, names_at, term_ns, terms_of
from analysis.model.scenario import Scenario
from strategies.costs import X86_KVM, UnitCosts
from strategies.registry import CHOOSES_BY_COST, base_of

PHASES = ("harvest", "interval")

HARVEST_EVENTS = {
    "flushes": "flushes",
    "swept_blocks": "blocks_swept",
    "shared_tlbies": "shared_tlbies",
    "shared_waits": "shared_waits",
    "flushed_pages": "pages_flushed",
    "whole_flushes": "whole_flushes",
}
"""Counts of terms by the event that is one."""


def unit_costs_of(profile, trace, *, vcpus=1, mapping="linear"):
    """Return the unit costs by which a tracker chooses on a platform (UnitCosts).

    Parameters
    ----------
    profile : Profile
    trace : Trace
        Of whose slot and pages the walks are.
    vcpus : int
    mapping : {"linear", "scattered"}
    """
    at = profile.at(_scenario(trace, vcpus, mapping)).values()
    has_hpt = at["definitive_tlbies"]
    fault = at["exit"] + at["fault"] + at["fault_tlbies"] * at["tlbie"]
    cool = at["page_rearm"] + has_hpt * at["tlbie_shared"]
    return UnitCosts(
        platform=profile.name,
        first_write=fault + cool,
        page_scan=at["page_pass"] if has_hpt else at["page_scan"],
        word_read=at["word_read"],
        page_open=at["page_protect"],
        page_cool=cool,
        flush=(1 - has_hpt) * at["flush"],
        block_sweep=has_hpt * at["block_sweep"],
        page_pass=has_hpt * at["page_pass"],
        page_written=at["set_changed"] + at["page_clear"] + has_hpt * at["tlbie_shared"],
        cool_tlbie=has_hpt * at["tlbie_shared"],
        flush_all=has_hpt * at["flush"],
    )


def counts_of(events, reported, trace):
    """Return by phase what the machine counted of COUNTS, summed over all epochs of a replay.

    Parameters
    ----------
    events : mapping of str to int
        Exact counts: of a `Replay`, or a row of its summary.
    reported : int
        Pages reported, all harvests together.
    trace : Trace
    """
    written = np.diff(trace.offsets)
    return counts_from(
        events,
        int(written.sum()),
        reported,
        any_dirty=int(np.count_nonzero(written)),
        harvests=trace.epochs,
    )


def counts_from(events, stored, reported, any_dirty, harvests):
    """Return by phase what the machine counted of COUNTS, of some epochs or of each in an array.

    Parameters
    ----------
    events : mapping of str to int or array
    stored, reported, any_dirty, harvests : int or array
        Pages stored and reported, epochs that stored anything, and all epochs.
    """
    # Rows of older results have no such events.
    log_exits, passed = (np.asarray(events.get(name, 0)) for name in ("log_exits", "pages_passed"))
    shared = {"any_dirty": any_dirty, "reported_pages": reported, "dirty_pages": stored}
    shared |= {"log_exits": log_exits, "harvests": harvests}
    harvest = {
        "slot_entries": events["pages_scanned"] + passed,
        "dirty_entries": events["pages_cleared"] + events["pages_rearmed"],
        "words": events["bitmap_words_read"],
        "looked_words": events["bitmap_words_read"],
        "read_words": events["bitmap_words_read"],
        "clears": events.get("flushes", 0),
        "touched_words": events["words_taken"],
        "passed_pages": passed,
        "cleared_pages": events["pages_cleared"],
        "cooled_pages": events["pages_rearmed"],
        **{name: events.get(event, 0) for name, event in HARVEST_EVENTS.items()},
        # Each fault makes a tlbie; the others are those of a harvest that goes page by page.
        "each_tlbies": np.maximum(events.get("tlbies", 0) - np.asarray(events["write_faults"]), 0),
    }
    faults = np.asarray(events["write_faults"])
    first_writes = np.where(faults > 0, faults - log_exits, events["changed_bits_set"])
    interval = {
        "dirty_entries": first_writes,
        "faults": faults,
        "changed_bits": events["changed_bits_set"],
        "opened_pages": np.asarray(events.get("pages_opened", 0)),
    }
    return {"harvest": shared | harvest, "interval": shared | interval}


def prices_plain(profile, strategy):
    """Say whether a replay by the default unit costs, X86_KVM, can be priced on a platform."""
    name = base_of(strategy)
    chose = name in CHOOSES_BY_COST and profile.name != X86_KVM.platform
    return profile.prices_replays(name) and not chose


def _scenario(trace, vcpus, mapping):
    """Return the scenario of a trace of which all is counted."""
    return Scenario(
        slot_pages=trace.slot_pages,
        dirty_pages=0.0,
        interval_ns=trace.epoch_ms * 1e6,
        vcpus=vcpus,
        page_bytes=trace.page_size,
        mapping=mapping,
    )


def price(replay, trace, profile, *, vcpus, mapping):
    """Return the modelled cost of a replay, over the whole trace: see `price_counts`."""
    counted = counts_of(replay.events, sum(replay.reported), trace)
    return price_counts(replay.strategy, counted, trace, profile, vcpus=vcpus, mapping=mapping)


def price_counts(strategy, counted, trace, profile, *, vcpus=1, mapping="linear"):
    """Return what exact counts of a replay cost on a platform, over the whole trace.

    Parameters
    ----------
    strategy : str
    counted : dict
        As from `counts_of`.
    trace : Trace
    profile : Profile
    vcpus : int
    mapping : {"linear", "scattered"}

    Returns
    -------
    dict or None
        `harvest_ns`, `stall_ns` and `cpu_ns`, each a dict of `value`, `low` and `high` (5 % and
        95 % of the draws); None for a tracker that the profile does not price.
    """
    if not profile.prices_replays(base_of(strategy)):
        return None
    scenario = _scenario(trace, vcpus, mapping)
    profile = profile.at(scenario)
    value = sums(strategy, scenario, profile.values(), counted)
    draws = sums(strategy, scenario, drawn(profile), counted)
    return {key: spread(value[key], draws[key]) for key in value}


def sums(strategy, scenario, constants, counted):
    """Return harvest, stall and CPU time of what was counted, in ns; all arrays broadcast.

    Parameters
    ----------
    strategy : str
        One that has terms.
    scenario : Scenario
    constants : dict of str to float or array
    counted : dict of dict
        As from `counts_from`.
    """
    names = named(strategy, names_at(scenario, constants | {"resend": 0.0}))
    by_phase = {phase: names | counted[phase] for phase in PHASES}
    total = {"harvest_ns": 0.0, "stall_ns": 0.0, "cpu_ns": 0.0}
    for term in terms_of(strategy):
        if term.phase not in PHASES:
            continue
        ns = term_ns(term, by_phase[term.phase])
        to_latency, to_stall, to_cpu = PAID[term.payer]
        total["harvest_ns"] = total["harvest_ns"] + to_latency * ns * (term.phase == "harvest")
        total["stall_ns"] = total["stall_ns"] + to_stall * ns
        total["cpu_ns"] = total["cpu_ns"] + to_cpu * ns
    return total
