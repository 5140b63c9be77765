"""What the guest is told: R and C of its HPTEs, and the return codes of its hypercalls.

The guest is judged as one that relies on C: it writes a page back when a hypercall hands it the C
of an HPTE, and at the end those pages of which an HPTE has C. What it wrote back is then what
memory holds, except where the host stored last, which no HPTE shows. A page that it accessed has
had R in one of its HPTEs, unless H_CLEAR_REF, which makes no tlbie, was called. (Linux enters its
HPTEs with R set, and C with what may be stored to, and does not rely on them; programs whose guest
does begin with `_CLEAN`.)

A return code is wrong if an HPTE that was present all through a hypercall was not found, or one
that was free all through an H_ENTER of it was not to be had. Looking on makes no step of a schedule
(`load_own`).
"""

from contextlib import contextmanager

from strategies.core import atomics, h_change, h_enter, h_remove
from strategies.core.hpt import hpte_gfn, pages_of
from strategies.core.hpte import HPTE_R_C, HPTE_R_R, HPTE_R_RC, hpte_page_shift
from strategies.core.machine import GPR_WORDS
from strategies.core.papr import H_EXACT, H_NOT_FOUND, H_PTEG_FULL, H_SUCCESS, PRESENT
from strategies.core.words import U64
from strategies.explore.defect import substituted
from strategies.explore.scheduler import Violation


class GuestView:
    """What the guest wrote back and saw referenced, and when its HPTEs were present.

    Parameters
    ----------
    machine : Machine
        Of `Words`.
    pages : range
        Of all slots.
    """

    def __init__(self, machine, pages):
        self._machine = machine
        self._pages = pages
        self._by_host = set()
        self.restore((dict.fromkeys(pages, 0), frozenset(), frozenset(), False))

    def state(self):
        """Return what `restore` wants."""
        return dict(self._copy), frozenset(self._seen), frozenset(self._used), self._r_is_unsure

    def restore(self, state):
        """Set everything back to a state."""
        copy, seen, used, self._r_is_unsure = state
        self._copy, self._seen, self._used = dict(copy), set(seen), set(used)
        self._writes = 0
        self._present, self._free = {}, {}

    def wrote(self, words, index):
        """See a changed word: note when an HPTE was present and when it was free."""
        self._writes += 1
        if words is self._machine.hpt and not index % 2:
            when = self._present if words[index] & PRESENT else self._free
            when[int(index) // 2] = self._writes

    def used(self, gfn):
        """Note that an access of the guest to a page has finished."""
        self._used.add(gfn)

    def stored_by_host(self, stamp):
        """Note the stamp of a store of the host."""
        self._by_host.add(int(stamp))

    @contextmanager
    def watching(self):
        """Wrap the hypercalls, so that what they return is seen."""
        calls = (  # and where are the index among the arguments and dword 1 among the results
            (h_remove.h_remove, 1, 1),
            (h_change.h_clear_mod, 0, 0),
            (h_change.h_clear_ref, 0, 0),
            (h_change.h_protect, 1, None),
            (h_enter.h_enter, 1, None),
        )
        with substituted([(call, self._watched(call, *where)) for call, *where in calls]):
            yield

    def _watched(self, call, index_at, result_at):
        is_clear_ref = call is h_change.h_clear_ref

        def watched(machine, vcpu, *arguments):
            index = int(arguments[index_at])
            v, began = atomics.load_own(machine.hpt, 2 * index), self._writes
            status = call(machine, vcpu, *arguments)
            self._judge_code(status, arguments, index, v, began)
            if status == H_SUCCESS and result_at is not None:
                self._r_is_unsure |= is_clear_ref
                self._take(v, atomics.load_own(machine.gpr, vcpu * GPR_WORDS + result_at))
            return status

        return watched

    def _judge_code(self, status, arguments, index, v, began):
        """Raise Violation if a code cannot be right under any order of what happened."""
        if len(arguments) > 1 and arguments[0] & ~H_EXACT:
            return  # it sets a condition, or permissions
        not_found = status == H_NOT_FOUND and v & PRESENT
        full = status == H_PTEG_FULL and len(arguments) > 1 and arguments[0] and not v & PRESENT
        changed = (self._free if not_found else self._present).get(index, 0) > began
        if (not_found or full) and not changed:
            state = "present" if not_found else "free"
            raise Violation("wrong return code", f"{status}; HPTE {index} was {state} all the time")

    def _take(self, v, r):
        """Write back what C of a dword 1 speaks for, and see R."""
        r = U64(r)
        for gfn in self._pages_of(v, r):
            if r & HPTE_R_R:
                self._seen.add(gfn)
            if r & HPTE_R_C:
                self._copy[gfn] = int(atomics.load(self._machine.stamps, gfn))

    def _pages_of(self, v, r):
        shift = hpte_page_shift(v, r)
        first = int(hpte_gfn(self._machine, r, shift))
        return range(first, first + pages_of(self._machine, shift))

    def judge(self):
        """Judge, with all threads stopped, whether R and C tell what was done.

        Where C may wait in a TLB (`delayed_c`) it is not known before the HPTE goes.

        Raises
        ------
        Violation
        """
        machine = self._machine
        if machine.delayed_c:
            return
        for word, v in list(machine.hpt.items()):
            if not word % 2 and v & PRESENT:
                r = atomics.load_own(machine.hpt, word + 1) & HPTE_R_RC
                self._take(v, atomics.load_own(machine.rev, word) | r)
        for gfn in self._pages:
            stamp = int(atomics.load_own(machine.stamps, gfn))
            if self._copy[gfn] != stamp and stamp not in self._by_host:
                raise Violation("guest's C lost", f"page {gfn}: store {stamp:#x} left no C")
            if gfn in self._used - self._seen and not self._r_is_unsure:
                raise Violation("guest's R lost", f"page {gfn}: no access to it left R")
