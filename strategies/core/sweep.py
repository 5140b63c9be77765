"""Sweep the HPT and the rmap in the order of memory: what is dirty is found without its name.

Blocks of 128 bytes are looked at 64 together: a group of 8 HPTEs is one, 16 rmap words are one.
"""

from numba import config

from strategies.core import atomics
from strategies.core.changed import (
    ABSENT,
    ABSENT_WRITABLE,
    EACH,
    FINISH,
    clear_c,
    harvest_ahead,
    is_due,
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
from strategies.core.hpte import HPTE_R_C, HPTES_PER_GROUP, hpte_page_shift
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_hpte, unlock_hpte
from strategies.core.machine import HPTE_WORDS, SET_ASIDE, SLOT_BASE_GFN, SLOT_NPAGES
from strategies.core.memslot import clear_log, report_pages, slot_field
from strategies.core.papr import PRESENT
from strategies.core.rmap import RMAP_CHANGED
from strategies.core.tlb import wait_for_shared_tlbies
from strategies.core.vcpus import vcpus_running
from strategies.core.words import I64, ONE, U64, ZERO, ctz

BLOCKS_PER_CHUNK = 64
BLOCK_WORDS = 16
ANY = ~ZERO


@inlined
def any_of(words, first, end, step, bits):
    """Say whether any bit of `bits` is set in words `first`, `first + step` ... before `end`."""
    found = ZERO
    for word in range(first, end, step):
        found |= atomics.load(words, word)
    return found & bits != ZERO


@inlined
def _group_has(hpt, group, bits):
    """Say whether an HPTE of a group has one of some bits in dword 1."""
    first = group * BLOCK_WORDS
    return any_of(hpt, first + 1, first + BLOCK_WORDS, HPTE_WORDS, bits)


if config.DISABLE_JIT:

    def _blocks(words, chunk):
        """Return the blocks of a chunk that may hold a word that is not 0.

        The explorer's memory knows which were ever written; the others would only be steps.
        """
        blocks = range(chunk * BLOCKS_PER_CHUNK, (chunk + 1) * BLOCKS_PER_CHUNK)
        if isinstance(words, dict):
            return sorted({int(word) // BLOCK_WORDS for word in words} & set(blocks))
        rows = words[blocks.start * BLOCK_WORDS : blocks.stop * BLOCK_WORDS]
        rows = rows.reshape(BLOCKS_PER_CHUNK, BLOCK_WORDS)  # all are there
        return [blocks.start + int(k) for k in rows.any(axis=1).nonzero()[0]]

    def groups_with(hpt, chunk, bits):
        """Return which of the 64 groups of a chunk have one of some bits in a dword 1."""
        mask = ZERO
        for block in _blocks(hpt, chunk):
            if _group_has(hpt, block, bits):
                mask |= ONE << U64(block % BLOCKS_PER_CHUNK)
        return mask

else:

    @inlined
    def groups_with(hpt, chunk, bits):
        """Return which of the 64 groups of a chunk have one of some bits in a dword 1."""
        mask = ZERO
        for k in range(BLOCKS_PER_CHUNK):
            if _group_has(hpt, chunk * BLOCKS_PER_CHUNK + k, bits):
                mask |= ONE << U64(k)
        return mask


@inlined
def _lock_own(machine, slot, index):
    """Lock an HPTE that maps a page of the slot; return that, or -1 if it maps none, unlocked.

    What an HPTE maps is known only under its lock.
    """
    v = lock_hpte(machine, machine.nvcpus, index)
    guest_r = atomics.load(machine.rev, 2 * index)
    page = hpte_gfn(machine, guest_r, hpte_page_shift(v, guest_r))
    page -= slot_field(machine, slot, SLOT_BASE_GFN)
    if v & PRESENT and 0 <= page < slot_field(machine, slot, SLOT_NPAGES):
        return page
    unlock_hpte(machine.hpt, index, v)
    return -1


@kernel
def _finish(machine, slot, out, aside):
    """Wait once for the tlbies of the HPTEs that were put aside; take their C, make them valid."""
    wait_for_shared_tlbies(machine, machine.nvcpus)
    for k in range(aside):
        index = I64(atomics.load_own(machine.aside, k))
        page = _lock_own(machine, slot, index)
        npages = clear_c(machine, index, FINISH) if page >= 0 else 0
        if npages:
            is_new = report_pages(out, page, npages)
            count(machine, machine.nvcpus, PAGES_CLEARED, is_new)


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
def _take_groups(machine, slot, out, chunk, mask, action, begun):
    """Make absent, and put aside, what is due in some groups of a chunk; finish when that is full.

    Returns how many tlbies were counted when the first HPTE that is aside was not yet.
    """
    while mask:
        group = chunk * BLOCKS_PER_CHUNK + ctz(mask)
        due = _due_in(machine, group, action)
        while due:
            index = group * HPTES_PER_GROUP + ctz(due)
            aside = counted(machine, machine.nvcpus, SHARED_TLBIES) - begun
            if aside == SET_ASIDE:
                _finish(machine, slot, out, aside)
                begun += aside
                aside = 0
            atomics.store_own(machine.aside, aside, U64(index))
            if _lock_own(machine, slot, index) >= 0:
                clear_c(machine, index, action)
            due &= due - ONE
        mask &= mask - ONE
    return begun


@inlined
def _fetch(machine, chunk, mask, bits):
    """Let the cache fetch those lines of the revmap that some groups of a chunk need."""
    while mask:
        first = (chunk * BLOCKS_PER_CHUNK + ctz(mask)) * BLOCK_WORDS
        half, end = first + BLOCK_WORDS // 2, first + BLOCK_WORDS
        is_low = any_of(machine.hpt, first + 1, half, HPTE_WORDS, bits)
        is_high = any_of(machine.hpt, half + 1, end, HPTE_WORDS, bits)
        atomics.prefetch(machine.rev, first if is_low else half)
        atomics.prefetch(machine.rev, half if is_high else first)
        mask &= mask - ONE


@inlined
def _sweep_hpt(machine, slot, out, bits, action):
    """Take the C of HPTEs that are due, in groups of which a dword 1 has one of some bits.

    A chunk is worked on when the next one was read: what that needs is in the cache by then.
    """
    chunks = (machine.group_mask + 1) // BLOCKS_PER_CHUNK
    begun = counted(machine, machine.nvcpus, SHARED_TLBIES)
    before = ZERO
    for chunk in range(chunks + 1):
        mask = ZERO
        if chunk < chunks:
            mask = groups_with(machine.hpt, chunk, bits)
            _fetch(machine, chunk, mask, bits)
        begun = _take_groups(machine, slot, out, chunk - 1, before, action, begun)
        before = mask
    aside = counted(machine, machine.nvcpus, SHARED_TLBIES) - begun
    if aside:
        _finish(machine, slot, out, aside)
    count(machine, machine.nvcpus, BLOCKS_SWEPT, machine.group_mask + 1)


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
        if block_end > end or any_of(machine.rmap, gfn, block_end, 1, RMAP_CHANGED):
            _take_changed(machine, slot, out, gfn, min(block_end, end))
        count(machine, machine.nvcpus, BLOCKS_SWEPT, 1)
        gfn = block_end


@inlined
def _sweep(machine, slot, out, words, bits, action):
    """Sweep the HPT for some bits, then the rmap; return nanoseconds.

    The rmap comes last: C leaves an HPTE for the rmap alone, before the HPTE goes.
    """
    start = monotonic_ns()
    clear_log(out, words)
    _sweep_hpt(machine, slot, out, bits, action)
    _sweep_rmap(machine, slot, out)
    return monotonic_ns() - start


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Sweep for C."""
    return _sweep(machine, slot, out, words, HPTE_R_C, ABSENT)


@kernel
def _get_definitive_dirty_log(machine, slot, out, words):
    """Sweep for all HPTEs that permit stores."""
    return _sweep(machine, slot, out, words, ANY, ABSENT_WRITABLE)


def sweeps(vm, slot, hptes_per_page):
    """Say whether the HPT is small enough beside a slot to be swept."""
    hptes = (vm.machine.group_mask + 1) * HPTES_PER_GROUP
    return hptes <= hptes_per_page * vm.slots[slot][1]


def harvest_all(vm, slot, out, hptes_per_page):
    """Harvest a slot of which C tells everywhere, by a sweep or page by page; return ns."""
    machine = vm.machine
    is_definitive = bool(machine.delayed_c and not vcpus_running(machine))
    arguments = machine, slot, atomics.address_of(out), out.size
    if not sweeps(vm, slot, hptes_per_page):
        return harvest_ahead(*arguments, is_definitive)
    get = _get_definitive_dirty_log if is_definitive else _get_dirty_log
    return get(*arguments)
