"""Linearizability: what a schedule came to is what some order of its operations comes to.

Herlihy and Wing 1990: each part of each operation seems to happen at once, somewhere between its
first step and its last. An operation that ended before another began comes before it; those of one
thread are in their order. What the parts do, and what may differ from that, `sequential` says.
"""

from typing import NamedTuple

from strategies.core.guest import VIEW_LARGE
from strategies.explore import sequential
from strategies.explore.parts import SLOT, Bits
from strategies.explore.program import SCANS
from strategies.explore.scheduler import Violation
from strategies.explore.sequential import (
    CLEAR,
    EITHER,
    OWED,
    SET,
    Beside,
    Hpte,
    Page,
    Rules,
    State,
)
from strategies.registry import base_of


class Call(NamedTuple):
    """An operation of a schedule.

    Attributes
    ----------
    thread : int
    operation : Operation
    stamp : int
    came : tuple
        What each of its parts came to.
    first, last : int
        Its steps.
    """

    thread: int
    operation: object
    stamp: int
    came: tuple
    first: int
    last: int


class History:
    """What a schedule's operations came to, and in which order they may have happened.

    Parameters
    ----------
    calls : sequence of Call
        In the order of each thread.
    final : Final
    """

    def __init__(self, calls, final):
        self.calls = tuple(calls)
        self.final = final
        self.before = tuple(
            frozenset(k for k in range(len(self.calls)) if self._precedes(k, number))
            for number in range(len(self.calls))
        )

    def _precedes(self, k, number):
        """Say whether an operation comes before another; with store buffers its end may not."""
        other, call = self.calls[k], self.calls[number]
        if other.thread == call.thread:
            return k < number
        return other.last < call.first

    @property
    def key(self):
        """What two histories have in common of which both or neither can be explained."""
        calls = tuple((call.thread, call.stamp, call.came) for call in self.calls)
        seen = (self.final.hptes, self.final.stamps, self.final.reported)
        return calls, self.before, tuple(tuple(each.items()) for each in seen)

    def is_linear(self, start, rules):
        """Say whether some order from a state on explains it.

        Parameters
        ----------
        start : State
        rules : Rules
        """
        self._rules = rules
        self._tried = set()
        return self._explains(start, tuple(() for _ in self.calls))

    def _explains(self, state, done):
        if all(len(parts) == len(call.came) for parts, call in zip(done, self.calls, strict=True)):
            return sequential.is_final(state, self.final)
        if (state, done) in self._tried:
            return False
        self._tried.add((state, done))
        return any(self._explains(*step) for step in self._steps(state, done))

    def _steps(self, state, done):
        """Yield each state that one more part leads to, and what is done then."""
        for number, call in enumerate(self.calls):
            if any(len(done[k]) < len(self.calls[k].came) for k in self.before[number]):
                continue
            for place in self._ready(call, done[number]):
                part, came = call.operation.parts[place], call.came[place]
                after = getattr(sequential, part.kind)(
                    state, part, came, self._beside(number, done)
                )
                if after is not None:
                    now = tuple(sorted((*done[number], place)))
                    yield after, (*done[:number], now, *done[number + 1 :])

    @staticmethod
    def _ready(call, done):
        """Return which parts of an operation may be the next."""
        left = [place for place in range(len(call.came)) if place not in done]
        return left[:1] if call.operation.is_in_order else left

    def _beside(self, number, done):
        """Return what is under way beside an operation."""
        call = self.calls[number]
        others = [
            (k, other)
            for k, other in enumerate(self.calls)
            if other.thread != call.thread and other.first <= call.last and call.first <= other.last
        ]
        parts = [
            (part, place in done[k])
            for k, other in others
            for place, part in enumerate(other.operation.parts)
        ]
        waiting = frozenset(part for part, has_happened in parts if not has_happened)
        return Beside(self._rules, call.stamp, frozenset(part for part, _ in parts), waiting)


class OrderJudge:
    """Judges the schedules of one program.

    Parameters
    ----------
    scene : Scene
        At its start.
    strategy : str
        Name of the tracker.
    """

    def __init__(self, scene, strategy):
        name, owes_c = base_of(strategy), bool(scene.machine.delayed_c)
        self._rules = Rules(
            owes_c=owes_c,
            is_late=owes_c and name in (*SCANS, "adaptive"),
            marks_early=name not in (*SCANS, "pml", "dbm_hybrid"),
            marks_reads=name == "pte_flush",
        )
        seen = scene.seen(dict.fromkeys(scene.pages))
        hptes = ((place, _known(bits, owes_c)) for place, bits in seen.hptes.items())
        is_on = scene.is_logged(SLOT)
        beside = EITHER if VIEW_LARGE in scene.views and scene.due else CLEAR
        dirty = {gfn: SET if gfn in scene.due else beside for gfn in scene.pages}
        pages = ((g, Page(s, dirty[g] if is_on else CLEAR, is_on)) for g, s in seen.stamps.items())
        self._start = State(tuple(hptes), tuple(pages))
        self._explained = set()

    def judge(self, calls, final):
        """Judge what the calls of a schedule came to.

        Parameters
        ----------
        calls : sequence of Call
        final : Final

        Raises
        ------
        Violation
            No order of them explains it.
        """
        history = History(calls, final)
        if history.key in self._explained:
            return
        if not history.is_linear(self._start, self._rules):
            raise Violation("no such order", _told(history))
        self._explained.add(history.key)


def _known(bits, owes_c):
    """Return the HPTE of which a guest sees some bits; where C is kept back it may be owed."""
    if bits is None:
        return None
    c = SET if bits.c else OWED if owes_c and bits.r else CLEAR
    return Hpte(SET if bits.r else CLEAR, c, bits.writable, bits.gfn)


def _told(history):
    """Say what the operations came to, and the end."""
    calls = "; ".join(
        f"{chr(ord('A') + call.thread)} {call.operation.label} {_short(call.came)}"
        for call in history.calls
    )
    hptes, stamps, reported = history.final
    ends = [f"HPTE {view}: {_short((bits,))}" for (view, _), bits in hptes.items()]
    ends += [f"page {g}: store {stamps[g]:#x}, reported {reported[g]}" for g in stamps]
    return f"{calls}; at the end {', '.join(ends)}"


def _short(came):
    """Return what parts came to, in a few letters: R, C, w for writable."""
    letters = []
    for one in came:
        if isinstance(one, Bits):
            one = "".join(letter if bit else "-" for letter, bit in zip("RCw", one, strict=False))
        letters.append(str(one))
    return ", ".join(letters)
