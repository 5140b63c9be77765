"""Trackers that read the dirty bit: clear it, invalidate, wait, copy.

A store that faults is left out: it is tried again later.
"""

from strategies.litmus.pieces import (
    AGAIN,
    BARRIER,
    COPY,
    FLUSH,
    HEAR,
    INVALIDATE,
    INVALIDATE_ALL,
    INVALIDATE_OTHER,
    LOCK,
    SAY,
    STORE,
    UNLOCK,
)
from strategies.litmus.text import Litmus, steps

DIRTY = {"PTE(x)": "(oa:PA(x), db:1, dbm:1)"}
INVALID = {"PTE(x)": "(oa:PA(x), valid:0)"}
CLEAN = {"PTE(x)": "(oa:PA(x), db:0, dbm:1)"}
NO_BARRIERS = "the explorer's machine has no barriers that could be left out"

CLEAR = "STR {clean},[{pte}]"
CLEAR_BIT = "LDSETAL {d_bit},{old},[{pte}]"
BREAK = "SWPAL {invalid},{old},[{pte}]"
MAKE = "STR {clean},[{pte}]"
READ = "LDR {old},[{pte}]"

LOST_COPY = "[x]=1 /\\ [PTE(x)]={clean} /\\ 1:copy=0"
"""The store is in memory, its dirty bit is not, and the copy is older."""
LOST = "[x]=1 /\\ [PTE(x)]={clean} /\\ (1:old={clean} \\/ 1:copy=0)"
"""The same where the page is reported only if it was found dirty."""


def _batched(name, what, *harvest, lost=LOST_COPY, start=DIRTY, **more):
    threads = {"P0": steps(STORE), "P1": steps(*harvest)}
    return Litmus(name, "c_bit_scan_batched", what, threads, lost, start, **more)


BATCHED = [
    _batched(
        "scan", "Clear D, invalidate, wait, copy.", CLEAR, FLUSH, COPY
    ),
    _batched(
        "scan-clean-page",
        "A page that is found clean and is written beside: D is cleared by an atomic operation.",
        CLEAR_BIT, FLUSH, COPY, lost=LOST, start=CLEAN,
    ),
    _batched(
        "scan-dirty-page",
        "The same of a page that is found dirty.",
        CLEAR_BIT, FLUSH, COPY, lost=LOST,
    ),
    _batched(
        "scan-flush-of-all",
        "One invalidation of all translations ends the harvest.",
        CLEAR_BIT, BARRIER, INVALIDATE_ALL, BARRIER, COPY, lost=LOST,
    ),
    _batched(
        "scan-without-tlbi", "D is cleared while TLBs have it set.",
        CLEAR, BARRIER, BARRIER, COPY, defect="no-tlbie",
    ),
    _batched(
        "scan-tlbi-of-own-cpu", "The invalidation is not broadcast.",
        CLEAR, BARRIER, "LSR {vpn},{page},#12", "TLBI VAAE1,{vpn}", BARRIER, COPY,
        defect="no-tlbie",
    ),
    _batched(
        "scan-without-wait", "Nobody waits for the invalidation.",
        CLEAR, BARRIER, INVALIDATE, COPY, defect="no-ptesync-wait",
    ),
    _batched(
        "scan-copy-first", "The page is copied before the translations are gone.",
        CLEAR, BARRIER, COPY, INVALIDATE, BARRIER, defect="no-ptesync-wait",
    ),
    _batched(
        "scan-flush-then-clear", "The flush comes before D is cleared.",
        FLUSH, CLEAR, BARRIER, COPY, defect="flush-then-clear",
    ),
    _batched(
        "scan-clear-not-awaited", "No barrier between the clearing and the invalidation.",
        CLEAR, INVALIDATE, BARRIER, COPY, why=NO_BARRIERS,
    ),
    _batched(
        "scan-clear-by-dmb", "A DMB in the place of the first DSB.",
        CLEAR, "DMB ISH", INVALIDATE, BARRIER, COPY, why=NO_BARRIERS,
    ),
    _batched(
        "scan-wait-by-dmb", "A DMB in the place of the second DSB.",
        CLEAR, BARRIER, INVALIDATE, "DMB ISH", COPY, why=NO_BARRIERS,
    ),
    _batched(
        "scan-clear-by-load-and-store",
        "The descriptor is written as it was loaded, with D cleared, over the D of a store.",
        READ, "ORR {new},{old},{d_bit}", "STR {new},[{pte}]", FLUSH, COPY,
        lost=LOST, start=CLEAN, defect="clear-ref-by-load-and-store",
    ),
    _batched(
        "other-bit-by-load-and-store",
        "Another bit of the descriptor is changed by a load and a store, over the D of a store.",
        READ, "ORR {new},{old},{x_bit}", "STR {new},[{pte}]", FLUSH,
        lost="[x]=1 /\\ [PTE(x)]=(oa:PA(x), db:0, dbm:1, x:0)", start=CLEAN,
        defect="permission-by-load-and-store",
    ),
    _batched(
        "other-bit",
        "The same bit is changed by an atomic operation, and D stays.",
        "LDSETAL {x_bit},{old},[{pte}]", FLUSH,
        lost="[x]=1 /\\ [PTE(x)]=(oa:PA(x), db:0, dbm:1, x:0)", start=CLEAN,
    ),
]  # fmt: skip


