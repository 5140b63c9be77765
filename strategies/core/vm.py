"""A guest and its host, assembled: the only place that checks arguments.

Kernels take what they are given; `Vm` turns Python's numbers into theirs and refuses what the
machine cannot be.
"""

import threading
from weakref import WeakValueDictionary

import numpy as np

from strategies.core import events
from strategies.core.atomics import address_of
from strategies.core.guest import VIEW_BASE, VIEWS, load_pages, populate, store_pages
from strategies.core.heat import HEAT_WORDS
from strategies.core.hostfault import host_store
from strategies.core.hpte import SHIFT_4K, SHIFT_16M, SHIFT_64K
from strategies.core.machine import (
    GPR_WORDS,
    HPTE_BYTES,
    HPTE_WORDS,
    LOG_WORDS,
    MAX_SLOTS,
    PTE_LOCKS,
    SET_ASIDE,
    SLOT_BASE_GFN,
    SLOT_BITMAP,
    SLOT_BITMAP_WORDS,
    SLOT_HEAT,
    SLOT_NPAGES,
    SLOT_WORDS,
    TLB_ENTRIES,
    TLB_WORDS,
    VCPU_WORDS,
    Machine,
)
from strategies.core.memory import available_bytes, zeros
from strategies.core.memslot import PAGES_PER_WORD, SLOT_COUNT
from strategies.core.papr import H_SUCCESS
from strategies.core.unmap import unmap_page
from strategies.costs import X86_KVM
from strategies.errors import InputError

MIN_HPT_ORDER = 18
MAX_HPT_ORDER = 36
MAX_VCPUS = 256
MAX_GUEST_BYTES = 1 << 44
MAX_SEED = (1 << 32) - 1
MAPPINGS = ("linear", "scattered")
POPULATE_BATCH = 1 << 20


