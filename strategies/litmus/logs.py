"""Trackers with logs beside the page table: rings, buffers of the hardware, open groups."""

from strategies.litmus.faults import LOST, MARKED, READONLY, STLR_LDAR, WEAKER
from strategies.litmus.pieces import (
    AGAIN,
    BARRIER,
    COPY,
    FLUSH,
    HEAR,
    LOCK,
    OPEN,
    PROTECT,
    SAY,
    STORE,
    TAKE,
    UNLOCK,
)
from strategies.litmus.scans import CLEAN, DIRTY, LOST_COPY, NO_BARRIERS
from strategies.litmus.text import Litmus, steps

ENTRY = "STR {one},[{spare}]"
INDEX = "LDADDL {one},{any},[{mark}]"
COLLECT = "LDAR {took},[{mark}]"
LOST_ENTRY = "[x]=1 /\\ [m]=1 /\\ 1:took=1 /\\ 1:copy=0"
"""`n` is the entry, `m` counts them: the only one was collected, and the copy is older."""


def _ring(name, what, *harvest, **more):
    threads = {"P0": steps(STORE), "P1": steps(*harvest)}
    return Litmus(name, "dirty_ring", what, threads, LOST_ENTRY, MARKED | {"n": 1}, **more)


def _entry(name, what, writer, reader, **more):
    threads = {"P0": steps(writer), "P1": steps(reader)}
    return Litmus(name, "dirty_ring", what, threads, "1:took=1 /\\ 1:seen=0", **more)


PUSH = "STLR {one},[{mark}]"
READ_ENTRY = ("LDAR {took},[{mark}]", "LDR {seen},[{spare}]")

DIRTY_RING = [
    _ring(
        "ring", "Collect the entries, protect their pages, flush, copy.",
        COLLECT, PROTECT, FLUSH, COPY,
    ),
    Litmus(
        "handler-then-ring", "dirty_ring",
        "Entry, index and permission under the lock; the harvest locks after it.",
        {
            "P0": steps(ENTRY, INDEX, OPEN, UNLOCK, AGAIN),
            "P1": steps(COLLECT, LOCK, PROTECT, FLUSH, COPY),
        },
        f"1:got=1 /\\ {LOST_ENTRY}", READONLY,
    ),
    _ring(
        "ring-reset-without-flush", "Entries are reset, and a TLB still lets stores through.",
        COLLECT, PROTECT, BARRIER, COPY, defect="ring-reset-without-flush",
    ),
    _ring(
        "ring-collected-not-reset", "Entries are collected, and the pages stay writable.",
        COLLECT, BARRIER, COPY, defect="ring-collected-not-reset",
    ),
    _entry(
        "ring-entry", "Who sees the index sees the entry: release, acquire.",
        (ENTRY, PUSH), READ_ENTRY,
    ),
    _entry(
        "ring-index-before-entry", "The index says that an entry is there before it is.",
        (PUSH, ENTRY), READ_ENTRY, defect="ring-index-before-entry",
    ),
    _entry(
        "ring-index-without-release", "The index is a store without release.",
        (ENTRY, "STR {one},[{mark}]"), READ_ENTRY, why=WEAKER,
    ),
    _entry(
        "ring-index-without-acquire", "The index is read without acquire.",
        (ENTRY, PUSH), ("LDR {took},[{mark}]", "LDR {seen},[{spare}]"),
        why="x86 has no weaker kind of load",
    ),
]  # fmt: skip

DRAIN = "SWPAL WZR,{took},[{mark}]"
D_CLEAR = "STR {clean},[{pte}]"


def _pml(name, what, *harvest, lost=LOST_COPY, **more):
    threads = {"P0": steps(STORE), "P1": steps(*harvest)}
    return Litmus(name, "pml", what, threads, lost, DIRTY | {"m": 1}, **more)


def _exit(name, what, vcpu, harvest, **more):
    threads = {"P0": steps(vcpu), "P1": steps(harvest)}
    return Litmus(name, "pml", what, threads, "1:seen=1 /\\ 1:took=0", **more)


HARDWARE_LOGS = "STR {one},[{mark}]"
"""The hardware's entry; herd7 knows no PML or HDBSS, so it is a store of the vCPU's."""

