"""Notices a guest's store through a translation that had been ended.

When `tlbie` returns, no access can still complete through the translation as it was before: that is
what the announcements are for. A flush promises that of all translations. And, whether or not the
code makes a tlbie, a hypercall that has returned promises it to the guest of the HPTE it names:
H_REMOVE and H_BULK_REMOVE of what goes, H_PROTECT of what forbids stores, H_CLEAR_MOD of what would
set no C; and the host, that takes a page away, to who gets the memory next. So a store is wrong if
its translation was read from the HPT before one of these made the HPTE invalid (before it began, if
it never did), and the data is touched after it returned. A TLB hit uses the translation that filled
the entry. The moments are counted in steps of the schedule.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from strategies.core import atomics, h_change, h_remove, mmu, tlb, unmap
from strategies.core.h_remove import BULK_INDEX_MASK, BULK_REMOVED, BULK_SHIFT
from strategies.core.hpt import hpte_gfn, va_of_hpte
from strategies.core.hpte import HPTE_V_VALID, hpte_is_writable, hpte_page_shift
from strategies.core.machine import GPR_WORDS, TLB_TAG, TLB_WORDS
from strategies.core.papr import H_SUCCESS, PRESENT
from strategies.core.words import U64
from strategies.explore.defect import substituted
from strategies.explore.scheduler import Violation

BULK_ANSWER = ~U64(3)
"""Of the first byte of an answer: all but the request's flags."""

LONG_AGO = -1
"""Before the first step: of TLB entries that the preparation filled."""


@dataclass
class Access:
    """A guest's load or store: the tag of its page, and when its translation was read."""

    tag: int
    born: int = LONG_AGO


