"""Sweep the whole HPT in the order of memory for C bits, then the rmap for CHANGED."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.changed import (
    ABSENT,
    ABSENT_WRITABLE,
    EACH,
    FINISH,
    clear_c,
    harvest_ahead,
    is_due,
    set_scan_mode,
    test_clear_dirty,
)
from strategies.core.clock import monotonic_ns
from strategies.core.events import (
    BLOCKS_SWEPT,
    PAGES_CLEARED,
    PAGES_SCANNED,
    SHARED_TLBIES,
    count,
    counted,
)
from strategies.core.hpt import hpte_gfn
from strategies.core.hpte import HPTE_R_C, HPTE_V_ABSENT, HPTES_PER_GROUP, hpte_page_shift
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_hpte, unlock_hpte
from strategies.core.machine import HPTE_WORDS, LOG_C_BIT, LOG_OFF, SLOT_BASE_GFN, SLOT_NPAGES
from strategies.core.memslot import clear_log, report_pages, slot_field
from strategies.core.papr import PRESENT
from strategies.core.rmap import RMAP_CHANGED
from strategies.core.sweep import BLOCK_WORDS, BLOCKS_PER_CHUNK, any_of, blocks_with
from strategies.core.tlb import wait_for_shared_tlbies
from strategies.core.vcpus import vcpus_running
from strategies.core.words import ONE, U64, ZERO, ctz

ANY = ~ZERO


@inlined
def _take(machine, slot, out, index, action):
    """Do an action to an HPTE of the slot; return 1 if its page was not reported before, else 0.

    What an HPTE maps is known only under its lock.
    """
    v = lock_hpte(machine, machine.nvcpus, index)
    guest_r = atomics.load(machine.rev, 2 * index)
    page = hpte_gfn(machine, guest_r, hpte_page_shift(v, guest_r))
    page -= slot_field(machine, slot, SLOT_BASE_GFN)
    if not v & PRESENT or not 0 <= page < slot_field(machine, slot, SLOT_NPAGES):
        unlock_hpte(machine.hpt, index, v)
        return 0
    npages = clear_c(machine, index, action)
    return report_pages(out, page, npages) if npages else 0


@inlined
def _due_in(machine, group, action):
    """Return which of the 8 HPTEs of a group are due, as bits; what is free keeps an old C."""
    due = ZERO
    for k in range(HPTES_PER_GROUP):
        index = group * HPTES_PER_GROUP + k
        is_there = atomics.load(machine.hpt, 2 * index) & PRESENT != ZERO
        due |= U64(is_there & is_due(machine, index, action)) << U64(k)
    return due


@inlined
def _take_groups(machine, slot, out, chunk, mask, action):
    """Do an action to the HPTEs that are due in some groups of a chunk; return the new pages."""
    cleared = 0
    while mask:
        group = chunk * BLOCKS_PER_CHUNK + ctz(mask)
        due = _due_in(machine, group, action)
        while due:
            index = group * HPTES_PER_GROUP + ctz(due)
            cleared += _take(machine, slot, out, index, action)
            due &= due - ONE
        mask &= mask - ONE
    return cleared


@inlined
def _fetch(machine, chunk, mask):
    """Let the cache fetch the revmap entries of some groups of a chunk."""
    while mask:
        word = (chunk * BLOCKS_PER_CHUNK + ctz(mask)) * BLOCK_WORDS
        atomics.prefetch(machine.rev, word)
        atomics.prefetch(machine.rev, word + BLOCK_WORDS // 2)
        mask &= mask - ONE


@inlined
def _sweep_hpt(machine, slot, out, dword, bits, action):
    """Do an action to what is due in groups of which a dword 0 or 1 has one of some bits.

    A chunk is worked on when the next one was read: what that needs is in the cache by then.
    """
    chunks = (machine.group_mask + 1) // BLOCKS_PER_CHUNK
    before = ZERO
    cleared = 0
    for chunk in range(chunks + 1):
        mask = ZERO
        if chunk < chunks:
            mask = blocks_with(machine.hpt, chunk, dword, HPTE_WORDS, bits)
            _fetch(machine, chunk, mask)
        cleared += _take_groups(machine, slot, out, chunk - 1, before, action)
        before = mask
    count(machine, machine.nvcpus, BLOCKS_SWEPT, machine.group_mask + 1)
    count(machine, machine.nvcpus, PAGES_CLEARED, cleared)


@kernel
def _take_changed(machine, slot, out, first, end):
    """Take CHANGED and C of those of some pages of which CHANGED is set."""
    base = slot_field(machine, slot, SLOT_BASE_GFN)
    for gfn in range(first, end):
        if atomics.load(machine.rmap, gfn) & RMAP_CHANGED:
            count(machine, machine.nvcpus, PAGES_SCANNED, 1)
            npages = test_clear_dirty(machine, gfn, EACH)
            if npages:
                is_new = report_pages(out, gfn - base, npages)
                count(machine, machine.nvcpus, PAGES_CLEARED, is_new)


@inlined
def _sweep_rmap(machine, slot, out):
    """Take what HPTEs left in the rmap words of a slot when they went."""
    gfn = slot_field(machine, slot, SLOT_BASE_GFN)
    end = gfn + slot_field(machine, slot, SLOT_NPAGES)
    while gfn < end:
        block_end = gfn - gfn % BLOCK_WORDS + BLOCK_WORDS
        if block_end > end or any_of(machine.rmap, gfn, 1, RMAP_CHANGED):
            _take_changed(machine, slot, out, gfn, min(block_end, end))
        count(machine, machine.nvcpus, BLOCKS_SWEPT, 1)
        gfn = block_end


@inlined
def _finish(machine, slot, out, begun):
    """Wait once for the tlbies since `begun` were counted, and make the HPTEs valid again."""
    if counted(machine, machine.nvcpus, SHARED_TLBIES) > begun:
        wait_for_shared_tlbies(machine, machine.nvcpus)
        _sweep_hpt(machine, slot, out, 0, HPTE_V_ABSENT, FINISH)


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Sweep for C, and over what was made absent; then the rmap; return nanoseconds.

    The rmap comes last: C leaves an HPTE for the rmap alone, before the HPTE goes.
    """
    start = monotonic_ns()
    clear_log(out, words)
    begun = counted(machine, machine.nvcpus, SHARED_TLBIES)
    _sweep_hpt(machine, slot, out, 1, HPTE_R_C, ABSENT)
    _finish(machine, slot, out, begun)
    _sweep_rmap(machine, slot, out)
    return monotonic_ns() - start