PML = [
    _pml(
        "drain", "Take the hardware's entry, clear D, flush, copy; a new D has a new entry.",
        DRAIN, D_CLEAR, FLUSH, COPY,
    ),
    _pml(
        "drain-without-flush", "A TLB lets stores through that set no D, so that none is logged.",
        DRAIN, D_CLEAR, BARRIER, COPY, defect="pml-without-flush",
    ),
    _pml(
        "drain-copy-first", "The page is copied before the translations are gone.",
        DRAIN, D_CLEAR, BARRIER, COPY, FLUSH, defect="pml-without-flush",
    ),
    _exit(
        "vcpu-leaves", "A vCPU leaves the guest, its entries written; then its buffer is drained.",
        (HARDWARE_LOGS, BARRIER, SAY), (HEAR, "LDR {took},[{mark}]"),
    ),
    _exit(
        "vcpu-leaves-without-barrier", "Entries may still be on their way when the vCPU has left.",
        (HARDWARE_LOGS, "STR {one},[{flag}]"), (HEAR, "LDR {took},[{mark}]"), why=NO_BARRIERS,
    ),
    _exit(
        "vcpu-not-awaited", "The buffer is drained before the vCPU has left.",
        (HARDWARE_LOGS, BARRIER, SAY), ("LDAR {took},[{mark}]", HEAR),
        defect="pml-drained-before-it-spilled",
    ),
]  # fmt: skip

CLAIM = "LDSETAL {one},{any},[{active}]"
D_OPEN = "STR {clean},[{pte}]"
LOOK = (HEAR, "LDAR {took},[{active}]")


def _group(name, what, *handler, tracker="dbm_hybrid", **more):
    threads = {"P0": steps(*handler), "P1": steps(STORE, SAY), "P2": steps(LOOK)}
    lost = "2:seen=1 /\\ 2:took=0 /\\ [x]=1"
    return Litmus(name, tracker, what, threads, lost, READONLY, **more)


SCAN_OPEN = steps("LDAR {took},[{active}]", "LDSETAL {d_bit},{old},[{pte}]", FLUSH, COPY)

DBM_HYBRID = [
    _group(
        "group", "The bit of an open page comes before its permission: a harvest after a store "
        "through it scans the page.",
        CLAIM, D_OPEN,
    ),
    _group(
        "group-opened-before-bits", "A page becomes writable before its bit is set.",
        D_OPEN, CLAIM, defect="group-opened-before-bits",
    ),
    _group(
        "group-bit-without-release", "The bit and the permission are plain stores.",
        "STR {one},[{active}]", D_OPEN, why=WEAKER,
    ),
    _group(
        "heat", "The bit of a hot page comes before its permission.",
        CLAIM, D_OPEN, tracker="adaptive",
    ),
    _group(
        "heat-permission-before-bit", "A page becomes writable before it is known to be hot.",
        D_OPEN, CLAIM, tracker="adaptive", defect="heat-permission-before-bit",
    ),
    Litmus(
        "group-scan", "dbm_hybrid", "An open page is scanned: clear D, flush, copy.",
        {"P0": steps(STORE), "P1": SCAN_OPEN},
        "[x]=1 /\\ [PTE(x)]={clean} /\\ (1:old={clean} \\/ 1:copy=0)", CLEAN | {"a": 1},
    ),
]  # fmt: skip


def _sender(name, what, say, hear, **more):
    harvest = steps(D_CLEAR, FLUSH, say)
    threads = {"P0": steps(STORE), "P1": harvest, "P2": steps(hear, COPY)}
    lost = "[x]=1 /\\ [PTE(x)]={clean} /\\ 2:seen=1 /\\ 2:copy=0"
    return Litmus(name, "all", what, threads, lost, DIRTY, **more)


SENDER = [
    _sender(
        "handed-over", "The harvest hands its bitmap to a thread that copies: release, acquire.",
        SAY, HEAR,
    ),
    _sender(
        "handed-over-without-acquire", "The thread that copies reads without acquire.",
        SAY, "LDR {seen},[{flag}]", why="x86 has no weaker kind of load",
    ),
]  # fmt: skip

HOST_COPY = "LDR {copy},[{page}]"
HOST_STORE = "SWPAL {one},{any},[{page}]"
HOST_MARKS = ("LDAR {seen},[{mark}]", "CBNZ {seen},L1", "LDSETAL {one},{any},[{mark}]", "L1:")


def _host(name, what, store, marks=HOST_MARKS, harvest=(TAKE, HOST_COPY), **more):
    threads = {"P0": steps(store, marks), "P1": steps(*harvest)}
    return Litmus(name, "write_protect", what, threads, LOST, {"m": 1}, **more)


HOST = [
    _host(
        "host-store", "The host stores by an exchange, then looks whether its page is marked.",
        HOST_STORE,
    ),
    _host(
        "host-store-may-wait", "The host's data is still on its way when it sees the mark.",
        "STR {one},[{page}]", defect="host-store-may-wait",
    ),
    _host(
        "host-store-with-release", "The same of a store with release; the look has acquire.",
        "STLR {one},[{page}]", defect="host-store-may-wait", why=STLR_LDAR,
    ),
    _host(
        "host-marks-first", "The host marks its page before it stores.",
        HOST_MARKS, HOST_STORE, defect="held-mapping-marked-once",
    ),
]  # fmt: skip

TESTS = [*DIRTY_RING, *PML, *DBM_HYBRID, *SENDER, *HOST]
