"""The end of a schedule, with all threads stopped, is judged as a migration's.

- One more harvest makes the copy equal memory.
- Then each vCPU stores once more to each page through each view, and a harvest reports it: nothing
  was left writable with nobody to notice.
- A second harvest reports nothing, and the first no page that was never stored to (but through a
  large page, or under `pte_flush`, which reports pages that were read).
- The guest's own view of it is judged by `guest_view`.
"""

from contextlib import contextmanager

from strategies.core import atomics
from strategies.core.guest import VIEW_LARGE, touch
from strategies.core.words import I64, U64
from strategies.explore.checks import check_debts, check_locks, check_rings
from strategies.explore.parts import OFF
from strategies.explore.scheduler import Violation

LAST_STAMPS = 1 << 32
"""Stamps of the stores that the judgement makes start here."""

PATIENCE = 1000
"""Turns of spin loops after which what runs alone would wait for ever."""


class FinalJudge:
    """Judges the states in which a program's schedules end, equal ones once.

    Parameters
    ----------
    scene : Scene
    program : Program
    strategy : str
        Name of the tracker.

    Attributes
    ----------
    state : tuple or None
        That in which the last schedule ended, None while it has not.
    """

    def __init__(self, scene, program, strategy):
        self._scene, self._machine = scene, scene.machine
        self._is_of_operations = program.is_of_operations
        is_exact = VIEW_LARGE not in program.views and "pte_flush" not in (strategy, program.second)
        self._is_exact = is_exact and not self._is_of_operations
        actions = (action for actor in program.threads for action in actor.actions)
        self._may_be_marked = {action.may_mark for action in actions}
        self._judged = {}
        self.state = None

    def judge(self):
        """Judge the final state, with all threads stopped; return it as guest and host see it.

        Returns
        -------
        Final

        Raises
        ------
        Violation
        """
        self.state = self._scene.state()
        if self.state in self._judged:
            return self._judged[self.state]
        check_locks(self._scene.words)
        check_rings(self._machine, self._scene.pages)
        for slot, pages in enumerate(self._scene.slots):
            check_debts(self._machine, slot, len(pages))
        with alone():
            if not self._is_of_operations:  # of these the order of operations tells more
                self._scene.guest.judge()
            final = self._judge_slots()
        self._judged[self.state] = final
        return final

    def _judge_slots(self):
        """Judge each slot: by its log, or by stores to it where it is not logged."""
        scene = self._scene
        logged, others = self._pages(True), self._pages(False)
        reported = self._final_harvest("with all threads stopped")
        for gfn in reported:
            is_stored = gfn in self._may_be_marked or atomics.load_own(self._machine.stamps, gfn)
            if self._is_exact and not is_stored:
                raise Violation("spurious page", f"page {gfn} is reported and was never stored to")
        final = scene.seen({gfn: gfn in reported if gfn in logged else OFF for gfn in scene.pages})
        self._judge_next_stores(logged)
        self._judge_access(others)
        return final

    def _pages(self, are_logged):
        """Return the pages of the slots that are logged, or of those that are not."""
        scene = self._scene
        slots = [pages for k, pages in enumerate(scene.slots) if scene.is_logged(k) == are_logged]
        return [gfn for pages in slots for gfn in pages]

    def _judge_next_stores(self, gfns):
        """Store once more by each vCPU, through each view, to logged pages: all are noticed."""
        stamp = LAST_STAMPS
        for view in self._scene.views:
            for vcpu in range(self._scene.vcpus):
                for gfn in gfns:
                    stamp += 1
                    touch(self._machine, vcpu, view, I64(gfn), True, U64(stamp))
                self._final_harvest(f"after vCPU {vcpu} stored once more through view {view}")

    def _harvest(self):
        """Harvest all slots that are logged, and copy; return the reported pages."""
        slots = [slot for slot in range(len(self._scene.slots)) if self._scene.is_logged(slot)]
        return [gfn for slot in slots for gfn in self._scene.harvest_and_copy(slot)]

    def _final_harvest(self, when):
        reported = self._harvest()
        for gfn in self._pages(True):
            stamp, copied = int(self._machine.stamps[gfn]), self._scene.copy.get(gfn, 0)
            if copied != stamp:
                raise Violation(
                    "lost page",
                    f"page {gfn}: memory has {stamp:#x}, the copy {copied:#x}, after a harvest "
                    f"{when}",
                )
        if again := self._harvest():
            raise Violation("spurious page", f"pages {again} are reported once more {when}")
        return reported

    def _judge_access(self, gfns):
        """Store once more to pages that are not logged: the guest may, where it has the right."""
        stamps, view = self._machine.stamps, self._scene.views[0]
        for gfn in gfns:
            stamp = U64(LAST_STAMPS + gfn)
            bits = self._scene.bits(self._scene.index(view, gfn))
            touch(self._machine, 0, view, I64(gfn), True, stamp)
            if stamps[gfn] != stamp and (bits is None or bits.writable):
                raise Violation("error", f"page {gfn} cannot be stored to after logging stopped")


@contextmanager
def alone():
    """Run what runs with all threads stopped: a spin loop without an end is a Violation."""
    atomics.hook = _Patience()
    try:
        yield
    finally:
        atomics.hook = lambda *_: None


class _Patience:
    """A hook that notices an endless spin loop."""

    def __init__(self):
        self._turns = 0

    def __call__(self, operation, _words, _index):
        if operation == "relax":
            self._turns += 1
            if self._turns > PATIENCE:
                raise Violation("livelock", "a spin loop with all threads stopped")