@kernel
def _get_definitive_dirty_log(machine, slot, out, words):
    """Do so to all HPTEs that permit stores; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    begun = counted(machine, machine.nvcpus, SHARED_TLBIES)
    _sweep_hpt(machine, slot, out, 1, ANY, ABSENT_WRITABLE)
    _finish(machine, slot, out, begun)
    _sweep_rmap(machine, slot, out)
    return monotonic_ns() - start


class HptSweep(DirtyTracker):
    """As c_bit_scan_batched over absent HPTEs, but these are found by reading the HPT in order.

    A proposal for hashed page tables; no kernel has it. A scan by pages waits for memory at each
    of them, for the hash scatters their HPTEs; a sweep reads all HPTEs, other slots' too, as fast
    as memory is read. So its cost grows with the HPT and not with the slot: where the HPT has more
    than `value` HPTEs for each page of the slot (`hpt_sweep:8`), the harvest is that of
    c_bit_scan_pipelined. As measured on one machine, the two cost the same with a clean slot at
    some 8 (tables in the cache) to 24 (beyond it); with 64 KiB pages an HPT by the rule of 1/128
    has 32, and it does not sweep.

    HPTEs with C set are made absent by a first sweep, with tlbies that share one wait; a second
    sweep, if there are any, clears their C and makes them valid. The rmap's CHANGED is taken after
    that, never before: an HPTE that goes behind the sweep leaves its C there, and one that is
    entered behind it has its C from there. A page that an access makes valid between the sweeps
    keeps its C: the next harvest reports it, too.

    A harvest with no vCPU running is definitive where TLBs keep C back: it makes all HPTEs absent
    that permit stores. Large pages report every page they cover.
    """

    name = "hpt_sweep"

    def _enable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_C_BIT)
        self._harvest(slot, self.buffer(slot))  # what was written before is not reported

    def _disable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_OFF)

    def _harvest(self, slot, out):
        machine = self.vm.machine
        is_definitive = bool(machine.delayed_c and not vcpus_running(machine))
        arguments = machine, slot, atomics.address_of(out), out.size
        hptes = (machine.group_mask + 1) * HPTES_PER_GROUP
        if hptes > self.value * self.vm.slots[slot][1]:
            return harvest_ahead(*arguments, is_definitive)
        get = _get_definitive_dirty_log if is_definitive else _get_dirty_log
        return get(*arguments)
