"""Which times of a calibration count: those that the CPU took at full speed; and a wait for it."""

import numpy as np

from analysis.model.calibrate import TIMES, joined, middles
from strategies.errors import InputError
from strategies.lanes.speed import NO_PATIENCE, Patience, Speed

FULL, SLOWED, CROWDED = 1, 1.15, 1.05
"""A percentile: full speed. How much slower the clock may be at which times count, and how much
more crowded the core: another thread costs far more.
"""
LEAST_SEEN = 2
"""Rounds in which a cell must be seen at such speed, in the mean, for the run to be trusted."""


def patience_after(samples, until, epochs):
    """Return how to wait for full speed, as the rounds so far tell of it.

    Parameters
    ----------
    samples : dict of str to list of dict
        By lane its rounds, as from `cell_samples`; without any, nothing is waited for.
    until, epochs
        As of Patience.
    """
    full = _full_speed(samples)
    return NO_PATIENCE if full is None else Patience(_limit(full), until, epochs)


def _full_speed(samples):
    """Return the Speed of the quickest round, or None without a round."""
    rounds = [joined(lanes) for lanes in zip(*samples.values(), strict=True)]
    if not rounds:
        return None
    clock_ns = min(np.percentile(one["clock_ns"], FULL) for one in rounds)
    together = joined(rounds)
    crowding = together["crowding"][together["clock_ns"] <= SLOWED * clock_ns]
    return Speed(float(clock_ns), float(np.percentile(crowding, FULL)))


def _limit(full):
    """Return the slowest Speed at which times count."""
    return Speed(SLOWED * full.clock_ns, CROWDED * full.crowding)


def undisturbed(samples):
    """Return samples without the times that were taken while the CPU was slow, and what stays.

    Times at a clock that is a little slower are divided by how much it is: harvests go with it
    (METHODOLOGY).

    Parameters
    ----------
    samples : dict of str to list of dict
        By lane its rounds, as from `cell_samples`.

    Returns
    -------
    tuple
        The same with NaN for times that do not count, and the rounds in which a cell has others
        (the mean over lanes and cells).

    Raises
    ------
    InputError
        A lane has none.
    """
    full = _full_speed(samples)
    kept = {lane: [_at_full_speed(one, full) for one in rounds] for lane, rounds in samples.items()}
    seen = {lane: sum(map(_seen, rounds)) for lane, rounds in kept.items()}
    if slow := [lane for lane, rounds in seen.items() if not rounds]:
        raise InputError(
            f"the CPU was slow in all harvests of {', '.join(slow)}; accepted: a machine with less "
            "other work, or a longer --budget"
        )
    return kept, float(np.mean([*seen.values()]))


def _at_full_speed(samples, full):
    limit = _limit(full)
    counts = (samples["clock_ns"] <= limit.clock_ns) & (samples["crowding"] <= limit.crowding)
    factor = np.where(counts, full.clock_ns / samples["clock_ns"], np.nan)
    return samples | {name: samples[name] * factor for name in TIMES}


def _seen(samples):
    """Return the share of the cells of a round that have a time."""
    return np.isfinite(middles(samples)["harvest_ns"]).mean()
