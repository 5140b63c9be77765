"""Judges a tracker's logs by the C bits that QEMU's guest sees.

QEMU sets C where a store finds it clear, and nobody clears it. So an HPTE whose C was seen clear
and then set was stored to between: its pages must be in the log. And a page is in the log only if
it has, or had since the last harvest, an HPTE whose C is not seen clear at the harvest.
"""

from dataclasses import dataclass

import commands as c
import numpy as np
from on_core import DATA_SLOT

from strategies.core.hpte import HPTE_R_C, HPTE_R_RPN, HPTE_V_VALID, hpte_page_shift
from strategies.core.papr import H_READ_4, H_SUCCESS


@dataclass
class Mapping:
    """An HPTE, from H_ENTER until it is removed, and what was last seen of its C.

    Attributes
    ----------
    pages : slice
        Pages of the logged slot.
    has_c : bool
    clock : int
        How many stores had completed when its C was seen so.
    """

    pages: slice
    has_c: bool
    clock: int


@dataclass(frozen=True)
class Stored:
    """Pages that were stored to after so many stores had completed."""

    pages: slice
    after: int


class Judge:
    """Follows QEMU's answers and judges the logs.

    Parameters
    ----------
    vm : Vm
        For the size of its pages and the place of its slot.

    Attributes
    ----------
    required, reported : int
        How often an HPTE's pages had to be in a log, and how many pages logs had.
    """

    def __init__(self, vm):
        self.page_shift = vm.page_shift
        self.base, self.npages = vm.slots[DATA_SLOT]
        self.mappings = {}
        self.clock = self.required = self.reported = 0
        self.start()

    def start(self):
        """Take note that a log is empty from now on."""
        self.stored, self.gone = [], []
        self.started = self.clock

    def _pages(self, pteh, ptel):
        shift = int(hpte_page_shift(np.uint64(pteh), np.uint64(ptel)))
        address = (int(ptel) & int(HPTE_R_RPN)) >> shift << shift
        first = (address >> self.page_shift) - self.base
        return slice(first, first + max(1, 1 << shift >> self.page_shift))

    def _see(self, index, has_c):
        """Take note of the C of an HPTE."""
        mapping = self.mappings[index]
        if has_c and not mapping.has_c:
            self.stored.append(Stored(mapping.pages, mapping.clock))
        mapping.has_c, mapping.clock = has_c, self.clock

    def _remove(self, index, has_c):
        self._see(index, has_c)
        mapping = self.mappings.pop(index)
        if has_c:
            self.gone.append(mapping)

    def follow(self, command, result):
        """Take note of what a command did in QEMU."""
        kind = int(command[0])
        if kind == c.STORE:
            self.clock += int(result[0] == 0)
        elif result[0] != H_SUCCESS and kind != c.BULK_REMOVE:
            return
        elif kind == c.ENTER:
            has_c = bool(command[4] & HPTE_R_C)
            pages = self._pages(*command[3:5])
            self.mappings[int(result[1])] = Mapping(pages, has_c, self.clock)
        elif kind == c.REMOVE:
            self._remove(int(command[2]), bool(result[2] & HPTE_R_C))
        elif kind == c.READ:
            is_four = bool(command[1] & H_READ_4)
            first = int(command[2]) & ~3 if is_four else int(command[2])
            for k in range(4 if is_four else 1):
                if result[1 + 2 * k] & HPTE_V_VALID:
                    self._see(first + k, bool(result[2 + 2 * k] & HPTE_R_C))
        elif kind == c.BULK_REMOVE:
            self._follow_bulk(command, result)

    def _follow_bulk(self, command, result):
        for column in range(1, c.WORDS, 2):
            answer = int(result[column])
            if int(command[column]) >> 62 != 1 or answer >> 60 == 0xA:
                return
            if answer >> 60 == 0x8:
                self._remove(answer & (1 << 56) - 1, bool(answer >> 58 & 1))

    def _may_be_dirty(self):
        """Return whether each page may have been stored to since the last harvest."""
        may = np.zeros(self.npages, bool)
        for mapping in [*self.mappings.values(), *self.gone]:
            if mapping.has_c or mapping.clock < self.clock:
                may[mapping.pages] = True
        return may

    def harvest(self, log, reports_reads):
        """Judge a log; yield what is wrong with it, in words."""
        log = log[: self.npages].astype(bool)
        for stored in self.stored:
            if stored.after >= self.started:
                self.required += 1
                if not log[stored.pages].all():
                    pages = f"{stored.pages.start} to {stored.pages.stop - 1}"
                    yield f"pages {pages} were stored to and are not in the log"
        self.reported += int(log.sum())
        spurious = np.flatnonzero(log & ~self._may_be_dirty())
        if len(spurious) and not reports_reads:
            yield f"pages {spurious.tolist()} are in the log, and no store set a C"
        self.start()
