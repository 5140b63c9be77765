"""What operations consist of: parts, of which each must seem to happen at once.

An operation is one call of the real code that says what it did, so that it can be judged. Its parts
happen somewhere within the call: a harvest, an enable and a disable have one for each page,
H_BULK_REMOVE one for each entry, an eviction three, all others one. What a part means is said in
`sequential`.
"""

from dataclasses import dataclass
from typing import NamedTuple

from strategies.core.guest import VIEW_LARGE
from strategies.core.hpte import HPTE_R_C, HPTE_R_R, HPTE_R_RPN, hpte_is_writable
from strategies.explore.actions import Action

DONE, MISSED, FORBIDDEN = "done", "missed", "forbidden"
"""What came of an access: no HPTE, or the guest's own permissions forbid it."""

OFF, BUSY = "off", "busy"
"""What came of a call of the host: the slot is not logged, or by another tracker."""

SLOT = 0
"""The one slot of programs of operations."""


class Part(NamedTuple):
    """What must seem to happen at once.

    Attributes
    ----------
    kind : str
        Name of a function of `sequential`.
    place : (int, int) or None
        View and page that the HPTE at that place had at the start; None: it concerns a page alone.
    gfn : int
        The page.
    how : object
        Whatever else it takes.
    """

    kind: str
    place: tuple[int, int] | None
    gfn: int
    how: object = None

    @property
    def is_large(self):
        """Whether its HPTE maps all pages."""
        return self.place is not None and self.place[0] == VIEW_LARGE


@dataclass(frozen=True)
class Operation(Action):
    """An action whose `run` returns what each of its parts came to.

    Attributes
    ----------
    parts : tuple of Part
    is_in_order : bool
        The parts happen in their order.
    """

    parts: tuple[Part, ...] = ()
    is_in_order: bool = False


class Bits(NamedTuple):
    """What dword 1 of an HPTE tells a guest: R, C, whether it may store, and its (first) page."""

    r: bool
    c: bool
    writable: bool
    gfn: int = 0


def bits_of(machine, r):
    """Return the Bits of a dword 1."""
    gfn = int(r & HPTE_R_RPN) >> machine.page_shift
    return Bits(bool(r & HPTE_R_R), bool(r & HPTE_R_C), bool(hpte_is_writable(r)), gfn)


def place_of(view, gfn):
    """Return the name of the HPTE through which a view maps a page: a large one has one name."""
    return view, 0 if view == VIEW_LARGE else gfn
