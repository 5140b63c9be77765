"""The guest operating system: its address space, its hash-miss handler, its loads and stores."""

from strategies.core import atomics
from strategies.core.events import EVICTIONS, HASH_MISSES, TLB_MISSES, count, counted
from strategies.core.h_enter import h_enter
from strategies.core.h_remove import h_remove
from strategies.core.hostfault import GUEST_PROTECTION, HASH_MISS, handle_fault
from strategies.core.hpt import find_hpte, group_of, hpte_v_of, pages_of, virtual_address
from strategies.core.hpte import (
    HPTE_R_M,
    HPTE_R_RC,
    HPTE_V_ABSENT,
    HPTE_V_BOLTED,
    HPTE_V_SECONDARY,
    HPTE_V_VALID,
    HPTES_PER_GROUP,
    LP_64K,
    PP_RWRW,
    SHIFT_4K,
    SHIFT_16M,
    SHIFT_64K,
)
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_bit
from strategies.core.machine import PTE_LOCKS
from strategies.core.mmu import FAULT, access
from strategies.core.papr import H_ANDCOND, H_PTEG_FULL, H_SUCCESS
from strategies.core.words import I64, ONE, U64, ZERO

VIEW_BASE = 0  # base pages
VIEW_ALIAS = 1  # the same pages once more, at other addresses
VIEW_LARGE = 2  # 16 MiB pages
VIEW_SMALL = 3  # 4 KiB pages: of each base page the first 4 KiB
VIEWS = 4
"""Regions of the guest's address space. Each has an address for every page, so that several HPTEs
can map one page; all mappings of a region have one size, as in a segment of the SLB."""

VIEW_SHIFT = U64(44)
H_ENTER_RIGHTS = HPTE_R_M | HPTE_R_RC | PP_RWRW
"""What Linux enters for its own memory: cacheable, read and write, R and C set beforehand."""

PREFETCH_DISTANCE = 4

SCATTER_MULTIPLIERS = U64(0x2545F491), U64(0x5851F42D)


@inlined
def view_shift(machine, view):
    """Return log2 of the page size of a view."""
    if view == VIEW_LARGE:
        return SHIFT_16M
    if view == VIEW_SMALL:
        return SHIFT_4K
    return machine.page_shift


@inlined
def scatter(page, bits, seed):
    """Return the image of a page number under a seeded permutation of `bits` bits (at most 32).

    Odd multipliers and right shifts are bijections of `bits`-bit numbers.
    """
    mask = (ONE << U64(bits)) - ONE
    half = U64((bits + 1) // 2)
    page ^= U64(seed) & mask
    page = (page * SCATTER_MULTIPLIERS[0]) & mask
    page ^= page >> half
    page = (page * SCATTER_MULTIPLIERS[1]) & mask
    return page ^ (page >> half)


@inlined
def address_of(machine, view, gfn):
    """Return the virtual address at which a view maps the first byte of a page."""
    ea = U64(gfn) << U64(machine.page_shift)
    if machine.scatter_bits:
        shift = view_shift(machine, view)
        page = scatter(ea >> U64(shift), machine.scatter_bits - shift, machine.seed)
        ea = page << U64(shift) | ea & ((ONE << U64(shift)) - ONE)
    return virtual_address(U64(view) << VIEW_SHIFT | ea)


@inlined
def _evict(machine, vcpu, group, start):
    """Remove an HPTE that is not bolted from a full group (`pSeries_lpar_hpte_remove`).

    Returns False when all of them are bolted.
    """
    bolted = 0
    for k in range(HPTES_PER_GROUP):
        index = group + (start + k) % HPTES_PER_GROUP
        if h_remove(machine, vcpu, H_ANDCOND, U64(index), HPTE_V_BOLTED) == H_SUCCESS:
            count(machine, vcpu, EVICTIONS, 1)
            return True
        bolted += atomics.load(machine.hpt, 2 * index) & HPTE_V_BOLTED != ZERO
    return bolted < HPTES_PER_GROUP


@kernel
def guest_map(machine, vcpu, view, gfn, rights):
    """Enter an HPTE for a page as Linux does (`hash_page`): primary group, secondary, or evict.

    Parameters
    ----------
    rights : uint64
        The bits of dword 1 besides the address.

    Returns
    -------
    int
        H_SUCCESS, H_PARAMETER as of H_ENTER, or H_PTEG_FULL: both groups are all bolted.
    """
    shift = view_shift(machine, view)
    va = address_of(machine, view, gfn)
    pteh = hpte_v_of(va, shift)
    ptel = U64(gfn) << U64(machine.page_shift) & ~((ONE << U64(shift)) - ONE) | rights
    if shift == SHIFT_64K:
        ptel |= LP_64K
    while True:
        for secondary in range(2):
            group = group_of(machine, va, shift, secondary)
            h = HPTE_V_SECONDARY if secondary else ZERO
            status = h_enter(machine, vcpu, ZERO, U64(group), pteh | h, ptel)
            if status != H_PTEG_FULL:
                return status
        turn = counted(machine, vcpu, EVICTIONS)  # as good as the timebase that Linux reads
        first = group_of(machine, va, shift, turn & 1)
        second = group_of(machine, va, shift, 1 - (turn & 1))
        if not (_evict(machine, vcpu, first, turn >> 1) or _evict(machine, vcpu, second, turn)):
            return H_PTEG_FULL


@inlined
def _prefetch_group(machine, view, gfn):
    """Fetch ahead the PTEG of a page and return its first index.

    The simulation's speed, not a guest's: locked instructions end the processor's own look-ahead.
    """
    group = group_of(machine, address_of(machine, view, gfn), view_shift(machine, view), 0)
    atomics.prefetch(machine.hpt, 2 * group)
    return group


@kernel
def populate(machine, view, first_gfn, npages):
    """Map pages at a view, one H_ENTER each (large pages: one per 16 MiB), by vCPU 0.

    Returns H_SUCCESS, or the first other code.
    """
    step = pages_of(machine, view_shift(machine, view))
    for gfn in range(first_gfn, first_gfn + npages, step):
        ahead = min(gfn + PREFETCH_DISTANCE * step, first_gfn + npages - 1)
        atomics.prefetch(machine.rev, 2 * _prefetch_group(machine, view, ahead))
        status = guest_map(machine, 0, view, gfn, H_ENTER_RIGHTS)
        if status != H_SUCCESS:
            return status
    return H_SUCCESS


@inlined
def _hash_miss(machine, vcpu, view, gfn, va, shift):
    """Enter the missing HPTE under the guest's own lock, unless another vCPU was faster."""
    count(machine, vcpu, HASH_MISSES, 1)
    lock = I64((va >> U64(shift)) % U64(PTE_LOCKS))
    word = lock_bit(machine.pte_locks, lock, ONE)
    status = H_SUCCESS
    if find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT) < 0:
        status = guest_map(machine, vcpu, view, gfn, H_ENTER_RIGHTS)
    atomics.store(machine.pte_locks, lock, word)
    return status


