"""What a replay would cost on a platform: the machine's own exact counts, priced by a profile."""

import numpy as np

from analysis.model.draws import drawn, spread
from analysis.model.evaluate import PAID, named, names_at, term_ns, terms_of
from analysis.model.scenario import Scenario
from strategies.registry import base_of

PHASES = ("harvest", "interval")


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
    scenario = Scenario(
        slot_pages=trace.slot_pages,
        dirty_pages=0.0,
        interval_ns=trace.epoch_ms * 1e6,
        vcpus=vcpus,
        page_bytes=trace.page_size,
        mapping=mapping,
    )
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