def _each(name, what, *harvest, lost=LOST, start=DIRTY, tracker="c_bit_scan", **more):
    threads = {"P0": steps(STORE), "P1": steps(*harvest)}
    return Litmus(name, tracker, what, threads, lost, start, **more)


EACH = [
    _each(
        "each",
        "Make the descriptor invalid, invalidate, wait, make it valid and clean, copy.",
        BREAK, FLUSH, MAKE, BARRIER, COPY,
    ),
    _each(
        "each-clean-page", "The same of a page that was clean and is written beside.",
        BREAK, FLUSH, MAKE, BARRIER, COPY, start=CLEAN,
    ),
    _each(
        "each-copied-without-a-barrier", "No barrier between the new descriptor and the copy.",
        BREAK, FLUSH, MAKE, COPY, why=NO_BARRIERS,
    ),
    _each(
        "each-reads-d-early", "D is read before the descriptor becomes invalid.",
        READ, "STR {invalid},[{pte}]", FLUSH, MAKE, BARRIER, COPY, start=CLEAN,
        defect="protect-reads-c-early",
    ),
    _each(
        "removed-reads-d-early",
        "A descriptor goes, and D is read, to be kept elsewhere, before the invalidation.",
        READ, FLUSH, "STR {invalid},[{pte}]", FLUSH, start=CLEAN,
        lost="[x]=1 /\\ 1:old={clean}", defect="remove-reads-c-early",
    ),
    _each(
        "removed-reads-d", "D is read in the operation that makes the descriptor invalid.",
        BREAK, FLUSH, start=CLEAN, lost="[x]=1 /\\ 1:old={clean}",
    ),
    _each(
        "each-without-tlbi", "Nothing is invalidated.",
        BREAK, BARRIER, MAKE, BARRIER, COPY, defect="c-cleared-without-tlbie",
    ),
    _each(
        "each-valid-before-the-wait", "The descriptor is valid again before the wait.",
        BREAK, BARRIER, INVALIDATE, MAKE, BARRIER, COPY, defect="no-shared-wait",
        why="it is lost where a TLB keeps D back, as arm64's may not",
    ),
]  # fmt: skip


def _again(name, what, *harvest, **more):
    """Return a test of a second pass, before which a handler has made the page valid."""
    threads = {
        "P0": steps(MAKE, UNLOCK, AGAIN),
        "P1": steps(LOCK, *harvest),
    }
    lost = f"1:got=1 /\\ {LOST_COPY}"
    return Litmus(name, "c_bit_scan_batched", what, threads, lost, INVALID, **more)


VALID_AGAIN = [
    _again(
        "valid-again", "A fault made the page valid again; the second pass does all again.",
        BREAK, FLUSH, MAKE, BARRIER, COPY,
    ),
    _again(
        "valid-again-taken-for-absent", "The second pass clears D without an invalidation.",
        MAKE, BARRIER, COPY, defect="valid-again-taken-for-absent",
    ),
]  # fmt: skip