@inlined
def touch(machine, vcpu, view, gfn, is_store, stamp):
    """Load or store one page until it succeeds, faults and hash misses included.

    Returns True, or False when the guest's own permissions or the memory slots forbid it.
    """
    va = address_of(machine, view, gfn)
    shift = view_shift(machine, view)
    while access(machine, vcpu, va, shift, is_store, stamp) == FAULT:
        status = handle_fault(machine, vcpu, va, shift, is_store)
        if status == GUEST_PROTECTION:
            return False
        if status == HASH_MISS and _hash_miss(machine, vcpu, view, gfn, va, shift) != H_SUCCESS:
            return False
    return True


@inlined
def _touch_pages(machine, view, vcpu, nvcpus, gfns, is_store, first_stamp, stamp_step):
    """Touch pages in turn; where TLBs miss, fetch ahead for an access a few turns away."""
    done = 0
    cpu = vcpu
    for k in range(gfns.size):
        misses = counted(machine, cpu, TLB_MISSES)
        stamp = U64(first_stamp + k * stamp_step)
        done += touch(machine, cpu, view, I64(gfns[k]), is_store, stamp)
        if counted(machine, cpu, TLB_MISSES) != misses and k + PREFETCH_DISTANCE < gfns.size:
            ahead = I64(gfns[k + PREFETCH_DISTANCE])
            _prefetch_group(machine, view, ahead)
            atomics.prefetch(machine.stamps, ahead)
        cpu += 1
        if cpu == vcpu + nvcpus:
            cpu = vcpu
    return done


@kernel
def store_pages(machine, view, vcpu, nvcpus, gfns, first_stamp, stamp_step):
    """Store to pages in turn: element k by vCPU `vcpu + k % nvcpus`.

    Parameters
    ----------
    gfns : int64[n]
        The pages, in order; a page may occur more than once.
    first_stamp, stamp_step : int
        Element k writes `first_stamp + k * stamp_step`.

    Returns
    -------
    int
        How many stores succeeded.
    """
    return _touch_pages(machine, view, vcpu, nvcpus, gfns, True, first_stamp, stamp_step)


@kernel
def load_pages(machine, view, vcpu, nvcpus, gfns):
    """Load from pages in turn, as `store_pages`; return how many loads succeeded."""
    return _touch_pages(machine, view, vcpu, nvcpus, gfns, False, 0, 0)
