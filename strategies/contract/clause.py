"""A clause of the contract: a function that a tracker, by its name, passes or fails."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

MACHINES = {"page_shift": (12, 16), "mapping": ("linear", "scattered")}
PAGE_SHIFTS = {"page_shift": (12, 16)}
DELAYED_C = {"delayed_c": (False, True)}
"""Both kinds of hardware: one keeps C in the TLB."""


class Clause(NamedTuple):
    """A function, and the cases in which it must hold.

    Attributes
    ----------
    check : callable
        Called with a tracker's name and a case; raises AssertionError where it does not hold.
    over : dict of str to sequence
        What each further argument may be.
    """

    check: Callable
    over: dict

    @property
    def name(self):
        """The function's name, in words."""
        return self.check.__name__.replace("_", " ")

    @property
    def cases(self):
        """Every case, a dict of arguments."""
        return [
            dict(zip(self.over, values, strict=True)) for values in product(*self.over.values())
        ]


CLAUSES = []
"""All that were declared, in the order of their files: `strategies.contract.hold` has them all."""


def clause(check=None, **over):
    """Declare a function to be a clause: `@clause`, or with its cases, `@clause(**MACHINES)`."""
    if check is None:
        return lambda check: clause(check, **over)
    CLAUSES.append(Clause(check, over))
    return check
