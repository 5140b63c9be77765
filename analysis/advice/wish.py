"""What a deployment asks for, and how a cost is judged by it."""

from dataclasses import dataclass

import numpy as np

from strategies.errors import InputError

BROKEN = 1e100
"""Added to the score of what breaks a limit: it ranks behind all that meet them, the least
excess first."""


@dataclass(frozen=True)
class Wish:
    """What a deployment asks for.

    Attributes
    ----------
    weights : dict of str to float
        Of harvest latency, guest stall and total CPU time, all in ns per interval; least is best.
    max_harvest_ns, max_stall : float or None
        Limits of the harvest latency and of the stall fraction, in each single interval.
    """

    weights: dict[str, float]
    max_harvest_ns: float | None = None
    max_stall: float | None = None

    def __post_init__(self):
        if not any(self.weights.values()):
            raise InputError("all weights are 0; accepted: latency=, stall=, cpu=, one above 0")

    def excess(self, harvest_ns, stall_fraction):
        """Return by what factor the worst limit is exceeded: at most 1 where all are met."""
        pairs = ((harvest_ns, self.max_harvest_ns), (stall_fraction, self.max_stall))
        factors = [_ratio(value, limit) for value, limit in pairs if limit is not None]
        return np.maximum.reduce(factors) if factors else np.zeros(np.shape(harvest_ns))

    def score(self, latency_ns, stall_ns, cpu_ns, excess):
        """Return the weighted ns per interval, less is better; what breaks a limit comes last."""
        parts = {"latency": latency_ns, "stall": stall_ns, "cpu": cpu_ns}
        score = sum(self.weights.get(name, 0.0) * part for name, part in parts.items())
        return np.where(excess > 1, BROKEN * np.minimum(excess, BROKEN), score)


def _ratio(value, limit):
    """Return value / limit; a limit of 0 is met by nothing but 0."""
    value = np.asarray(value, float)
    return value / limit if limit else np.where(value > 0, np.inf, 0.0)
