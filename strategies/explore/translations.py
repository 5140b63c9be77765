"""Notices a guest's store through a translation that had been ended.

When `tlbie` returns, no access can still complete through the translation as it was before: that is
what the announcements are for. A flush promises that of all translations; so does, with or without
a tlbie of its own, an H_REMOVE of the one that goes, and an H_PROTECT that forbids stores. So a
store is wrong if its translation was read from the HPT before any of these began, and the data is
touched after it returned. A TLB hit uses the translation that filled the entry. The moments are
counted in steps of the schedule.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from strategies.core import atomics, h_change, h_remove, mmu, tlb
from strategies.core.hpt import va_of_hpte
from strategies.core.hpte import hpte_is_writable, hpte_page_shift
from strategies.core.machine import TLB_TAG, TLB_WORDS
from strategies.core.papr import H_SUCCESS
from strategies.explore.defect import substituted
from strategies.explore.scheduler import Violation

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

    @contextmanager
    def watching(self):
        """Wrap the access of the core and what ends translations, so that they are noticed."""
        access, tlbie, flush_tlbs = mmu.access, tlb.tlbie, tlb.flush_tlbs
        remove, h_protect = h_remove._remove, h_change.h_protect

        def watched_access(machine, vcpu, va, shift, *rest):
            if self._schedule is None:
                return access(machine, vcpu, va, shift, *rest)
            thread = self._schedule.current
            thread.access = Access(tlb.tlb_tag(va, shift))
            try:
                return access(machine, vcpu, va, shift, *rest)
            finally:
                thread.access = None

        def watched_tlbie(machine, cpu, v, r, index):
            tag = _tag_of(machine, v, index)
            return self._invalidation("tlbie", tag, lambda: tlbie(machine, cpu, v, r, index))

        def watched_flush(machine, cpu):
            return self._invalidation("flush", None, lambda: flush_tlbs(machine, cpu))

        def watched_remove(machine, vcpu, index, v):
            tag = _tag_of(machine, v, index)
            return self._invalidation("removal", tag, lambda: remove(machine, vcpu, index, v))

        def watched_protect(machine, vcpu, flags, pte_index, avpn):
            index = int(pte_index)
            tag = _tag_of(machine, atomics.load_own(machine.hpt, 2 * index), index)
            return self._invalidation(
                "H_PROTECT",
                tag,
                lambda: h_protect(machine, vcpu, flags, pte_index, avpn),
                lambda status: status == H_SUCCESS and not hpte_is_writable(flags),
            )

        originals = (access, tlbie, flush_tlbs, remove, h_protect)
        instead = (watched_access, watched_tlbie, watched_flush, watched_remove, watched_protect)
        with substituted(zip(originals, instead, strict=True)):
            yield

    def _invalidation(self, what, tag, invalidate, is_one=lambda result: True):
        """Run what ends a translation, or all (tag None), if its result says that it did."""
        if self._schedule is None:
            return invalidate()
        began = len(self._schedule.steps)
        result = invalidate()
        if is_one(result):
            self._ended.append((what, tag, began, len(self._schedule.steps)))
        return result


def _tag_of(machine, v, index):
    """Return the TLB's tag of the page that an HPTE maps; looking on makes no step."""
    shift = hpte_page_shift(v, atomics.load_own(machine.rev, 2 * index))
    return tlb.tlb_tag(va_of_hpte(machine, v, shift, index), shift)
