"""How long a page stays hot after its last store: as long as waiting has earned most so far.

For each age, in classes of powers of two, an account holds the faults that waiting to that age has
saved, and the looks it has cost.
"""

from strategies.core import atomics
from strategies.core.heat import (
    AGES,
    FIRST_WRITE,
    HARVEST,
    PATIENCE,
    PRICE,
    SAVED,
    SPENT,
    add,
    known,
    learn,
)
from strategies.core.jit import inlined, kernel
from strategies.core.words import I64, U64

VOLUME = 1000
"""Faults after whose cost the accounts of ages are halved: what was long ago counts less."""


@inlined
def _age_class(age):
    """Return which account an age belongs to: j has those above 2**(j - 1), up to 2**j."""
    j = 0
    while j < AGES - 1 and 1 << j < age:
        j += 1
    return j


@inlined
def _age_of(machine, heat, gfn):
    """Return how many harvests ago a page was found written, or -1."""
    before = I64(atomics.load_own(machine.written, gfn))
    return known(machine, heat, HARVEST) - before if before else I64(-1)


@inlined
def is_warm(machine, heat, gfn):
    """Say whether a page was written within the patience; with none, no page is warm."""
    age, patience = _age_of(machine, heat, gfn), known(machine, heat, PATIENCE)
    return patience > 0 and 0 <= age <= patience


@kernel
def note_written(machine, heat, gfn):
    """Note that a page was found written; return what a fault would have cost if it was cold.

    The account of its age is told the fault that waiting so long saves, and all accounts up to it
    what waiting costs, as far as the page was too old to have been waited for.
    """
    age, patience = _age_of(machine, heat, gfn), known(machine, heat, PATIENCE)
    atomics.store_own(machine.written, gfn, U64(known(machine, heat, HARVEST)))
    fault = known(machine, heat, FIRST_WRITE)
    if age < 0:
        return fault
    if not age:
        return I64(0)
    last = _age_class(age)
    for j in range(last + 1):
        least = (1 << j) >> 1
        if least >= patience:
            waits = min(age, 1 << j) - least
            add(machine, heat, SPENT + j, waits * known(machine, heat, PRICE))
    add(machine, heat, SAVED + last, fault)
    return fault if age > patience else I64(0)


@kernel
def note_waited(machine, heat, gfn):
    """Note that a warm page was looked at and found clean."""
    age = _age_of(machine, heat, gfn)
    add(machine, heat, SPENT + _age_class(age), known(machine, heat, PRICE))


@kernel
def settle_patience(machine, heat):
    """Choose the patience: up to the age to which waiting has earned most, or none.

    No longer than until a page has cost the fault that it may save (ski rental).
    """
    fault = known(machine, heat, FIRST_WRITE)
    earned, most, volume, patience = I64(0), I64(0), I64(0), I64(0)
    for j in range(AGES):
        saved, spent = known(machine, heat, SAVED + j), known(machine, heat, SPENT + j)
        volume += saved + spent
        earned += saved - spent
        if earned > most:
            most, patience = earned, I64(1) << j
    if volume > VOLUME * fault:
        for field in range(SAVED, SPENT + AGES):
            learn(machine, heat, field, known(machine, heat, field) // 2)
    learn(machine, heat, PATIENCE, min(patience, fault // known(machine, heat, PRICE)))
