"""The tiny machine that a program runs on, and the migration that goes on beside it.

The machine is built once; before each schedule its words are restored from a copy. The migration
copies all pages when logging starts, and after each harvest those that it reports: what had
finished before the harvest began must then be in the copy. The end is judged by `final`.
"""

import numpy as np

from strategies.core import atomics
from strategies.core.guest import address_of, view_shift
from strategies.core.hpt import find_hpte
from strategies.core.hpte import HPTE_R_RC, HPTE_V_ABSENT, HPTE_V_VALID
from strategies.core.locks import lock_bit
from strategies.core.machine import Machine
from strategies.core.papr import PRESENT
from strategies.core.vm import Vm
from strategies.core.words import ONE, U64, ZERO
from strategies.explore.guest_view import GuestView
from strategies.explore.holders import Holders
from strategies.explore.operations import bits_of, place_of
from strategies.explore.scheduler import Violation
from strategies.explore.sequential import Final
from strategies.explore.store_buffers import words_through
from strategies.explore.translations import Translations
from strategies.explore.words import Words
from strategies.registry import get

SLOT = 0
ENDED = 0
"""Which of a thread's words of what has finished counts the operations of a generated program."""


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
    """

    def __init__(self, program, strategy, memory=None):
        self.pages = range(program.pages)
        self.views = program.views
        self.vcpus = program.vcpus
        self._is_generated = program.is_generated
        self.vm = Vm(program.pages, vcpus=self.vcpus, **program.options)
        self.vm.add_memslot(0, program.pages)
        self._words = words_through(memory) if memory else Words
        self._take_over_arrays(program)
        for view in program.views:
            self.vm.populate(SLOT, view)
        self.hptes = {
            (view, gfn): self.index(view, gfn) for view in self.views for gfn in self.pages
        }
        self.tracker = get(strategy)(self.vm)
        self.copy = {}
        self.order = {}
        self.translations = Translations(self.machine)
        self.guest = GuestView(self.machine, self.pages)
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

    def index(self, view, gfn):
        """Return the HPTE that maps a page through a view, or -1."""
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

    def seen(self, reported):
        """Return what guest and host see of HPTEs and memory, with what a harvest reported."""
        places = {place_of(*name) for name in self.hptes}
        hptes = {place: self.bits(self.hptes[place]) for place in sorted(places)}
        stamps = {gfn: int(atomics.load_own(self.machine.stamps, gfn)) for gfn in self.pages}
        return Final(hptes, stamps, reported)

    def bits(self, index):
        """Return R, C and the permission that the guest sees of an HPTE; None if there is none."""
        if index < 0 or not atomics.load_own(self.machine.hpt, 2 * index) & PRESENT:
            return None
        guest_r = atomics.load_own(self.machine.rev, 2 * index)
        rc = atomics.load_own(self.machine.hpt, 2 * index + 1) & HPTE_R_RC
        return bits_of(self.machine, guest_r | rc)

    def state(self):
        """Return what two equal states have in common: all words but event counts, and the copy."""
        words = (words.content() for words in self.words if words is not self.machine.events)
        copy, *guest = self.guest.state()
        copies = frozenset(self.copy.items()), frozenset(copy.items())
        return (*words, *copies, *guest, self.is_logging)
