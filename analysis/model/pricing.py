"""What a replay would cost on a platform: the machine's own exact counts, priced by a profile."""

import numpy as np

from analysis.model.draws import drawn
from analysis.model.evaluate import PAID, names_at, term_ns
from analysis.model.scenario import Scenario
from analysis.model.terms import TERMS

PHASES = ("harvest", "interval")
LOW, HIGH = 5, 95
"""Percentiles over the draws."""


def counts_of(replay):
    """Return by phase what the machine counted of COUNTS, summed over all epochs of a replay."""
    events = replay.events
    shared = {
        "any_dirty": sum(1 for pages in replay.reported if pages),
        "reported_pages": sum(replay.reported),
        "dirty_pages": sum(replay.stored),
    }
    harvest = {
        "slot_entries": events["pages_scanned"],
        "dirty_entries": events["pages_cleared"] + events["pages_rearmed"],
        "words": events["bitmap_words_read"],
        "looked_words": events["bitmap_words_read"],
        "touched_words": events["words_taken"],
    }
    first_writes = events["write_faults"] or events["changed_bits_set"]
    return {"harvest": shared | harvest, "interval": shared | {"dirty_entries": first_writes}}


def price(replay, trace, profile, *, vcpus, mapping):
    """Return the modelled cost of a replay, over the whole trace.

    Parameters
    ----------
    replay : strategies.replay.run.Replay
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
    if replay.strategy not in profile.strategies():
        return None
    scenario = Scenario(
        slot_pages=trace.slot_pages,
        dirty_pages=0.0,
        interval_ns=trace.epoch_ms * 1e6,
        vcpus=vcpus,
        page_bytes=trace.page_size,
        mapping=mapping,
    )
    profile = profile.at(scenario)
    counted = counts_of(replay)
    value = _sums(replay.strategy, scenario, profile.values(), counted)
    draws = _sums(replay.strategy, scenario, drawn(profile), counted)
    return {key: _range(value[key], draws[key]) for key in value}


def _sums(strategy, scenario, constants, counted):
    """Return harvest, stall and CPU time of all epochs together, in ns."""
    by_phase = {
        phase: names_at(scenario, constants | {"resend": 0.0}) | counted[phase] for phase in PHASES
    }
    sums = {"harvest_ns": 0.0, "stall_ns": 0.0, "cpu_ns": 0.0}
    for term in TERMS[strategy]:
        if term.phase not in PHASES:
            continue
        ns = term_ns(term, by_phase[term.phase])
        to_latency, to_stall, to_cpu = PAID[term.payer]
        sums["harvest_ns"] = sums["harvest_ns"] + to_latency * ns * (term.phase == "harvest")
        sums["stall_ns"] = sums["stall_ns"] + to_stall * ns
        sums["cpu_ns"] = sums["cpu_ns"] + to_cpu * ns
    return sums


def _range(value, draws):
    low, high = np.percentile(draws, [LOW, HIGH])
    value = float(value)
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}
