"""Trackers that take a fault at the first store to a page: mark, open; take, protect, copy.

The guest is a store that needs no fault, to a page that is marked, or a vCPU in its fault. A store
that faults, or faults once more, is left out: it is marked before it is tried again.
"""

from strategies.litmus.pieces import (
    AGAIN,
    BARRIER,
    COPY,
    FLUSH,
    HEAR,
    INVALIDATE,
    INVALIDATE_ALL,
    LOCK,
    MARK,
    OPEN,
    PROTECT,
    SAY,
    STORE,
    TAKE,
    UNLOCK,
)
from strategies.litmus.scans import NO_BARRIERS
from strategies.litmus.text import Litmus, steps

READONLY = {"PTE(x)": "(oa:PA(x), db:0)"}
WRITABLE = {"PTE(x)": "(oa:PA(x))"}
MARKED = WRITABLE | {"m": 1}
"""Written and marked since the last harvest."""

LOST = "[x]=1 /\\ [m]=0 /\\ (1:took=0 \\/ 1:copy=0)"
"""The store is in memory, no mark is left for the next harvest, and this one has not the store."""
HANDLER_FIRST = f"1:got=1 /\\ {LOST}"
HARVEST_FIRST = f"0:got=1 /\\ {LOST}"

WEAKER = "x86 has no weaker kind of store or read-modify-write"
STLR_LDAR = "on arm64 a load with acquire waits for a store with release; x86's does not"
NOT_IN_CATALOGUE = "the order is in no defect of the catalogue"


def _test(name, what, guest, harvest, lost=LOST, start=MARKED, tracker="write_protect", **more):
    threads = {"P0": steps(guest), "P1": steps(harvest)}
    return Litmus(name, tracker, what, threads, lost, start, **more)


def _fault(name, what, handler, harvest, lost, **more):
    return _test(name, what, handler, harvest, lost, **{"start": READONLY} | more)


def _opened(name, what, *handler, **more):
    """Return a test of a store by another vCPU than the one in its fault, then a harvest."""
    threads = {"P0": steps(*handler), "P1": steps(STORE, SAY), "P2": steps(HEAR, TAKE)}
    lost = "2:seen=1 /\\ 2:took=0 /\\ [x]=1"
    return Litmus(name, "write_protect", what, threads, lost, READONLY, **more)


FIRST_HANDLER = (MARK, OPEN, UNLOCK, AGAIN)
SECOND_HANDLER = (LOCK, MARK, OPEN, AGAIN)
FIRST_HARVEST = (TAKE, PROTECT, UNLOCK, FLUSH, COPY)
SECOND_HARVEST = (TAKE, LOCK, PROTECT, FLUSH, COPY)

