"""Exact event counts, one row per vCPU and a last one for the host's own thread.

A row is written by the one thread that runs its vCPU (or the harvest) and read when that thread
has stopped, so plain additions suffice.
"""

from strategies.core import atomics
from strategies.core.jit import inlined
from strategies.core.words import I64, U64

NAMES = (
    "loads",
    "stores",
    "tlb_misses",
    "hash_misses",  # no HPTE: the guest's own handler enters one
    "evictions",  # ... after removing another, both groups being full
    "guest_protection_faults",  # the guest's own HPTE forbids the store
    "write_faults",  # a read-only HPTE in a write-protected slot
    "map_faults",  # an absent HPTE: logging made it so
    "upgrade_faults",  # a read-only HPTE in any other slot: H_PROTECT left it so
    "spurious_faults",  # another vCPU resolved it first
    "host_stores",
    "hypercalls",
    "tlbies",
    "flushes",
    "lock_retries",
    "rmap_steps",  # HPTEs visited along reverse-map rings
    "bitmap_words_read",
    "grace_waits",  # handlers that a grace period had to wait for
    "grace_periods",  # ... of harvests, waited out
    "pages_scanned",  # by a harvest that looks for C bits
    "pages_cleared",  # ... and found C or CHANGED set, and cleared it
    "words_taken",  # words of the bitmap that a harvest found set and took
    "pages_rearmed",  # pages that a harvest took and made read-only again
    "pages_protected",  # pages walked to start a log
    "changed_bits_set",  # walks that found C clear and set it (`delayed_c`: owe it)
    "shared_tlbies",  # tlbies that share one wait with others
    "shared_waits",  # ... such waits
    "pages_passed",  # by a harvest that looks for C bits and takes no lock for a clean page
    "blocks_swept",  # of 128 bytes: groups of HPTEs, or 16 rmap words, read in order
    "log_pushes",  # entries that a vCPU, or its hardware, appended to its log
    "log_exits",  # ... which was full, so that the vCPU left the guest
    "spills",  # vCPUs that a harvest made drain their logs
    "pages_reported_twice",  # by copies of a log, not cleared in between
    "groups_opened",  # by the first write fault in a group of pages
    "pages_opened",  # ... that got the guest's own permissions with it
    "groups_closed",  # by a harvest, when they had cost too much
    "pages_flushed",  # of those made read-only, for whose tlbies a flush of all stands
    "whole_flushes",  # ... such flushes, where a page's own tlbie has a price
)

(
    LOADS,
    STORES,
    TLB_MISSES,
    HASH_MISSES,
    EVICTIONS,
    GUEST_PROTECTION_FAULTS,
    WRITE_FAULTS,
    MAP_FAULTS,
    UPGRADE_FAULTS,
    SPURIOUS_FAULTS,
    HOST_STORES,
    HYPERCALLS,
    TLBIES,
    FLUSHES,
    LOCK_RETRIES,
    RMAP_STEPS,
    BITMAP_WORDS_READ,
    GRACE_WAITS,
    GRACE_PERIODS,
    PAGES_SCANNED,
    PAGES_CLEARED,
    WORDS_TAKEN,
    PAGES_REARMED,
    PAGES_PROTECTED,
    CHANGED_BITS_SET,
    SHARED_TLBIES,
    SHARED_WAITS,
    PAGES_PASSED,
    BLOCKS_SWEPT,
    LOG_PUSHES,
    LOG_EXITS,
    SPILLS,
    PAGES_REPORTED_TWICE,
    GROUPS_OPENED,
    PAGES_OPENED,
    GROUPS_CLOSED,
    PAGES_FLUSHED,
    WHOLE_FLUSHES,
) = range(len(NAMES))

ROW = 40
"""Columns of a row: a multiple of a cache line, so that no two threads share one."""


@inlined
def counted(machine, cpu, event):
    """Return how often an event was counted in a row."""
    return I64(atomics.load_own(machine.events, cpu * ROW + event))


@inlined
def count(machine, cpu, event, times):
    """Count an event `times` times in the row of a vCPU, or of the host (`machine.nvcpus`)."""
    total = U64(counted(machine, cpu, event) + times)
    atomics.store_own(machine.events, cpu * ROW + event, total)