def default_hpt_order(guest_bytes):
    """Return log2 of 1/128 of guest memory, rounded up and within what an HPT may be.

    The ratio is that of QEMU's pseries machine (`spapr_hpt_shift_for_ramsize`, whose comment has
    PAPR recommend 1/64).
    """
    order = (guest_bytes // 128 - 1).bit_length() if guest_bytes > 128 else 0
    return min(max(order, MIN_HPT_ORDER), MAX_HPT_ORDER)


def machine_bytes(guest_pages, hpt_order):
    """Return the bytes of memory that a machine of this size comes to use."""
    return 2 * (1 << hpt_order) + guest_pages * 16


def bitmap_words(npages):
    """Return the 64-bit words of a dirty bitmap of `npages` pages."""
    return -(-npages // PAGES_PER_WORD)


def summary_words(npages):
    """Return the words of a bitmap's two summaries: a bit for each word, and for each of those."""
    first = bitmap_words(bitmap_words(npages))
    return first + bitmap_words(first)


def slot_words(npages):
    """Return the words that a slot has of a machine's `bitmap`: two halves and two summaries."""
    return 2 * bitmap_words(npages) + summary_words(npages)


class Vm:
    """A machine with its guest.

    Parameters
    ----------
    guest_pages : int
        Size of guest physical memory in base pages; slots may cover any part of it.
    page_shift : {12, 16}
        Base pages of 4 KiB or 64 KiB.
    hpt_order : int, optional
        log2 of the HPT's bytes, 18 to 36; by default 1/128 of guest memory.
    vcpus : int
        Number of vCPUs, each with its own TLB and event counters.
    mapping : {"linear", "scattered"}
        How the guest's effective addresses relate to its physical ones.
    seed : int
        Of the scattered mapping.
    delayed_c : bool
        The hardware keeps C in the TLB and writes it to the HPTE only when the TLB entry goes: it
        is replaced, or invalidated by a tlbie or a flush. By default a store sets C at once.
    unit_costs : UnitCosts
        What events cost on the platform that it stands for; trackers that choose by cost read it.

    Attributes
    ----------
    arrays : Machine
        The machine's arrays (uint64); they may be read while no thread runs.
    machine : Machine
        Their addresses: what kernels take.
    slots : list of (base gfn, pages)
    slots_lock : threading.Lock
        Held by the ioctls of a tracker (`kvm->slots_lock`).
    logged_by : mapping of int to DirtyTracker
        Who logs each slot that is being logged; weak, for a tracker refers to its machine and both
        shall go at once.
    """

    def __init__(
        self,
        guest_pages,
        *,
        page_shift=12,
        hpt_order=None,
        vcpus=1,
        mapping="linear",
        seed=0,
        delayed_c=False,
        unit_costs=X86_KVM,
    ):
        if page_shift not in (SHIFT_4K, SHIFT_64K):
            raise InputError(f"page shift {page_shift}: base pages are 2**12 or 2**16 bytes")
        if not 1 <= guest_pages <= MAX_GUEST_BYTES >> page_shift:
            raise InputError(f"{guest_pages} guest pages: accepted are 1 to 16 TiB of them")
        if hpt_order is None:
            hpt_order = default_hpt_order(guest_pages << page_shift)
        if not MIN_HPT_ORDER <= hpt_order <= MAX_HPT_ORDER:
            raise InputError(
                f"HPT order {hpt_order}: accepted are {MIN_HPT_ORDER} to {MAX_HPT_ORDER}"
            )
        if not 1 <= vcpus <= MAX_VCPUS:
            raise InputError(f"{vcpus} vCPUs: accepted are 1 to {MAX_VCPUS}")
        if mapping not in MAPPINGS:
            raise InputError(f"mapping {mapping!r}: accepted are {', '.join(MAPPINGS)}")
        if not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed {seed}: accepted are 0 to {MAX_SEED}")
        needed, available = machine_bytes(guest_pages, hpt_order), available_bytes()
        if available is not None and needed > available:
            raise InputError(
                f"a guest of {guest_pages} pages with an HPT of order {hpt_order} needs "
                f"{needed >> 20} MiB of memory: at most {available >> 20} MiB are available here"
            )
        self.guest_pages = guest_pages
        self.page_shift = page_shift
        self.hpt_order = hpt_order
        self.vcpus = vcpus
        self.mapping = mapping
        self.unit_costs = unit_costs
        self.slots = []
        self.slots_lock = threading.Lock()
        self.logged_by = WeakValueDictionary()
        self._host_store_lock = threading.Lock()
        self.arrays = self._allocate(seed, delayed_c)
        self.machine = Machine(
            *(address_of(f) if isinstance(f, np.ndarray) else f for f in self.arrays)
        )

    def _allocate(self, seed, delayed_c):
        """Return the machine with its arrays, all zero."""
        nhptes = (1 << self.hpt_order) // HPTE_BYTES
        guest_bits = max(SHIFT_16M + 1, ((self.guest_pages << self.page_shift) - 1).bit_length())
        return Machine(
            hpt=zeros(HPTE_WORDS * nhptes),
            rev=zeros(HPTE_WORDS * nhptes),
            rmap=zeros(self.guest_pages),
            stamps=zeros(self.guest_pages),
            bitmap=zeros(slot_words(self.guest_pages) + 5 * MAX_SLOTS),
            slots=zeros(SLOT_COUNT + 1),
            vcpus=zeros((self.vcpus + 1) * VCPU_WORDS),
            tlb=zeros(self.vcpus * TLB_ENTRIES * TLB_WORDS),
            gpr=zeros(self.vcpus * GPR_WORDS),
            events=zeros((self.vcpus + 1) * events.ROW),
            pte_locks=zeros(PTE_LOCKS),
            rings=zeros(self.vcpus * LOG_WORDS),
            pml=zeros(self.vcpus * LOG_WORDS),
            heat=zeros(2 * bitmap_words(self.guest_pages) + MAX_SLOTS * (HEAT_WORDS + 2)),
            written=zeros(self.guest_pages),
            aside=zeros(SET_ASIDE),
            nvcpus=self.vcpus,
            page_shift=self.page_shift,
            group_mask=nhptes // 8 - 1,
            scatter_bits=guest_bits if self.mapping == "scattered" else 0,
            seed=seed,
            delayed_c=int(delayed_c),
        )

    def add_memslot(self, base_gfn, npages):
        """Add a memory slot of any number of pages, while no vCPU runs; return its number.

        Raises
        ------
        InputError
            No page, outside guest memory, overlapping another slot, or too many slots.
        """
        end = base_gfn + npages
        if npages < 1 or base_gfn < 0 or end > self.guest_pages:
            raise InputError(f"slot of gfn {base_gfn} to {end}: guest has 0 to {self.guest_pages}")
        if any(base_gfn < base + n and base < end for base, n in self.slots):
            raise InputError(f"slot of gfn {base_gfn} to {end} overlaps another one")
        if len(self.slots) == MAX_SLOTS:
            raise InputError(f"more than {MAX_SLOTS} memory slots")
        slot = len(self.slots)
        row = self.arrays.slots[slot * SLOT_WORDS : (slot + 1) * SLOT_WORDS]
        row[SLOT_BASE_GFN] = base_gfn
        row[SLOT_NPAGES] = npages
        row[SLOT_BITMAP] = sum(slot_words(n) for _, n in self.slots)
        row[SLOT_BITMAP_WORDS] = bitmap_words(npages)
        row[SLOT_HEAT] = sum(HEAT_WORDS + 2 * bitmap_words(n) for _, n in self.slots)
        self.slots.append((base_gfn, npages))
        self.arrays.slots[SLOT_COUNT] = len(self.slots)
        return slot

    def populate(self, slot, view=VIEW_BASE, progress=None):
        """Let the guest map every page of a slot, one H_ENTER each.

        Parameters
        ----------
        progress : callable, optional
            Called with the number of pages mapped since the last call.
        """
        if not 0 <= slot < len(self.slots):
            raise InputError(f"no memory slot {slot}: there are {len(self.slots)}")
        base, npages = self.slots[slot]
        for first in range(base, base + npages, POPULATE_BATCH):
            count = min(POPULATE_BATCH, base + npages - first)
            if populate(self.machine, self._view(view), first, count) != H_SUCCESS:
                raise InputError(f"slot {slot} cannot be mapped at view {view}: not aligned")
            if progress:
                progress(count)

    def _view(self, view):
        if not 0 <= view < VIEWS:
            raise InputError(f"view {view}: accepted are 0 to {VIEWS - 1}")
        return view

    def _pages(self, gfns):
        gfns = np.atleast_1d(np.asarray(gfns, dtype=np.int64))
        if gfns.size and not (gfns.min() >= 0 and gfns.max() < self.guest_pages):
            raise InputError(f"gfn outside the guest: accepted are 0 to {self.guest_pages - 1}")
        return gfns

    def _vcpu(self, vcpu, count=1):
        if not 0 <= vcpu <= vcpu + count - 1 < self.vcpus:
            raise InputError(f"vCPU {vcpu}: accepted are 0 to {self.vcpus - 1}")
        return vcpu

    def store(self, gfns, stamp, *, view=VIEW_BASE, vcpu=0, vcpus=1, step=0):
        """Store to pages in turn, element k by vCPU `vcpu + k % vcpus`; return how many succeeded.

        Element k writes `stamp + k * step`.
        """
        self._vcpu(vcpu, vcpus)
        return store_pages(
            self.machine, self._view(view), vcpu, vcpus, self._pages(gfns), stamp, step
        )

    def load(self, gfns, *, view=VIEW_BASE, vcpu=0, vcpus=1):
        """Load from pages in turn, as `store`; return how many succeeded."""
        self._vcpu(vcpu, vcpus)
        return load_pages(self.machine, self._view(view), vcpu, vcpus, self._pages(gfns))

    def host_store(self, gfn, stamp):
        """Store into a page as the host does; no HPTE sees it. Threads take turns."""
        self._pages(gfn)
        with self._host_store_lock:
            found = host_store(self.machine, self.vcpus, gfn, stamp)
        if not found:
            raise InputError(f"gfn {gfn} is in no memory slot")

    def unmap_page(self, gfn):
        """Take a page away from the guest, as the host does to swap it out, until its next access.

        Beside a harvest, too; but both count in the host's row, where counts may then be missing.
        """
        unmap_page(self.machine, self.vcpus, int(self._pages(gfn)[0]))

    def hypercall(self, function, *args, vcpu=0):
        """Make a hypercall (`h_enter`, ...) and return its code and r4 to r11 (uint64[8])."""
        words = (np.uint64(int(arg) & (1 << 64) - 1) for arg in args)
        status = function(self.machine, self._vcpu(vcpu), *words)
        return status, self.arrays.gpr.reshape(-1, GPR_WORDS)[vcpu].copy()

    def events(self, who=None):
        """Return the exact event counts since the machine was built.

        Parameters
        ----------
        who : {None, "host", "guest"}
            All threads together; the host's own, which harvests and enables; the vCPUs, with their
            faults and hypercalls.
        """
        rows = {
            None: slice(None),
            "host": slice(self.vcpus, None),
            "guest": slice(self.vcpus),
        }
        if who not in rows:
            raise InputError(f"events of {who!r}: accepted are 'host' and 'guest'")
        totals = self.arrays.events.reshape(-1, events.ROW)[rows[who]].sum(axis=0)
        return {name: int(totals[column]) for column, name in enumerate(events.NAMES)}