WRITE_PROTECT = [
    _test(
        "protect", "Take the mark, protect the page, flush, copy.",
        STORE, (TAKE, PROTECT, FLUSH, COPY),
    ),
    _test(
        "protect-flush-of-all", "One invalidation of all translations ends the harvest.",
        STORE, (TAKE, PROTECT, BARRIER, INVALIDATE_ALL, BARRIER, COPY),
        tracker="write_protect_batched",
    ),
    _test(
        "protect-without-tlbi", "TLBs still let stores through.",
        STORE, (TAKE, PROTECT, BARRIER, COPY), tracker="write_protect_batched", defect="no-flush",
    ),
    _test(
        "protect-without-wait", "Nobody waits for the invalidation.",
        STORE, (TAKE, PROTECT, BARRIER, INVALIDATE, COPY), defect="no-ptesync-wait",
    ),
    _test(
        "protect-not-awaited", "No barrier between the permission and the invalidation.",
        STORE, (TAKE, PROTECT, INVALIDATE, BARRIER, COPY), why=NO_BARRIERS,
    ),
    _test(
        "protect-copy-first", "The page is copied before the translations are gone.",
        STORE, (TAKE, PROTECT, COPY, FLUSH), defect="no-flush",
    ),
    _fault(
        "handler-then-protect", "Mark and open under the lock; the harvest locks after it.",
        FIRST_HANDLER, SECOND_HARVEST, HANDLER_FIRST,
    ),
    _fault(
        "protect-then-handler", "The harvest locks first; the handler marks and opens after it.",
        SECOND_HANDLER, FIRST_HARVEST, HARVEST_FIRST,
    ),
    _fault(
        "protect-then-handler-marked", "The same of a page that is marked already.",
        SECOND_HANDLER, FIRST_HARVEST, HARVEST_FIRST, start=MARKED,
    ),
    _fault(
        "protect-then-take", "The page is protected before its mark is taken.",
        SECOND_HANDLER, (PROTECT, UNLOCK, FLUSH, TAKE, COPY), HARVEST_FIRST,
        defect="protect-then-take",
    ),
    _fault(
        "mark-before-the-lock", "The handler marks the page before it locks it.",
        (MARK, LOCK, OPEN, AGAIN), FIRST_HARVEST, HARVEST_FIRST, defect="mark-before-the-lock",
    ),
    _opened(
        "mark-then-permission",
        "Another vCPU stores through what the handler opened: a harvest after it finds the mark.",
        MARK, OPEN,
    ),
    _opened(
        "mark-after-the-lock", "The mark comes after the permission.",
        OPEN, MARK, defect="mark-after-the-lock",
    ),
    _fault(
        "unlocked-by-a-plain-store", "The handler releases the page by a store without release.",
        (MARK, OPEN, "STR {one},[{lock}]", AGAIN), SECOND_HARVEST, HANDLER_FIRST, why=WEAKER,
    ),
    _fault(
        "locked-without-acquire", "The harvest locks the page without acquire.",
        FIRST_HANDLER, (TAKE, "LDR {got},[{lock}]", PROTECT, FLUSH, COPY), HANDLER_FIRST,
        why="x86 has no weaker kind of load",
    ),
]  # fmt: skip

LOST_AT_START = "[x]=1 /\\ 1:copy=0"
SEE_MODE = "LDR {seen},[{active}]"
SET_MODE = "SWPAL {one},{any},[{active}]"
UNMARKED = "[x]=1 /\\ 0:seen=0 /\\ 1:copy=0"
"""The handler saw no logging, so that it made no mark, and the copy is older than the store."""

ENABLE = [
    _test(
        "enable", "Logging starts: protect, flush, then copy all pages.",
        STORE, (PROTECT, FLUSH, COPY), LOST_AT_START, WRITABLE,
    ),
    _test(
        "enable-without-flush", "Logging starts, and a TLB still lets stores through.",
        STORE, (PROTECT, BARRIER, COPY), LOST_AT_START, WRITABLE, defect="enable-without-flush",
    ),
    _fault(
        "enable-mode-first", "The mode is set, then the page protected: a fault before it.",
        (SEE_MODE, OPEN, UNLOCK, AGAIN), (SET_MODE, LOCK, PROTECT, FLUSH, COPY),
        f"1:got=1 /\\ {UNMARKED}",
    ),
    _fault(
        "enable-mode-first-fault-after", "The same, and a fault after it.",
        (LOCK, SEE_MODE, OPEN, AGAIN), (SET_MODE, PROTECT, UNLOCK, FLUSH, COPY),
        f"0:got=1 /\\ {UNMARKED}",
    ),
    _fault(
        "enable-mode-last", "The page is protected, then the mode set; a fault comes between.",
        (LOCK, SEE_MODE, OPEN, AGAIN), (PROTECT, UNLOCK, FLUSH, SET_MODE, COPY),
        f"0:got=1 /\\ {UNMARKED}", why=NOT_IN_CATALOGUE,
    ),
]  # fmt: skip

ENTER = "LDADDAL {one},{any},[{section}]"
LEAVE = "STLR WZR,[{section}]"
SEE_HALF = "LDAR {seen},[{active}]"
SWITCH = "SWPAL {one},{any},[{active}]"
GRACE = "LDADDAL WZR,{seen},[{section}]"
"""A harvest that finds a handler inside waits; those outcomes are left out."""
HAND_OVER = ("LDR {took},[{mark}]", "STR WZR,[{mark}]")


