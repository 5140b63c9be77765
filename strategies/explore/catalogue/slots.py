"""Losses that only two slots show: what belongs to one is taken for the other's, or for both's."""

import errno

from strategies.base import DirtyTracker
from strategies.core import atomics, memslot, protect, rings, vm
from strategies.core.logs import entry_at, gfn_of, lock_log, set_log_size, unlock_log
from strategies.core.machine import (
    LOG_PUSHED,
    LOG_RING,
    LOG_TAKEN,
    LOG_WORDS,
    SLOT_ACTIVE,
    SLOT_BASE_GFN,
    SLOT_DIRTY,
    SLOT_WORDS,
)
from strategies.core.memslot import (
    PAGES_PER_WORD,
    SLOT_COUNT,
    bitmap_start,
    log_mode,
    mark_pages_dirty,
    report_pages,
    slot_field,
    slot_of_gfn,
)
from strategies.core.protect import READONLY, RESTORE, change_page, start_logging
from strategies.core.vm import bitmap_words
from strategies.core.words import ONE, U64, ZERO
from strategies.explore.defect import Defect
from strategies.explore.scene import Scene
from strategies.log import dirty_ring
from strategies.log import pml as pml_tracker

_change_slot = protect.change_slot
_start_logging = protect.start_logging
_get_dirty_log_of_pml = pml_tracker._get_dirty_log
_stop_pml = pml_tracker._stop

FIRST = 0


def mark_from_page_0(machine, slot, gfn, npages):
    """Mark pages by their number in the guest, not in their slot."""
    _mark(machine, slot, slot_field(machine, slot, SLOT_ACTIVE), gfn, npages)


def mark_in_half_of_first(machine, slot, gfn, npages):
    """Mark pages in the half that is active in the first slot."""
    first = gfn - slot_field(machine, slot, SLOT_BASE_GFN)
    _mark(machine, slot, slot_field(machine, FIRST, SLOT_ACTIVE), first, npages)


def _mark(machine, slot, half, first, npages):
    start = bitmap_start(machine, slot, half)
    for page in range(first, first + npages):
        mask = ONE << U64(page % PAGES_PER_WORD)
        word = start + page // PAGES_PER_WORD
        if not atomics.load(machine.bitmap, word) & mask:
            atomics.fetch_add(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY + half, ONE)
            atomics.fetch_or(machine.bitmap, word, mask)


def words_of_one_half(npages):
    """Return the words of one half: the next slot's bitmap begins in the second."""
    return bitmap_words(npages)


def copy_from_page_0(self, slot):
    """Copy the pages that have the reported numbers in the guest, not in the slot."""
    reported = self.reported(slot)
    self._copy_pages(reported)
    return [self.slots[slot][page] for page in reported]


def start_with_empty_bitmaps(machine, slot, mode, action):
    """Start the log of a slot with no page marked, in any slot."""
    for word in list(machine.bitmap):
        atomics.store(machine.bitmap, word, ZERO)
    _start_logging(machine, slot, mode, action)


def change_every_slot(machine, slot, action):
    """Give the guest its permissions back, when a log stops, in all slots."""
    is_stop = action == RESTORE
    slots = range(int(atomics.load(machine.slots, SLOT_COUNT))) if is_stop else [slot]
    for each in slots:
        _change_slot(machine, each, action)


def reset_own_entry(machine, cpu, slot, entry, out):
    """Report and re-arm an entry of the harvested slot, and pass over those of others."""
    gfn = gfn_of(entry)
    of = slot_of_gfn(machine, gfn)
    if log_mode(machine, of) == LOG_RING and of == slot:
        report_pages(out, gfn - slot_field(machine, of, SLOT_BASE_GFN), 1)
        change_page(machine, cpu, gfn, READONLY)


def start_with_empty_rings(machine, slot, entries):
    """Start the log of a slot with rings in which nothing is left of any slot."""
    lock_log(machine.rings, 0)
    for vcpu in range(machine.nvcpus):
        row = vcpu * LOG_WORDS
        pushed = atomics.load(machine.rings, row + LOG_PUSHED)
        atomics.store(machine.rings, row + LOG_TAKEN, pushed)
        set_log_size(machine.rings, vcpu, entries)
    unlock_log(machine.rings, 0)
    start_logging(machine, slot, LOG_RING, READONLY)


def get_dirty_log_of_own_entries(machine, slot, out, words):
    """Drain the buffers for the harvested slot alone."""
    for vcpu in range(machine.nvcpus):
        lock_log(machine.pml, vcpu)
        row = vcpu * LOG_WORDS
        end = atomics.load(machine.pml, row + LOG_PUSHED)
        for number in range(int(atomics.load(machine.pml, row + LOG_TAKEN)), int(end)):
            gfn = gfn_of(entry_at(machine.pml, vcpu, U64(number)))
            if slot_of_gfn(machine, gfn) == slot:
                mark_pages_dirty(machine, slot, gfn, 1)
        atomics.store(machine.pml, row + LOG_TAKEN, end)
        unlock_log(machine.pml, vcpu)
    return _get_dirty_log_of_pml(machine, slot, out, words)


