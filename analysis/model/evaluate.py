"""The evaluator of the table: counts of a scenario, and what each strategy costs there.

All of it is vectorised: scenarios and unit costs may be arrays, which broadcast.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from analysis.model.terms import COUNTED_TERMS, COUNTS, COUNTS_OF, PHASES, TERMS
from strategies.registry import TRACKERS, base_of, split

FUNCTIONS = {"min": np.minimum, "max": np.maximum, "ceil": np.ceil, "__builtins__": {}}

PAID = {"host": (1, 0, 1), "guest": (0, 1, 1), "both": (1, 1, 2), "wait": (1, 0, 0)}
"""What a payer's time adds to: latency of the host's work, guest stall, CPU time."""


class Cost(NamedTuple):
    """What a strategy costs, in nanoseconds, each a number or an array.

    Attributes
    ----------
    harvest_ns, last_ns : float
        Time of one harvest beside running vCPUs, and of the last with all of them stopped.
    stall_ns : float
        What all vCPUs together lose in one interval and its harvest.
    cpu_ns : float
        Time of host and vCPUs in one interval and its harvest.
    enable_ns, disable_ns : float
        Time that the host takes to start and to end logging.
    """

    harvest_ns: float
    last_ns: float
    stall_ns: float
    cpu_ns: float
    enable_ns: float
    disable_ns: float


@cache
def _compiled(formula):
    return compile(formula, formula, "eval")


def value_of(formula, names):
    """Return the value of a formula over names (a dict of arrays)."""
    return eval(_compiled(formula), FUNCTIONS, names)


def names_at(scenario, constants):
    """Return all that a term's count may name: scenario, mechanisms and COUNTS.

    Parameters
    ----------
    scenario : Scenario
    constants : dict of str to float or array
        A value for each of a profile's constants, as from `Profile.values`.
    """
    names = scenario.names() | constants
    for name, formula in COUNTS.items():
        if name not in names:  # a count that is known stands for its formula
            names[name] = value_of(formula, names)
    return names


def terms_of(strategy):
    """Return the terms of a strategy, whatever its parameter: by it they differ in `named`."""
    return (TERMS | COUNTED_TERMS)[base_of(strategy)]


def why_not_priced(strategy):
    """Return why a strategy that a platform could run has no price."""
    if base_of(strategy) in COUNTED_TERMS:
        return "not priced: its costs depend on all that was written before; a replay prices it"
    return "not priced: the model has no terms for it"


def named(strategy, names):
    """Return names (a dict) together with a strategy's parameter and its own counts, if any."""
    name, value = split(strategy)
    if value is not None:
        names = names | {TRACKERS[name].parameter.name: float(value)}
    for count, formula in COUNTS_OF.get(name, {}).items():
        names = names | {count: value_of(formula, names)}
    return names


def term_ns(term, names):
    """Return what one term costs in nanoseconds."""
    return value_of(term.count, names) * names[term.unit]


def costs(strategies, scenario, constants):
    """Return what strategies cost in a scenario, by name.

    Parameters
    ----------
    strategies : iterable of str
        Such as have terms.
    scenario, constants
        As for `names_at`.

    Returns
    -------
    dict of str to Cost
    """
    names = names_at(scenario, constants | {"resend": scenario.resend_ns})
    return {name: _sum_of(terms_of(name), named(name, names)) for name in strategies}


def _sum_of(terms, names):
    latency = dict.fromkeys(PHASES, 0.0)
    stall = cpu = 0.0
    for term in terms:
        ns = term_ns(term, names)
        to_latency, to_stall, to_cpu = PAID[term.payer]
        latency[term.phase] = latency[term.phase] + to_latency * ns
        if term.phase in ("interval", "harvest"):
            stall = stall + to_stall * ns
            cpu = cpu + to_cpu * ns
    return Cost(
        latency["harvest"], latency["last"], stall, cpu, latency["enable"], latency["disable"]
    )