def _grace(name, what, *harvest, **more):
    """Return a test of a handler that sees the old bitmap, where another page is marked."""
    threads = {"P0": steps(ENTER, SEE_HALF, MARK, LEAVE), "P1": steps(*harvest)}
    lost = "0:seen=0 /\\ 1:seen=0 /\\ [m]=0 /\\ 1:took=2"
    return Litmus(name, "double_buffer", what, threads, lost, {"m": 2}, **more)


DOUBLE_BUFFER = [
    _grace(
        "switch", "Switch the bitmaps, wait for handlers inside, then take the old one.",
        SWITCH, GRACE, HAND_OVER,
    ),
    _grace(
        "switch-without-grace-period", "A handler that saw the old bitmap has yet to mark it.",
        SWITCH, HAND_OVER, defect="no-grace-period",
    ),
    _grace(
        "switch-by-a-plain-store", "The harvest looks for handlers before its switch is seen.",
        "STR {one},[{active}]", "LDR {seen},[{section}]", HAND_OVER, why=NOT_IN_CATALOGUE,
    ),
    _test(
        "switch-then-protect", "What the old bitmap has is protected after it was taken.",
        STORE, (HAND_OVER, PROTECT, FLUSH, COPY), tracker="double_buffer",
    ),
    _fault(
        "protect-then-switch", "The page is protected before the bitmap is taken.",
        SECOND_HANDLER, (PROTECT, UNLOCK, FLUSH, HAND_OVER, COPY), HARVEST_FIRST,
        tracker="double_buffer", defect="protect-then-switch",
    ),
]  # fmt: skip

TOLD = "LDAR {told},[{mark}]"
CLEAR_TOLD = "LDCLRAL {told},{took},[{mark}]"
SENT = "[x]=1 /\\ [m]=0 /\\ (1:told=0 \\/ 1:copy=0)"


def _clear(name, what, clear, **more):
    """Return a test of a mark beside a clear."""
    threads = {"P0": steps(MARK), "P1": steps(TOLD, clear)}
    return Litmus(name, "manual_protect", what, threads, "[m]=0 /\\ 1:told=0", **more)


MANUAL = [
    _test(
        "manual", "Copy the log; clear what it told, protect, flush; then send the page.",
        STORE, (TOLD, CLEAR_TOLD, PROTECT, FLUSH, COPY), SENT, tracker="manual_protect",
    ),
    _test(
        "sent-before-cleared", "The page is sent before it is cleared.",
        STORE, (TOLD, COPY, CLEAR_TOLD, PROTECT, FLUSH), SENT,
        tracker="manual_protect", defect="sent-before-cleared",
    ),
    _clear("clear-of-told-bits", "What the log has told is cleared, and no other bit.", CLEAR_TOLD),
    _clear(
        "clear-of-unknown-bits", "A bit is cleared that the log did not tell, and nobody sends.",
        "LDCLRAL {one},{took},[{mark}]", defect="clear-of-unknown-bits",
    ),
]  # fmt: skip

UNMAP = "STR {invalid},[{pte}]"

PTE_FLUSH = [
    _test(
        "unmap", "Take the mark, make the descriptor invalid, flush, copy.",
        STORE, (TAKE, UNMAP, FLUSH, COPY), tracker="pte_flush",
    ),
    _fault(
        "unmap-copy-then-zero", "The mark is copied, and cleared after the flush.",
        SECOND_HANDLER,
        ("LDR {took},[{mark}]", UNMAP, UNLOCK, FLUSH, "STR WZR,[{mark}]", COPY), HARVEST_FIRST,
        start=MARKED, tracker="pte_flush", defect="copy-then-zero",
    ),
]  # fmt: skip

TESTS = [*WRITE_PROTECT, *ENABLE, *DOUBLE_BUFFER, *MANUAL, *PTE_FLUSH]