class Translations:
    """Which translations were read when, and which invalidations have returned.

    Parameters
    ----------
    machine : Machine
        Of `Words`.
    """

    def __init__(self, machine):
        self._machine = machine
        self.start(None)

    def start(self, schedule):
        """Begin with a schedule; with None outside of any, where nothing is noticed."""
        self._schedule = schedule
        self._filled = {}
        self._invalid = {}
        self._ended = []

    def observe(self, thread):
        """See a step; raise Violation if it is a store through a dead translation."""
        access = thread.access
        if access is None:
            return
        words, operation = thread.words, thread.operation
        now = len(self._schedule.steps) - 1
        if words is self._machine.hpt:
            if operation == "load" and not thread.index % 2:
                access.born = now
        elif words is self._machine.tlb:
            if thread.index % TLB_WORDS != TLB_TAG:
                return
            if operation == "load":
                access.born = self._filled.get(thread.key, LONG_AGO)
            elif operation == "exchange":
                self._filled[thread.key] = access.born
        elif words is self._machine.stamps and operation == "store":
            self._check(access, now)

    def _check(self, access, now):
        for what, tag, began, returned in self._ended:
            if tag in (access.tag, None) and access.born < began and returned <= now:
                raise Violation(
                    "dead translation",
                    f"a store through a translation read in step {access.born + 1}; its {what} "
                    f"began before step {began + 1} and had returned before step {returned + 1}",
                )

    def wrote(self, thread):
        """See a changed word: note when an HPTE became invalid."""
        words, index = thread.words, thread.index
        if self._schedule is None or words is not self._machine.hpt or index % 2:
            return
        if thread.old & HPTE_V_VALID and not words[index] & HPTE_V_VALID:
            self._invalid[int(index) // 2] = len(self._schedule.steps) - 1

    @contextmanager
    def watching(self):
        """Wrap the access of the core and what ends translations, so that they are noticed."""
        calls = (
            (mmu.access, self._watched_access),
            (tlb.tlbie, self._watched_tlbie),
            (tlb.flush_tlbs, self._watched_flush),
            (h_remove.h_remove, self._watched_remove),
            (h_remove.h_bulk_remove, self._watched_bulk_remove),
            (h_change.h_protect, self._watched_protect),
            (h_change.h_clear_mod, self._watched_clear_mod),
            (unmap.unmap_page, self._watched_unmap),
        )
        with substituted([(call, _wrapped(call, watched)) for call, watched in calls]):
            yield

    def _watched_access(self, access, machine, vcpu, va, shift, *rest):
        if self._schedule is None:
            return access(machine, vcpu, va, shift, *rest)
        thread = self._schedule.current
        thread.access = Access(tlb.tlb_tag(va, shift))
        try:
            return access(machine, vcpu, va, shift, *rest)
        finally:
            thread.access = None

    def _watched_tlbie(self, tlbie, machine, cpu, v, r, index):
        began = self._now()
        tlbie(machine, cpu, v, r, index)
        self._end("tlbie", _tag_of(machine, v, index), began)

    def _watched_flush(self, flush_tlbs, machine, cpu):
        began = self._now()
        flush_tlbs(machine, cpu)
        self._end("flush", None, began)

    def _watched_remove(self, h_remove, machine, vcpu, flags, pte_index, avpn):
        named = self._names(pte_index)
        status = h_remove(machine, vcpu, flags, pte_index, avpn)
        if status == H_SUCCESS:
            self._end_named("H_REMOVE", *named)
        return status

    def _watched_bulk_remove(self, h_bulk_remove, machine, vcpu):
        requests = [atomics.load_own(machine.gpr, vcpu * GPR_WORDS + 2 * k) for k in range(4)]
        named = [self._names(request & BULK_INDEX_MASK) for request in requests]
        status = h_bulk_remove(machine, vcpu)
        for k, one in enumerate(named):
            answer = atomics.load_own(machine.gpr, vcpu * GPR_WORDS + 2 * k)
            if answer != requests[k] and answer >> BULK_SHIFT & BULK_ANSWER == BULK_REMOVED:
                self._end_named("H_BULK_REMOVE", *one)
        return status

    def _watched_protect(self, h_protect, machine, vcpu, flags, pte_index, avpn):
        named = self._names(pte_index)
        status = h_protect(machine, vcpu, flags, pte_index, avpn)
        if status == H_SUCCESS and not hpte_is_writable(flags):
            self._end_named("H_PROTECT", *named)
        return status

    def _watched_clear_mod(self, h_clear_mod, machine, vcpu, pte_index):
        named = self._names(pte_index)
        status = h_clear_mod(machine, vcpu, pte_index)
        if status == H_SUCCESS:
            self._end_named("H_CLEAR_MOD", *named)
        return status

    def _watched_unmap(self, unmap_page, machine, cpu, gfn):
        hptes = [(word // 2, v) for word, v in machine.hpt.items() if not word % 2 and v & PRESENT]
        tags = [_tag_of(machine, v, k) for k, v in hptes if _gfn_of(machine, v, k) == gfn]
        began = self._now()
        unmap_page(machine, cpu, gfn)
        for tag in tags:
            self._end("unmap", tag, began)

    def _now(self):
        return len(self._schedule.steps) if self._schedule else 0

    def _names(self, pte_index):
        """Return the HPTE that a hypercall names, its tag, and the moment."""
        index = int(pte_index)
        v = atomics.load_own(self._machine.hpt, 2 * index)
        return index, _tag_of(self._machine, v, index), self._now()

    def _end_named(self, what, index, tag, began):
        """Note that a hypercall ended the translation that it named."""
        self._end(what, tag, max(began, self._invalid.get(index, began)))

    def _end(self, what, tag, began):
        """Note that a translation, or all (tag None), ended, if it was read before `began`."""
        if self._schedule is not None:
            self._ended.append((what, tag, began, self._now()))


def _wrapped(call, watched):
    """Return a function that hands its arguments to `watched`, after the function it wraps."""
    return lambda *arguments: watched(call, *arguments)


def _gfn_of(machine, v, index):
    """Return the first page that an HPTE maps; looking on makes no step."""
    guest_r = atomics.load_own(machine.rev, 2 * index)
    return hpte_gfn(machine, guest_r, hpte_page_shift(v, guest_r))


def _tag_of(machine, v, index):
    """Return the TLB's tag of the page that an HPTE maps; looking on makes no step."""
    shift = hpte_page_shift(v, atomics.load_own(machine.rev, 2 * index))
    return tlb.tlb_tag(va_of_hpte(machine, v, shift, index), shift)
