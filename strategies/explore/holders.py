"""Each word is changed by who may, as he may: under its lock, inside a section, in an order.

A rule that is broken loses a page under few schedules, or under none of a program; here it shows in
the first that comes by. Known defects are explored without this judge: each has a program of its
own to be found by, by what it leads to.

The rules, of changes alone, since who stores what is there already tells nobody anything:

- a lock is released, and the word that it is in changed, by its holder;
- dword 1 of an HPTE and the guest's view under the HPTE's lock, but for R and C that are set;
- the links of rings under the rmap lock of a page;
- a slot's mode, active half and groups, and bits of its bitmap that go, by who has `slots_lock`;
- bits of the bitmap that come, and their count, so too, or inside a handler section, or under the
  lock of the rings;
- what is taken from a log under its lock; what is pushed by its own vCPU;
- by a read-modify-write, which no look at another word overtakes on any machine, what others look
  at who are looked at next: a section or an access that begins, a TLB entry that is filled, an HPTE
  that becomes absent and stays locked, a slot's mode, the active half of a slot that is logged.
"""

from strategies.core.hpte import HPTE_R_RC, HPTE_V_HVLOCK, HPTE_V_VALID
from strategies.core.machine import (
    LOG_LOCK,
    LOG_OFF,
    LOG_SIZE,
    LOG_TAKEN,
    LOG_WORDS,
    SLOT_ACTIVE,
    SLOT_DIRTY,
    SLOT_GROUP,
    SLOT_LOG_MODE,
    SLOT_WORDS,
    TLB_TAG,
    TLB_WORDS,
    VCPU_HANDLER,
    VCPU_WORDS,
)
from strategies.explore.checks import HELD, is_held, is_lock
from strategies.explore.scheduler import Violation

SET_BY_SLOTS_LOCK = (SLOT_LOG_MODE, SLOT_ACTIVE, SLOT_GROUP)
COUNTS = (SLOT_DIRTY, SLOT_DIRTY + 1)


class Holders:
    """Who holds which lock, by the keys of words.

    Parameters
    ----------
    machine : Machine
        Of `Words`.
    locks : Words
        The host's; the first is `slots_lock`.
    guests : int
        Threads that are vCPUs; they come first.
    """

    def __init__(self, machine, locks, guests):
        self._machine = machine
        self._slots_lock = locks.base
        self._guests = guests
        self.is_judging = True
        self._rules = {
            "hpt": self._may_change_hpte,
            "rev": self._may_change_rev,
            "slots": self._may_change_slot,
            "bitmap": self._may_change_bitmap,
            "rings": self._may_change_ring,
            "pml": self._may_change_pml,
        }
        self.start()

    def start(self):
        """Begin with a schedule, in which nobody holds anything yet."""
        self._holders = {}

    def wrote(self, thread):
        """See a changed word; raise Violation if this thread may not change it."""
        if not self.is_judging:
            return
        words, index = thread.words, int(thread.index)
        old, new = int(thread.old), int(words[index])
        number = thread.number if thread.owner is None else thread.owner.number
        if is_lock(words.name, index):
            is_right = self._may_change_lock(number, words, index, old, new)
        else:
            rule = self._rules.get(words.name)
            is_right = rule is None or rule(number, index, old, new)
        if thread.operation == "store":
            is_right = is_right and not self._must_be_ordered(words, index, old, new)
        if not is_right:
            raise Violation(
                "rule broken",
                f"{words.name}[{index}] was {old:#x} and is {new:#x}: not for {thread.letter} "
                f"to {thread.operation} in {thread.action}",
            )

    def _must_be_ordered(self, words, index, old, new):
        """Say whether a change must come before what its thread looks at next."""
        if words.name == "vcpus":
            return is_lock("vcpus", index) and new & 1
        if words.name == "tlb":
            return index % TLB_WORDS == TLB_TAG and new
        if words.name == "hpt":
            return not index % 2 and old & ~new & int(HPTE_V_VALID) and new & int(HPTE_V_HVLOCK)
        if words.name == "slots":
            slot, field = divmod(index, SLOT_WORDS)
            is_logged = int(words[slot * SLOT_WORDS + SLOT_LOG_MODE]) != LOG_OFF
            return field == SLOT_LOG_MODE or (field == SLOT_ACTIVE and is_logged)
        return False

    def _may_change_lock(self, number, words, index, old, new):
        key = words.base + index
        was, is_now = (bool(is_held(words.name, word)) for word in (old, new))
        if was:
            is_right = self._holders.get(key) == number
            if not is_now:
                self._holders.pop(key, None)
            return is_right
        self._holders[key] = number
        return is_now and old ^ new == HELD.get(words.name, 1)

    def _holds(self, number, words, index):
        return self._holders.get(words.base + index) == number

    def _has_slots(self, number):
        return self._holders.get(self._slots_lock) == number

    def _has_rings(self, number):
        return self._holds(number, self._machine.rings, LOG_LOCK)

    def _may_mark(self, number):
        sections = range(VCPU_HANDLER, (self._machine.nvcpus + 1) * VCPU_WORDS, VCPU_WORDS)
        is_inside = any(self._holds(number, self._machine.vcpus, word) for word in sections)
        return is_inside or self._has_slots(number) or self._has_rings(number)

    def _runs(self, number, vcpu):
        """Say whether a thread runs a vCPU: its own, or as the host any."""
        return number == vcpu or number >= self._guests

    def _may_change_hpte(self, number, index, old, new):
        """Of dword 1; dword 0 is a lock."""
        is_set_alone = old & ~new == 0 and new & ~old & ~int(HPTE_R_RC) == 0
        return is_set_alone or self._holds(number, self._machine.hpt, index - 1)

    def _may_change_rev(self, number, index, _old, _new):
        if not index % 2:
            return self._holds(number, self._machine.hpt, index)
        rmap = self._machine.rmap
        return any(self._holds(number, rmap, gfn) for gfn in rmap)

    def _may_change_slot(self, number, index, _old, _new):
        field = index % SLOT_WORDS
        if field in COUNTS:
            return self._may_mark(number)
        return field not in SET_BY_SLOTS_LOCK or self._has_slots(number)

    def _may_change_bitmap(self, number, _index, old, new):
        return self._has_slots(number) if old & ~new else self._may_mark(number)

    def _may_change_ring(self, number, index, _old, _new):
        if index % LOG_WORDS in (LOG_TAKEN, LOG_SIZE):
            return self._has_rings(number)
        return self._runs(number, index // LOG_WORDS)

    def _may_change_pml(self, number, index, _old, _new):
        vcpu, field = divmod(index, LOG_WORDS)
        if field == LOG_SIZE:
            return self._has_slots(number)
        if field == LOG_TAKEN:
            return self._holds(number, self._machine.pml, vcpu * LOG_WORDS + LOG_LOCK)
        return self._runs(number, vcpu)
