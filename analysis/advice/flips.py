"""The moves of one number that change the winner, and whether they are within what is known."""

from dataclasses import replace

import numpy as np

from analysis.advice.estimates import estimates, scores
from analysis.model.profile import COSTS

FACTOR = 1000.0
"""How far a parameter is moved, up and down."""

STEPS = 61


def _moved(scenario, profile, parameter, factors):
    """Return scenario and constants with one parameter multiplied by each factor."""
    constants = profile.values()
    if parameter == "density":
        most = scenario.slot_pages / np.max(scenario.dirty_pages)
        factors = np.minimum(factors, most)
        return _scaled(scenario, factors, 1.0), constants
    if parameter == "slot_pages":
        return _scaled(scenario, factors, factors), constants
    if parameter == "vcpus":
        return replace(scenario, vcpus=np.maximum(scenario.vcpus * factors, 1.0)), constants
    return scenario, constants | {parameter: constants[parameter] * factors}


def _scaled(scenario, dirty, slot):
    """Return the mean interval with so many times the pages written and in the slot."""
    return replace(
        scenario,
        slot_pages=scenario.slot_pages * slot,
        dirty_pages=np.mean(scenario.dirty_pages) * dirty,
        read_pages=np.mean(scenario.read_pages) * slot,
        counted={},
    )


def _winners(scenario, profile, wish, parameter, factors):
    """Return the names of the strategies, and which is best for each factor."""
    moved, constants = _moved(scenario, profile, parameter, factors)
    found = estimates(moved, profile, constants)
    return list(found), scores(found, wish).argmin(axis=0)


def _first_change(scenario, profile, wish, parameter, direction):
    """Return (factor, winner) where a move one way first changes the winner, or None.

    Steps of equal ratio, then as many again between the two that differ.
    """
    low, high = 1.0, FACTOR**direction
    for _ in range(2):
        factors = np.geomspace(low, high, STEPS)
        names, winners = _winners(scenario, profile, wish, parameter, factors)
        changed = winners != winners[0]
        if not changed.any():
            return None
        first = changed.argmax()
        low, high = factors[first - 1], factors[first]
    return factors[first], names[winners[first]]


def flips(scenario, profile, wish):
    """Return what would change the winner, the smallest move first.

    Parameters
    ----------
    scenario : Scenario
    profile : Profile
        As from `Profile.at`.
    wish : Wish

    Returns
    -------
    list of dict
        `parameter`, `from`, `to`, `winner`, and `within`: whether `to` lies in the range of the
        constant (None for what belongs to the deployment).
    """
    now = {
        "density": float(np.mean(scenario.dirty_pages)) / scenario.slot_pages,
        "slot_pages": scenario.slot_pages,
        "vcpus": scenario.vcpus,
        **{name: profile.constants[name].value for name in COSTS},
    }
    found = []
    for parameter, value in now.items():
        for direction in (-1, 1):
            change = _first_change(scenario, profile, wish, parameter, direction) if value else None
            if change:
                factor, winner = change
                row = {"parameter": parameter, "from": value, "to": float(value * factor)}
                row |= {"winner": winner, "within": _within(profile, parameter, row["to"])}
                found.append((max(factor, 1 / factor), row))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _within(profile, parameter, value):
    constant = profile.constants.get(parameter)
    return None if constant is None else bool(constant.low <= value <= constant.high)