BREAK_OTHER = "SWPAL {other_invalid},{other_old},[{other_pte}]"
MAKE_OTHER = "STR {other_clean},[{other_pte}]"
COPY_OTHER = "LDR {other_copy},[{other_view}]"
DIRTY_BOTH = DIRTY | {"PTE(y)": "(oa:PA(y), db:1, dbm:1)"}
LOST_OTHER = "[y]=1 /\\ [PTE(y)]={other_clean} /\\ (1:other_old={other_clean} \\/ 1:other_copy=0)"


def _two(name, what, *harvest, **more):
    """Return a test of a harvest of two pages and a store to the second."""
    threads = {"P0": steps("STR {one},[{other}]"), "P1": steps(*harvest)}
    return Litmus(name, "hpt_sweep", what, threads, LOST_OTHER, DIRTY_BOTH, **more)


TWO_PAGES = [
    _two(
        "two-pages",
        "Two descriptors become invalid, one wait completes both invalidations.",
        BREAK, BREAK_OTHER, BARRIER, INVALIDATE, INVALIDATE_OTHER, BARRIER,
        MAKE, MAKE_OTHER, COPY_OTHER,
    ),
    _two(
        "two-pages-invalidated-at-once",
        "Each invalidation follows its descriptor, and one wait completes both.",
        BREAK, BARRIER, INVALIDATE, BREAK_OTHER, BARRIER, INVALIDATE_OTHER, BARRIER,
        MAKE, MAKE_OTHER, COPY_OTHER,
    ),
    _two(
        "two-pages-one-tlbi", "The second page's translation is not invalidated.",
        BREAK, BREAK_OTHER, BARRIER, INVALIDATE, BARRIER,
        MAKE, MAKE_OTHER, COPY_OTHER, defect="no-tlbie",
    ),
    _two(
        "two-pages-without-wait", "The second pass does not wait for the first's invalidations.",
        BREAK, BREAK_OTHER, BARRIER, INVALIDATE, INVALIDATE_OTHER,
        MAKE, MAKE_OTHER, COPY_OTHER, defect="swept-without-a-wait",
    ),
]  # fmt: skip


def _ended(name, what, *hypercall, others=None, lost="0:seen=1 /\\ [x]=1", **more):
    threads = {"P0": steps(HEAR, STORE), "P1": steps(*hypercall)} | (others or {})
    return Litmus(name, "all", what, threads, lost, DIRTY, **more)


READ_THEN_SAY = {"P2": steps("LDR {new},[{pte}]", SAY)}
READ_FLUSH_SAY = {"P2": steps("LDR {new},[{pte}]", FLUSH, SAY)}
SAW_INVALID = "2:new={invalid} /\\ 0:seen=1 /\\ [x]=1"
SAW_READONLY = "2:new={readonly} /\\ 0:seen=1 /\\ [x]=1"

ENDED = [
    _ended(
        "removed", "No store completes through a translation that a returned call ended.",
        "STR {invalid},[{pte}]", FLUSH, SAY,
    ),
    _ended(
        "removed-without-tlbi", "The call returns and TLBs have the translation.",
        "STR {invalid},[{pte}]", BARRIER, SAY, defect="no-tlbie",
    ),
    _ended(
        "removed-without-wait", "The call returns before the invalidation is complete.",
        "STR {invalid},[{pte}]", BARRIER, INVALIDATE, SAY, defect="no-ptesync-wait",
    ),
    _ended(
        "protected-again",
        "A harvest made the page read-only, its flush to come; the guest's own call flushes.",
        "STR {readonly},[{pte}]", others=READ_FLUSH_SAY, lost=SAW_READONLY,
    ),
    _ended(
        "protected-again-without-tlbi",
        "The guest's own call finds the page read-only and makes no invalidation.",
        "STR {readonly},[{pte}]", others=READ_THEN_SAY, lost=SAW_READONLY,
        defect="protect-skips-its-tlbie",
    ),
    _ended(
        "removed-again-without-tlbi",
        "A harvest made the descriptor invalid, its flush to come; it is removed without one.",
        "STR {invalid},[{pte}]", others=READ_THEN_SAY, lost=SAW_INVALID,
        defect="no-tlbie-of-an-absent-hpte",
    ),
]  # fmt: skip

TESTS = [*BATCHED, *EACH, *VALID_AGAIN, *TWO_PAGES, *ENDED]
