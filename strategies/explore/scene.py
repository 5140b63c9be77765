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
from strategies.explore.parts import bits_of, place_of
from strategies.explore.scheduler import Violation
from strategies.explore.sequential import Final
from strategies.explore.store_buffers import words_through
from strategies.explore.translations import Translations
from strategies.explore.words import Words
from strategies.registry import base_of, get

ENDED = 0
"""Which of a thread's words of what has finished counts its operations, in programs of these."""


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
    """A machine with its slots and trackers, which can be set back to its start.

    Parameters
    ----------
    program : Program
    strategy : str
        Name of the tracker of the first slot, and of the others if the program names none.
    memory : Memory, optional
        With it the threads of a schedule have store buffers.

    Attributes
    ----------
    machine : Machine
        Of `Words`.
    slots : tuple of range
        Their pages.
    trackers : tuple of DirtyTracker
        Of each slot.
    pages : range
        Of all slots.
    due : set of int
        At the start: pages that were stored to and not reported since.
    """

    def __init__(self, program, strategy, memory=None):
        self.pages = range(program.pages)
        self.views = program.views
        self.vcpus = program.vcpus
        self._is_of_operations = program.is_of_operations
        self.vm = Vm(program.pages, vcpus=self.vcpus, **program.options)
        each = program.pages // program.slots
        self.slots = tuple(range(k * each, (k + 1) * each) for k in range(program.slots))
        for pages in self.slots:
            self.vm.add_memslot(pages.start, each)
        self._words = words_through(memory) if memory else Words
        self._take_over_arrays(program)
        for view in program.views:
            for slot in range(program.slots):
                self.vm.populate(slot, view)
        self.hptes = {
            (view, gfn): self.index(view, gfn) for view in self.views for gfn in self.pages
        }
        self.trackers = self._trackers(strategy, program)
        self.copy = {}
        self.order = {}
        self.translations = Translations(self.machine)
        self.guest = GuestView(self.machine, self.pages)
        if program.enabled:
            for slot in range(program.slots):
                self.enable(slot)
        for vcpu, action in program.before:
            action.run(self, vcpu, U64(1 + vcpu))
        stamps = self.machine.stamps
        self.due = {gfn for gfn in self.pages if stamps[gfn] != self.copy.get(gfn, 0)}
        for slot in self.vm.logged_by:
            self._copy_pages(self.slots[slot])
        self._saved = self._save()

    def _trackers(self, strategy, program):
        """Return who is to log each slot; two of one sort have the same parameter."""
        first = second = get(strategy)(self.vm)
        if program.second:
            is_same = base_of(strategy) == program.second
            second = get(strategy if is_same else program.second)(self.vm)
        return first, *(second for _ in self.slots[1:])

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
            if self._is_of_operations or any(action.stores for action in actor.actions)
        }
        self.words = [words for words in fields.values() if isinstance(words, Words)]
        self.words += [locks, *self._finished.values()]
        self.holders = Holders(self.machine, locks, sum(a.is_guest for a in program.threads))

    def index(self, view, gfn):
        """Return the HPTE that maps a page through a view, or -1."""
        va, shift = address_of(self.machine, view, gfn), view_shift(self.machine, view)
        return int(find_hpte(self.machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT))

    def is_logged(self, slot):
        """Say whether a slot is logged."""
        return slot in self.vm.logged_by

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

    def enable(self, slot):
        """Start logging a slot, and its migration: all its pages are copied."""
        self.trackers[slot].enable_logging(slot)
        self._copy_pages(self.slots[slot])

    def disable(self, slot):
        """Stop logging a slot."""
        self.trackers[slot].disable_logging(slot)

    def harvest(self, slot):
        """Harvest and copy what is reported; what had finished before must be in the copy."""
        due = [
            (gfn, atomics.load(finished, gfn))
            for gfn in self.slots[slot]
            for finished in self._finished.values()
        ]
        self.harvest_and_copy(slot)
        for gfn, stamp in due:
            if self._age(self.copy.get(gfn, 0)) < self._age(stamp):
                raise Violation(
                    "lost page",
                    f"page {gfn}: store {int(stamp):#x} had finished before the harvest began, "
                    f"and the copy after it is {self.copy.get(gfn, 0):#x}",
                )

    def enable_all_set(self, slot):
        """Start logging with all bits set; the pages are copied as they are cleared."""
        self.trackers[slot].enable_all_set(slot)

    def get_and_clear(self, slot, pages):
        """Copy the log, then clear and copy pages of it one by one, as a migration sends them."""
        tracker, gfns = self.trackers[slot], self.slots[slot]
        log = tracker.buffer(slot)
        tracker.copy_dirty_log(slot, log)
        for page in pages:
            one = np.zeros_like(log)
            one[page // 64] = log[page // 64] & ONE << U64(page % 64)
            tracker.clear_dirty_log(slot, 0, len(gfns), one)
            if one.any():
                self._copy_pages([gfns[page]])

    def harvest_and_copy(self, slot):
        """Harvest and copy what is reported; return those pages."""
        reported = [self.slots[slot][page] for page in self.reported(slot)]
        self._copy_pages(reported)
        return reported

    def harvest_word(self, slot):
        """Get the log as a list that has room for one word, and copy its pages."""
        numbers, masks = np.zeros((2, 1), np.uint64)
        words, _, _ = self.trackers[slot].get_dirty_words(slot, numbers, masks)
        first, mask = 64 * int(numbers[0]), int(masks[0]) if words else 0
        self._copy_pages([self.slots[slot][first + bit] for bit in range(64) if mask >> bit & 1])

    def reported(self, slot):
        """Harvest; return the numbers that reported pages have in their slot."""
        out = self.trackers[slot].buffer(slot)
        self.trackers[slot].get_dirty_log(slot, out)
        bits = np.unpackbits(out.view(np.uint8), bitorder="little")
        return [page for page in range(len(self.slots[slot])) if bits[page]]

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
        return (*words, *copies, *guest, tuple(sorted(self.vm.logged_by)))
