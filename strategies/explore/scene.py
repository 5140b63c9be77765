"""The tiny machine that a program runs on, and the migration that judges what it did.

The machine is built once; before each schedule its words are restored from a copy. It is judged as
a migration would: when logging starts all pages are copied, after each harvest those it reports.

- What had finished before a harvest began is in the copy after it.
- At the end, with all threads stopped, one more harvest makes the copy equal memory.
- Then each vCPU stores once more to each page through each view, and a harvest reports it: nothing
  was left writable with nobody to notice.
- With the threads stopped a second harvest reports nothing, and the first no page that was never
  stored to (but through a large page, or under `pte_flush`, which reports pages that were read).
- The guest's own view of it is judged by `guest_view`.
"""

import numpy as np

from strategies.core import atomics
from strategies.core.guest import VIEW_LARGE, address_of, touch, view_shift
from strategies.core.hpt import find_hpte
from strategies.core.hpte import HPTE_R_RC, HPTE_V_ABSENT, HPTE_V_VALID
from strategies.core.locks import lock_bit
from strategies.core.machine import Machine
from strategies.core.papr import PRESENT
from strategies.core.vm import Vm
from strategies.core.words import I64, ONE, U64, ZERO
from strategies.explore.checks import check_debts, check_locks, check_rings
from strategies.explore.guest_view import GuestView
from strategies.explore.holders import Holders
from strategies.explore.operations import OFF, bits_of, place_of
from strategies.explore.scheduler import Violation
from strategies.explore.sequential import Final
from strategies.explore.store_buffers import words_through
from strategies.explore.translations import Translations
from strategies.explore.words import Words
from strategies.registry import get

SLOT = 0
LAST_STAMPS = 1 << 32
"""Stamps of the stores that the final judgement makes start here."""

ENDED = 0
"""Which of a thread's words of what has finished counts the operations of a generated program."""

PATIENCE = 1000
"""Turns of spin loops after which the final judgement, which runs alone, would wait for ever."""


class SpinLock:
    """A lock of the host as a word, so that a schedule can switch at it: for `with`."""

    def __init__(self, words, index):
        self._words = words
        self._index = index

    def __enter__(self):
        lock_bit(self._words, self._index, ONE)

    def __exit__(self, *_):
        atomics.store(self._words, self._index, ZERO)


