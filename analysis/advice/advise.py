"""From a deployment to a strategy: rank the modelled costs, judge the limits, say what would flip.

Costs are modelled: exact event counts times the unit costs of a profile, each a range. From the
reference results come the walks of the profiles that ask for them, the noise below which it is a
tie, and what a harvest takes on the reference machine.
"""

import math
from dataclasses import dataclass, replace

from analysis.measured.reference import load_reference
from analysis.model.estimate import MODELS, available, estimate
from analysis.model.profile import Profile
from strategies.errors import InputError

FLIP_FACTOR = 1000.0
"""How far a parameter is moved, up and down, in search of another winner."""

FLIP_STEPS = 60


def tie_margin():
    """Return the margin below which it is a tie: that within which medians are known."""
    return load_reference().origin["noise"]


@dataclass(frozen=True)
class Wish:
    """What a deployment asks for.

    Attributes
    ----------
    weights : dict of str to float
        Of harvest latency, guest stall and total CPU time, all in ns per interval; least is best.
    max_harvest_ns, max_stall : float or None
        Limits of the harvest latency and of the stall fraction.
    """

    weights: dict[str, float]
    max_harvest_ns: float | None = None
    max_stall: float | None = None

    def __post_init__(self):
        if not any(self.weights.values()):
            raise InputError("all weights are 0; accepted: latency=, stall=, cpu=, one above 0")


def _score(one, wish, scenario):
    """Return the weighted ns per interval of an Estimate: less is better."""
    stall_ns = one.stall_fraction.value * scenario.vcpus * scenario.interval_ns
    parts = {"latency": one.harvest_ns.value, "stall": stall_ns, "cpu": one.cpu_ns.value}
    return sum(wish.weights.get(name, 0.0) * part for name, part in parts.items())


def _limits(one, wish):
    """Yield (name, range, limit) of each limit that is set."""
    if wish.max_harvest_ns is not None:
        yield "harvest latency", one.harvest_ns, wish.max_harvest_ns
    if wish.max_stall is not None:
        yield "guest stall", one.stall_fraction, wish.max_stall


def _excess(one, wish):
    """Return by what factor the worst limit is exceeded: at most 1 if all are met."""
    return max((_ratio(r.value, limit) for _, r, limit in _limits(one, wish)), default=0.0)


def _ratio(value, limit):
    """Return value / limit; a limit of 0 is met by nothing but 0."""
    if limit:
        return value / limit
    return math.inf if value else 0.0


def _why(one, wish):
    """Say which limits an estimate breaks, or would break at the high end of its range."""
    broken = [name for name, r, limit in _limits(one, wish) if r.value > limit]
    if broken:
        return f"exceeds the limit of {' and '.join(broken)}"
    doubtful = [name for name, r, limit in _limits(one, wish) if r.high > limit]
    if doubtful:
        return f"meets the limits, but not at the high end of {' and '.join(doubtful)}"
    return "meets the limits" if any(_limits(one, wish)) else "no limits were set"


def _rank(profile, scenario, wish):
    """Return the estimates, best first: those that meet the limits by score, then by excess."""
    estimates = [estimate(name, profile, scenario) for name in available(profile)]

    def order(one):
        excess = _excess(one, wish)
        return (excess > 1, excess if excess > 1 else _score(one, wish, scenario))

    return sorted(estimates, key=order)


def _moved(profile, scenario, parameter, factor):
    """Return profile and scenario with one parameter multiplied."""
    if parameter == "density":
        moved = min(scenario.dirty_pages * factor, scenario.slot_pages)
        return profile, replace(scenario, dirty_pages=moved)
    if parameter == "slot_pages":
        sized = replace(scenario, slot_pages=scenario.slot_pages * factor)
        return profile, replace(sized, dirty_pages=scenario.dirty_pages * factor)
    constant = profile.constants[parameter]
    constants = profile.constants | {parameter: replace(constant, value=constant.value * factor)}
    return replace(profile, constants=constants), scenario


def _winner(profile, scenario, wish, parameter, factor):
    moved = _moved(profile, scenario, parameter, factor)
    return _rank(*moved, wish)[0].strategy


def _flip(profile, scenario, wish, current, parameter, direction):
    """Return (factor, winner) where moving a parameter one way first changes the winner, or None.

    Steps of equal ratio, then bisection to a per cent. `current` is the winner as it is.
    """
    step = FLIP_FACTOR ** (direction / FLIP_STEPS)
    same = 1.0
    for _ in range(FLIP_STEPS):
        other = same * step
        if _winner(profile, scenario, wish, parameter, other) != current:
            break
        same = other
    else:
        return None
    while max(same, other) / min(same, other) > 1.01:
        middle = (same * other) ** 0.5
        if _winner(profile, scenario, wish, parameter, middle) == current:
            same = middle
        else:
            other = middle
    return other, _winner(profile, scenario, wish, parameter, other)


def _flips(profile, scenario, wish, current):
    """Return what would change the winner, the smallest move first."""
    now = {
        "density": scenario.density,
        "slot_pages": scenario.slot_pages,
        **profile.costs(scenario),
    }
    found = []
    for parameter, value in now.items():
        for direction in (-1, 1):
            flip = value and _flip(profile, scenario, wish, current, parameter, direction)
            if flip:
                factor, winner = flip
                row = {"parameter": parameter, "from": value, "to": value * factor}
                found.append((max(factor, 1 / factor), row | {"winner": winner}))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _range(r):
    return {"value": r.value, "low": r.low, "high": r.high}


def _candidate(one, wish, scenario):
    """Return one strategy's part of the document."""
    return {
        "strategy": one.strategy,
        "harvest_ns": _range(one.harvest_ns),
        "stall_fraction": _range(one.stall_fraction),
        "cpu_ns": _range(one.cpu_ns),
        "meets": _excess(one, wish) <= 1,
        "why": _why(one, wish),
        "reference_harvest_ns": load_reference().harvest_ns(one.strategy, scenario),
    }


def _provenance(profile, scenario):
    """Return where the numbers come from: the profile, and the reference results."""
    reference = load_reference()
    return {
        "kind": "modelled: exact event counts x unit costs",
        "profile": profile.name,
        "title": profile.title,
        "unavailable": list(profile.unavailable),
        "models": list(MODELS),
        "constants": {
            name: {"unit": constant.unit, "kind": constant.kind, "source": constant.source}
            for name, constant in profile.constants.items()
        },
        "reference": reference.origin | {"covers": reference.covers(scenario)},
    }


def advise(scenario, profile: Profile, wish):
    """Return the advice as a JSON document (a dict).

    Returns
    -------
    dict
        `strategy` (None when no strategy meets the limits: the first candidate comes nearest),
        `runner_up`, `margin` (runner-up / best - 1), `tie`, `candidates` (best first; each with
        `reference_harvest_ns`, measured), `flips` (smallest move first) and `provenance`.
    """
    ranked = _rank(profile, scenario, wish)
    fitting = [one for one in ranked if _excess(one, wish) <= 1]
    scores = [_score(one, wish, scenario) for one in fitting[:2]]
    margin = scores[1] / scores[0] - 1 if len(scores) == 2 and scores[0] else None
    return {
        "strategy": fitting[0].strategy if fitting else None,
        "runner_up": fitting[1].strategy if len(fitting) > 1 else None,
        "margin": margin,
        "tie": margin is not None and margin < tie_margin(),
        "candidates": [_candidate(one, wish, scenario) for one in ranked],
        "flips": _flips(profile, scenario, wish, ranked[0].strategy),
        "provenance": _provenance(profile, scenario),
    }
