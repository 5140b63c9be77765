"""The machine's state: one NamedTuple of addresses that every kernel takes first.

It holds nothing of a tracker's but the words that fault handlers must reach: the logging mode of
each slot and the dirty bitmaps.
"""

from typing import NamedTuple

# One HPTE is two words of `hpt`; entry i of the revmap is two words of `rev`.
HPTE_WORDS = 2
HPTE_BYTES = 16

# Words of a memory slot's row in `slots`.
SLOT_WORDS = 16
SLOT_BASE_GFN = 0
SLOT_NPAGES = 1
SLOT_LOG_MODE = 2
SLOT_BITMAP = 3  # first word in `bitmap` of its two halves, and of the two summaries after them
SLOT_BITMAP_WORDS = 4  # words of one half
SLOT_LARGE = 5  # 1 once a 16 MiB page was mapped
SLOT_GROUP = 6  # pages of a group (LOG_GROUPS, LOG_HEAT)
SLOT_HEAT = 7  # first word in `heat`
SLOT_ACTIVE = 8  # which half fault handlers mark: 0 or 1
SLOT_DIRTY = 9  # at least the pages marked in half 0; the next word: in half 1

MAX_SLOTS = 32
"""KVM_MEMORY_SLOTS of Book3S in 2011."""

# What a logging slot asks of H_ENTER, of the fault handler and of the host's own stores.
LOG_OFF = 0
LOG_C_BIT = 1  # nothing: the hardware sets C
LOG_WRITE_PROTECT = 2  # install read-only; the first store faults and is marked
LOG_ABSENT = 3  # install absent; the first access faults; a writable mapping is marked
LOG_RING = 4  # as LOG_WRITE_PROTECT; the page goes into the ring of the vCPU that faults
LOG_PML = 5  # nothing: the hardware sets C, and logs the page
LOG_GROUPS = 6  # as LOG_WRITE_PROTECT; the fault opens a group of pages, of which C then tells
LOG_HEAT = 7  # as LOG_GROUPS, but the fault opens its page, and the group when that has cost enough
LOG_SUMMARY = 8  # as LOG_WRITE_PROTECT; a mark is also made in two summaries of the bitmap

# Words of a vCPU's row in `vcpus`, each on a cache line of its own.
VCPU_WORDS = 24
VCPU_ACCESS = 0  # odd while an access is under way
VCPU_HANDLER = 8  # odd while a fault handler or a store of the host is under way
VCPU_TLB_GENERATION = 16  # entries of an older generation are dead
VCPU_RUNNING = 17  # 1 while a thread runs it and those after it

# Words of a vCPU's row in `rings` and `pml`, a log that it appends to; indices count without end.
LOG_PUSHED = 0
LOG_TAKEN = 8
LOG_SIZE = 16  # entries that there is room for; 0: never used
LOG_LOCK = 24  # of who takes entries; that of vCPU 0 serves for all rings
LOG_ENTRIES = 32
MAX_LOG_SIZE = 1 << 16  # KVM_DIRTY_RING_MAX_ENTRIES
LOG_WORDS = LOG_ENTRIES + MAX_LOG_SIZE

# A TLB entry; its own vCPU alone touches data and generation.
TLB_ENTRIES = 2048
TLB_WORDS = 4
TLB_TAG = 0
TLB_DATA = 1
TLB_GENERATION = 2
TLB_OWED_C = 3  # HPTE index + 1 to which the entry owes C (`delayed_c`), and a lock; else 0

SET_ASIDE = 512
"""HPTEs that a sweep makes absent before it waits once for all of their tlbies."""

GPR_WORDS = 8
"""Registers r4 to r11: a hypercall's results, and the arguments of H_BULK_REMOVE."""

PTE_LOCKS = 64
"""Locks of the guest's own page table, by virtual page number."""


class Machine(NamedTuple):
    """Addresses and constants of one machine; all kernels take it first.

    Each address is that of an array of uint64; `Vm.arrays` is the same tuple with the arrays.

    Attributes
    ----------
    hpt : [2 * nhptes]
        The hashed page table: dword 0 and dword 1 of each HPTE, in groups of 8.
    rev : [2 * nhptes]
        The revmap: `guest_rpte` of each HPTE, then `forw` (low half) and `back` (high half).
    rmap : [guest_pages]
        One word per guest page: lock, REFERENCED, CHANGED, PRESENT, index of the ring's head.
    stamps : [guest_pages]
        Guest memory: one word per page, the oracle.
    bitmap : [2 * ...]
        Two halves of ceil(npages / 64) words for each slot; untouched words take no memory.
    slots : [MAX_SLOTS * SLOT_WORDS + 1]
        Rows of the memory slots; the last word counts them.
    vcpus : [(nvcpus + 1) * VCPU_WORDS]
        Words that vCPUs and the host share; the last row is the host's own thread.
    tlb : [nvcpus * TLB_ENTRIES * TLB_WORDS]
        A direct-mapped TLB for each vCPU.
    gpr : [nvcpus * GPR_WORDS]
        Registers r4 to r11 of each vCPU, for hypercalls.
    events : [(nvcpus + 1) * ROW]
        Event counts.
    pte_locks : [PTE_LOCKS]
        The guest's own locks.
    rings : [nvcpus * LOG_WORDS]
        A dirty ring for each vCPU; untouched words take no memory.
    pml : [nvcpus * LOG_WORDS]
        A buffer for each vCPU that the hardware logs into.
    heat : [...]
        For each slot what `core/heat` knows of it, of its groups of pages, and which are hot.
    written : [guest_pages]
        The harvest by which each page was last found written (LOG_HEAT).
    aside : [SET_ASIDE]
        Indices of the HPTEs that a sweep has made absent: one sweep at a time (`Vm.slots_lock`).
    nvcpus, page_shift, group_mask
        Number of vCPUs, log2 of the base page size in bytes, number of PTEGs - 1.
    scatter_bits
        0: EA = GPA; else log2 of the guest's bytes, over which pages are permuted.
    seed
        Of that permutation.
    delayed_c
        1: a TLB entry keeps C back until it goes; 0: a store sets C in the HPTE.
    """

    hpt: int
    rev: int
    rmap: int
    stamps: int
    bitmap: int
    slots: int
    vcpus: int
    tlb: int
    gpr: int
    events: int
    pte_locks: int
    rings: int
    pml: int
    heat: int
    written: int
    aside: int
    nvcpus: int
    page_shift: int
    group_mask: int
    scatter_bits: int
    seed: int
    delayed_c: int