def stop_hardware(machine, slot):
    """Stop the log of a slot, and the hardware's for good."""
    _stop_pml(machine, slot)
    for vcpu in range(machine.nvcpus):
        set_log_size(machine.pml, vcpu, 0)


def enable_logging_of_the_only_one(self, slot):
    """Start logging, unless another tracker logs any slot."""
    with self.vm.slots_lock:
        if any(each is not self for each in self.vm.logged_by.values()):
            raise OSError(errno.EBUSY, "slots are logged by another tracker")
        if not self._logs(slot):
            self._enable(slot)
            self.vm.logged_by[slot] = self


DEFECTS = (
    Defect(
        name="base-of-slot-forgotten",
        what="A page is marked by its number in the guest, where its slot's bitmap has its own.",
        origin="mark_page_dirty: rel_gfn = gfn - memslot->base_gfn",
        lived="-",
        program="in-turn-slots",
        strategy="write_protect",
        replaces=((memslot.mark_pages_dirty, mark_from_page_0),),
    ),
    Defect(
        name="half-of-another-slot",
        what="A page is marked in the half of its bitmap that is active in the first slot.",
        origin="design: each slot switches its halves by itself",
        lived="-",
        program="in-turn-slots",
        strategy="double_buffer",
        replaces=((memslot.mark_pages_dirty, mark_in_half_of_first),),
    ),
    Defect(
        name="half-shared-by-slots",
        what="The second half of a slot's bitmap is the first half of the next slot's: a page that "
        "has its bit there already is not counted.",
        origin="design: a slot has two halves of its own",
        lived="-",
        program="in-turn-slots",
        strategy="double_buffer",
        replaces=((vm.slot_words, words_of_one_half),),
    ),
    Defect(
        name="second-slot-misplaced",
        what="Who harvests copies the pages of the second slot from where the first one's are.",
        origin="firecracker 5705",
        lived="-",
        program="in-turn-slots",
        strategy="c_bit_scan",
        replaces=((Scene.harvest_and_copy, copy_from_page_0),),
    ),
    Defect(
        name="bitmaps-cleared-by-a-start",
        what="The log of one slot starts, and the marks of all are cleared.",
        origin="contract: enabling starts an empty log of its slot",
        lived="-",
        program="in-turn-slots-start",
        strategy="write_protect",
        replaces=((protect.start_logging, start_with_empty_bitmaps),),
    ),
    Defect(
        name="permissions-restored-in-all-slots",
        what="The log of one slot stops, and pages of all become writable: no fault marks them.",
        origin="contract: disabling is of its slot",
        lived="-",
        program="in-turn-slots-stop",
        strategy="write_protect",
        replaces=((protect.change_slot, change_every_slot),),
    ),
    Defect(
        name="ring-entry-of-another-slot-dropped",
        what="A harvest takes the entries of all slots from the rings, and keeps its own alone.",
        origin="design: the rings serve all slots; what is another's is marked in its bitmap",
        lived="-",
        program="in-turn-slots",
        strategy="dirty_ring",
        replaces=((rings._reset_entry, reset_own_entry),),
    ),
    Defect(
        name="rings-emptied-by-a-start",
        what="The log of one slot starts with empty rings, and the entries of another are gone.",
        origin="design: a start reaps the rings, and marks what is another's",
        lived="-",
        program="in-turn-slots-start",
        strategy="dirty_ring",
        replaces=((dirty_ring._start, start_with_empty_rings),),
    ),
    Defect(
        name="pml-entry-of-another-slot-dropped",
        what="A harvest drains the buffers of the hardware, and marks the pages of its slot alone.",
        origin="vmx_flush_pml_buffer marks the pages of all slots",
        lived="-",
        program="in-turn-slots",
        strategy="pml",
        replaces=((pml_tracker._get_dirty_log, get_dirty_log_of_own_entries),),
    ),
    Defect(
        name="pml-off-with-the-first-slot",
        what="The log of one slot stops, and the hardware logs no slot's pages any more.",
        origin="design: the buffers serve all slots",
        lived="-",
        program="in-turn-slots-stop",
        strategy="pml",
        replaces=((pml_tracker._stop, stop_hardware),),
    ),
    Defect(
        name="busy-for-another-slot",
        what="A tracker is refused a slot because another tracker logs another one.",
        origin="contract: EBUSY is of a slot",
        lived="-",
        program="in-turn-slots-apart",
        strategy="c_bit_scan",
        replaces=((DirtyTracker.enable_logging, enable_logging_of_the_only_one),),
    ),
)
