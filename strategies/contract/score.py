"""Replay all recordings through a tracker and those that one may deploy."""

from strategies.registry import choices
from strategies.replay.output import row_of
from strategies.replay.run import build, replay
from strategies.workloads.trace import bundled, load_trace

FAULTS = ("write_faults", "map_faults")


def beside(strategy):
    """Return the tracker, first, and all others that one may deploy."""
    return tuple(dict.fromkeys((strategy, *choices())))


def total(strategy):
    """Return how many epochs `score` replays."""
    return len(beside(strategy)) * sum(load_trace(name).epochs for name in bundled())


def score(strategy, progress=None):
    """Yield for each recording and tracker a row of counts and times.

    Parameters
    ----------
    strategy : str
    progress : callable, optional
        Called with 1 after each epoch.

    Yields
    ------
    dict
        `trace`, `strategy`; exact counts over all epochs: `lost`, `spurious`, `faults`, `tlbies`,
        `flushes`; `harvest_ns`, measured.
    """
    for name in bundled():
        trace = load_trace(name)
        for one in beside(strategy):
            vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
            row = row_of(replay(trace, one, vm, slot, progress))
            events = row["events"]
            yield {
                "trace": name,
                **{key: row[key] for key in ("strategy", "lost", "spurious")},
                "faults": sum(events[event] for event in FAULTS),
                **{event: events[event] for event in ("tlbies", "flushes")},
                "harvest_ns": row["harvest_ns"],
            }