class Scene:
    """A machine with one slot and a tracker, which can be set back to its start.

    Parameters
    ----------
    program : Program
    strategy : str
        Name of a tracker.
    memory : Memory, optional
        With it the threads of a schedule have store buffers.

    Attributes
    ----------
    machine : Machine
        Of `Words`.
    tracker : DirtyTracker
    pages : range
        The slot's.
    due : set of int
        At the start: pages that were stored to and not reported since.
    final : tuple or None
        The state in which the last schedule ended.
    """

    def __init__(self, program, strategy, memory=None):
        self.pages = range(program.pages)
        self.views = program.views
        self.vcpus = program.vcpus
        self._is_generated = program.is_generated
        is_exact = VIEW_LARGE not in program.views and strategy != "pte_flush"
        self._is_exact = is_exact and not self._is_generated
        actions = (action for actor in program.threads for action in actor.actions)
        self._may_be_marked = {action.may_mark for action in actions}
        self.vm = Vm(program.pages, vcpus=self.vcpus, **program.options)
        self.vm.add_memslot(0, program.pages)
        self._words = words_through(memory) if memory else Words
        self._take_over_arrays(program)
        for view in program.views:
            self.vm.populate(SLOT, view)
        self.hptes = {
            (view, gfn): self._index(view, gfn) for view in self.views for gfn in self.pages
        }
        self.tracker = get(strategy)(self.vm)
        self.copy = {}
        self.order = {}
        self.translations = Translations(self.machine)
        self.guest = GuestView(self.machine, self.pages)
        self._judged = {}
        self.final = None
        if program.enabled:
            self.enable()
        for vcpu, action in program.before:
            action.run(self, vcpu, U64(1 + vcpu))
        stamps = self.machine.stamps
        self.due = {gfn for gfn in self.pages if stamps[gfn] != self.copy.get(gfn, 0)}
        if self.is_logging:
            self._copy_pages(self.pages)
        self._saved = self._save()

    def _take_over_arrays(self, program):
        """Put `Words` in the place of the machine's arrays, and of the host's locks."""
        fields = self.vm.arrays._asdict()
        fields |= {
            name: self._words(name, number, value)
            for number, (name, value) in enumerate(fields.items())
            if isinstance(value, np.ndarray)
        }
        fields["page_shift"] = program.page_shift
        self.machine = self.vm.machine = Machine(**fields)
        locks = self._words("host_locks", len(fields))
        self.vm.slots_lock, self.vm._host_store_lock = SpinLock(locks, 0), SpinLock(locks, 1)
        self._finished = {
            number: self._words("finished", len(fields) + 1 + number)
            for number, actor in enumerate(program.threads)
            if self._is_generated or any(action.stores for action in actor.actions)
        }
        self.words = [words for words in fields.values() if isinstance(words, Words)]
        self.words += [locks, *self._finished.values()]
        self.holders = Holders(self.machine, locks, sum(a.is_guest for a in program.threads))

    def _index(self, view, gfn):
        va, shift = address_of(self.machine, view, gfn), view_shift(self.machine, view)
        return int(find_hpte(self.machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT))

    @property
    def is_logging(self):
        """Whether the slot is logged."""
        return SLOT in self.vm.logged_by

    def _save(self):
        words = [dict(words) for words in self.words]
        host = dict(self.copy), dict(self.order), dict(self.vm.logged_by)
        return words, self.guest.state(), host

    def restore(self):
        """Set everything back to the start: all state of a tracker is in the machine's words."""
        self.final = None
        self.holders.start()
        saved, guest, (copy, order, logged_by) = self._saved
        for words, content in zip(self.words, saved, strict=True):
            words.restore(content)
        self.guest.restore(guest)
        self.copy, self.order = dict(copy), dict(order)
        self.vm.logged_by.clear()
        self.vm.logged_by.update(logged_by)

    def wrote(self, thread):
        """See a changed word: note in which order stamps came into a page."""
        self.holders.wrote(thread)
        self.guest.wrote(thread.words, thread.index)
        self.translations.wrote(thread)
        if thread.words is self.machine.stamps:
            stamp = int(thread.words[thread.index])
            self.order[stamp] = len(self.order)

    def finish(self, thread, gfn, stamp):
        """Note that a thread's store has finished: from now on a harvest must know of it.

        Not so where C may wait in a TLB: there only a harvest with no vCPU running is definitive.
        """
        if self.machine.delayed_c:
            return
        if thread in self._finished:
            atomics.store(self._finished[thread], gfn, U64(stamp))

    def end(self, thread, number):
        """Note that an operation of a thread has ended."""
        atomics.store(self._finished[thread], ENDED, U64(number + 1))

    def look_who_ended(self, thread):
        """Begin an operation: whether another's end was before makes two schedules differ."""
        for other, finished in self._finished.items():
            if other != thread:
                atomics.load(finished, ENDED)

    def _age(self, stamp):
        return self.order.get(int(stamp), -1)

    def enable(self):
        """Start logging, and the migration: all pages are copied."""
        self.tracker.enable_logging(SLOT)
        self._copy_pages(self.pages)

    def disable(self):
        """Stop logging."""
        self.tracker.disable_logging(SLOT)

    def harvest(self):
        """Harvest and copy what is reported; what had finished before must be in the copy."""
        due = [
            (gfn, atomics.load(finished, gfn))
            for gfn in self.pages
            for finished in self._finished.values()
        ]
        self.harvest_and_copy()
        for gfn, stamp in due:
            if self._age(self.copy.get(gfn, 0)) < self._age(stamp):
                raise Violation(
                    "lost page",
                    f"page {gfn}: store {int(stamp):#x} had finished before the harvest began, "
                    f"and the copy after it is {self.copy.get(gfn, 0):#x}",
                )

    def enable_all_set(self):
        """Start logging with all bits set; the pages are copied as they are cleared."""
        self.tracker.enable_all_set(SLOT)

    def get_and_clear(self, gfns):
        """Copy the log, then clear and copy pages of it one by one, as a migration sends them."""
        log = self.tracker.buffer(SLOT)
        self.tracker.copy_dirty_log(SLOT, log)
        for gfn in gfns:
            one = np.zeros_like(log)
            one[gfn // 64] = log[gfn // 64] & ONE << U64(gfn % 64)
            self.tracker.clear_dirty_log(SLOT, 0, len(self.pages), one)
            if one.any():
                self._copy_pages([gfn])

    def harvest_and_copy(self):
        """Harvest and copy what is reported; return those pages."""
        out = self.tracker.buffer(SLOT)
        self.tracker.get_dirty_log(SLOT, out)
        bits = np.unpackbits(out.view(np.uint8), bitorder="little")
        reported = [gfn for gfn in self.pages if bits[gfn]]
        self._copy_pages(reported)
        return reported

    def _copy_pages(self, gfns):
        for gfn in gfns:
            self.copy[gfn] = int(atomics.load(self.machine.stamps, gfn))

    def judge(self):
        """Judge the final state, with all threads stopped; return it as guest and host see it.

        Returns
        -------
        Final

        Raises
        ------
        Violation
        """
        self.final = self._state()
        if self.final in self._judged:
            return self._judged[self.final]
        check_locks(self.words)
        check_rings(self.machine, self.pages)
        check_debts(self.machine, self.pages)
        atomics.hook = _Patience()
        try:
            if not self._is_generated:  # of these the order of operations tells more
                self.guest.judge()
            final = self._judge_log() if self.is_logging else self._judge_access()
        finally:
            atomics.hook = lambda *_: None
        self._judged[self.final] = final
        return final

    def seen(self, reported):
        """Return what guest and host see of HPTEs and memory, with what a harvest reported."""
        places = {place_of(*name) for name in self.hptes}
        hptes = {place: self._bits(self.hptes[place]) for place in sorted(places)}
        stamps = {gfn: int(atomics.load_own(self.machine.stamps, gfn)) for gfn in self.pages}
        return Final(hptes, stamps, reported)

    def _bits(self, index):
        """Return R, C and the permission that the guest sees of an HPTE; None if there is none."""
        if index < 0 or not atomics.load_own(self.machine.hpt, 2 * index) & PRESENT:
            return None
        guest_r = atomics.load_own(self.machine.rev, 2 * index)
        rc = atomics.load_own(self.machine.hpt, 2 * index + 1) & HPTE_R_RC
        return bits_of(self.machine, guest_r | rc)

    def _state(self):
        """Return what two equal states have in common: all words but event counts, and the copy."""
        words = (words.content() for words in self.words if words is not self.machine.events)
        copy, *guest = self.guest.state()
        copies = frozenset(self.copy.items()), frozenset(copy.items())
        return (*words, *copies, *guest, self.is_logging)

    def _judge_log(self):
        reported = self._final_harvest("with all threads stopped")
        for gfn in reported:
            is_stored = gfn in self._may_be_marked or atomics.load_own(self.machine.stamps, gfn)
            if self._is_exact and not is_stored:
                raise Violation("spurious page", f"page {gfn} is reported and was never stored to")
        final = self.seen({gfn: gfn in reported for gfn in self.pages})
        stamp = LAST_STAMPS
        for view in self.views:
            for vcpu in range(self.vcpus):
                for gfn in self.pages:
                    stamp += 1
                    touch(self.machine, vcpu, view, I64(gfn), True, U64(stamp))
                self._final_harvest(f"after vCPU {vcpu} stored once more through view {view}")
        return final

    def _final_harvest(self, when):
        reported = self.harvest_and_copy()
        stamps = self.machine.stamps
        for gfn in self.pages:
            stamp = int(stamps[gfn])
            if self.copy.get(gfn, 0) != stamp:
                raise Violation(
                    "lost page",
                    f"page {gfn}: memory has {stamp:#x}, the copy {self.copy.get(gfn, 0):#x}, "
                    f"after a harvest {when}",
                )
        if again := self.harvest_and_copy():
            raise Violation("spurious page", f"pages {again} are reported once more {when}")
        return reported

    def _judge_access(self):
        final = self.seen(dict.fromkeys(self.pages, OFF))
        stamps, view = self.machine.stamps, self.views[0]
        for gfn in self.pages:
            stamp = U64(LAST_STAMPS + gfn)
            bits = self._bits(self._index(view, gfn))
            touch(self.machine, 0, view, I64(gfn), True, stamp)
            if stamps[gfn] != stamp and (bits is None or bits.writable):
                raise Violation("error", f"page {gfn} cannot be stored to after logging stopped")
        return final


class _Patience:
    """A hook that notices an endless spin loop."""

    def __init__(self):
        self._turns = 0

    def __call__(self, operation, _words, _index):
        if operation == "relax":
            self._turns += 1
            if self._turns > PATIENCE:
                raise Violation("livelock", "a spin loop with all threads stopped")
