"""What a small program is: its threads, its pages, how it starts, and how far it is explored."""

from dataclasses import dataclass, field

from strategies import registry
from strategies.core.guest import VIEW_ALIAS, VIEW_BASE
from strategies.core.hpte import SHIFT_4K
from strategies.explore.actions import Action, Actor
from strategies.explore.parts import Operation
from strategies.registry import base_of

TRACKERS = registry.judged()
SCANS = tuple(
    name for name in TRACKERS if registry.line_of(registry.base_of(name)).family == "scan"
)
KEEPS_C_BACK = (*SCANS, "pml", "dbm_hybrid", "adaptive")
"""Those that read C, or are told of it: for the others it may wait in a TLB as long as it likes."""

DELAYED_C = {"options": {"delayed_c": True}, "strategies": KEEPS_C_BACK}
"""The hardware keeps C back: of a program, as are the next."""

OFF = {"enabled": False}
ALIASED = {"views": (VIEW_BASE, VIEW_ALIAS)}

BOUNDS = {1: 0, 2: 2, 3: 1, 4: 1}
"""Preemptions by number of threads."""

LONG_BOUNDS = {1: 0, 2: 3, 3: 2, 4: 2}
"""The same for the long set."""


@dataclass(frozen=True)
class Program:
    """A small program.

    Attributes
    ----------
    name : str
    what : str
        What it puts side by side, in a few words.
    threads : tuple of Actor
        A, B, ... in schedules. Guests first: a guest's vCPU has its thread's number.
    pages : int
        Of guest memory.
    slots : int
        Among which the pages are divided evenly.
    second : str or None
        Tracker that logs the second slot; None: the one that logs the first does.
    views : tuple of int
        Each maps all pages at the start.
    enabled : bool
        Whether the slots are logged from the start.
    before : tuple of (int, Action)
        What is done first, by which vCPU, alone.
    strategies : tuple of str
        Trackers for which it runs.
    page_shift : int
        log2 of the base page in bytes. With pages larger than a guest has, few of them, and few
        steps, make a large page.
    is_big : bool
        It has so many steps that the long set, too, explores it to its own bound.
    options : dict
        More arguments of `Vm`.
    step_limit : int
        A schedule of more steps is a livelock.
    """

    name: str
    what: str
    threads: tuple[Actor, ...]
    pages: int = 1
    slots: int = 1
    second: str | None = None
    views: tuple[int, ...] = (VIEW_BASE,)
    enabled: bool = True
    before: tuple[tuple[int, Action], ...] = ()
    strategies: tuple[str, ...] = TRACKERS
    page_shift: int = SHIFT_4K
    is_big: bool = False
    options: dict = field(default_factory=dict)
    step_limit: int = 4000

    def trackers(self, chosen):
        """Return the trackers under which it runs: its own, or of those what is chosen."""
        each = (name for one in chosen for name in self._trackers_for(one))
        return tuple(dict.fromkeys(each)) if chosen else self.strategies

    def _trackers_for(self, asked):
        """Return that tracker, or those of its sort with the parameter that the program needs.

        What runs under all does so under others, too.
        """
        name = base_of(asked)
        is_other = name not in TRACKERS and self.strategies == TRACKERS
        if is_other or {asked, name} & set(self.strategies):
            return (asked,)
        return tuple(each for each in self.strategies if base_of(each) == asked)

    @property
    def is_of_operations(self):
        """Whether all that its threads do are operations, so that their order can be judged."""
        actions = [action for thread in self.threads for action in thread.actions]
        return all(isinstance(action, Operation) for action in actions)

    @property
    def vcpus(self):
        """How many vCPUs it needs."""
        return max(1, sum(thread.is_guest for thread in self.threads))

    @property
    def bound(self):
        """Preemptions up to which it is explored unless told otherwise."""
        return BOUNDS[len(self.threads)]

    @property
    def long_bound(self):
        """The same in the long set."""
        return self.bound if self.is_big else LONG_BOUNDS[len(self.threads)]
