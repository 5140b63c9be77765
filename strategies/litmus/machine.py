"""What the simulated machine itself relies on: pairs of words, without any page table.

The operations are those that `core/atomics` asks for: an exchange or another read-modify-write has
acquire and release, a load acquire, a store release.
"""

from strategies.litmus.faults import STLR_LDAR, WEAKER
from strategies.litmus.scans import NO_BARRIERS
from strategies.litmus.text import Litmus, steps

SWAP_A, SWAP_B = "SWPAL {one},{any},[{active}]", "SWPAL {one},{any},[{section}]"
LOOK_A, LOOK_B = "LDAR {seen},[{active}]", "LDAR {seen},[{section}]"


def _dekker(name, tracker, what, mine, theirs, **more):
    """Return a test of two threads that change each its word and look at the other's."""
    threads = {"P0": steps(*mine), "P1": steps(*theirs)}
    return Litmus(name, tracker, what, threads, "0:seen=0 /\\ 1:seen=0", **more)


DEKKER = [
    _dekker(
        "announce", "all",
        "An access announces itself and looks into the TLB; a tlbie clears the entry and looks for "
        "announcements: one sees the other.",
        (SWAP_A, LOOK_B), (SWAP_B, "LDADDAL WZR,{seen},[{active}]"),
    ),
    _dekker(
        "announce-by-a-plain-store", "all",
        "The announcement is a store with release.",
        ("STLR {one},[{active}]", "LDR {seen},[{section}]"), (SWAP_B, LOOK_A),
        defect="announced-by-a-plain-store",
    ),
    _dekker(
        "announce-by-store-and-acquire", "all",
        "The announcement is a store with release, and the look has acquire (LDAR, not LDAPR).",
        ("STLR {one},[{active}]", LOOK_B), (SWAP_B, LOOK_A),
        defect="announced-by-a-plain-store", why=STLR_LDAR,
    ),
    _dekker(
        "fill", "all",
        "A fill writes the entry and reads the HPTE again; a tlbie's caller makes the HPTE invalid "
        "and looks at the entry: one sees the other.",
        (SWAP_A, LOOK_B), (SWAP_B, "SWPAL WZR,{seen},[{active}]"),
    ),
    _dekker(
        "fill-by-a-plain-store", "all",
        "The entry is written by a store.",
        ("STR {one},[{active}]", LOOK_B), (SWAP_B, "SWPAL WZR,{seen},[{active}]"),
        defect="filled-by-a-plain-store",
    ),
    _dekker(
        "exchange-and-a-plain-load", "all",
        "The look after an exchange is a load without acquire.",
        (SWAP_A, "LDR {seen},[{section}]"), (SWAP_B, "LDR {seen},[{active}]"), why=NO_BARRIERS,
    ),
]  # fmt: skip

INVALIDATE = ("SWPAL WZR,{any},[{active}]", "SWPAL WZR,{any},[{section}]")
FILL = (LOOK_A, "CBZ {seen},L0", SWAP_B)
SECOND_LOOK = ("LDAR {seen},[{active}]", "CBNZ {seen},L0", "STR WZR,[{section}]")


def _fill(name, what, *fill, **more):
    """Return a test of an HPTE (`a`) that is invalidated while a TLB entry (`s`) is filled."""
    threads = {"P0": steps(*fill, "L0:"), "P1": steps(INVALIDATE)}
    return Litmus(name, "all", what, threads, "[a]=0 /\\ [s]=1", {"a": 1}, **more)


FILLS = [
    _fill(
        "fill-and-second-look", "A fill reads the HPTE again and drops the entry if that is gone.",
        FILL, SECOND_LOOK,
    ),
    _fill(
        "fill-without-second-look", "The HPTE and the entry went before the entry is filled.",
        FILL, defect="fill-without-second-look",
    ),
]  # fmt: skip

FROM_HPTE_TO_RMAP = ("LDSETAL {one},{any},[{active}]", "STLR WZR,[{mark}]")
"""C (`m`) leaves an HPTE for CHANGED in the rmap word (`a`), in this order."""


def _look(name, tracker, what, *looks, lost="1:took=0 /\\ 1:seen=0", **more):
    threads = {"P0": steps(FROM_HPTE_TO_RMAP), "P1": steps(*looks)}
    return Litmus(name, tracker, what, threads, lost, {"m": 1}, **more)


LOOK_C = "LDAR {took},[{mark}]"

LOOKS = [
    _look(
        "second-look", "c_bit_scan_pipelined", "A page is passed for a clear C and an rmap word "
        "that has no CHANGED after it.",
        "LDAR {told},[{active}]", LOOK_C, LOOK_A,
    ),
    _look(
        "one-look", "c_bit_scan_pipelined", "The rmap word is looked at before C alone.",
        LOOK_A, LOOK_C, defect="passed-at-one-look",
    ),
    _look(
        "looks-without-acquire", "c_bit_scan_pipelined", "The looks are loads without acquire.",
        "LDR {told},[{active}]", "LDR {took},[{mark}]", "LDR {seen},[{active}]",
        why="x86 has no weaker kind of load",
    ),
    _look(
        "sweep", "hpt_sweep", "The HPT is swept first, the rmap second.",
        LOOK_C, LOOK_A,
    ),
    _look(
        "rmap-swept-first", "hpt_sweep", "The rmap is swept first.",
        LOOK_A, LOOK_C, defect="rmap-swept-first",
    ),
]  # fmt: skip


def _word(name, what, *take, **more):
    """Return a test of a word in which another page is marked while a harvest takes it."""
    threads = {"P0": steps("LDSETAL {one},{any},[{mark}]"), "P1": steps(*take)}
    lost = "[m]=0 /\\ 1:took=2"
    return Litmus(name, "write_protect", what, threads, lost, {"m": 2}, **more)


WORDS = [
    _word(
        "take-by-exchange", "A word of the bitmap is taken by an exchange.",
        "SWPAL WZR,{took},[{mark}]",
    ),
    _word(
        "take-by-load-and-store", "A word of the bitmap is loaded, and 0 stored.",
        "LDR {took},[{mark}]", "STR WZR,[{mark}]", defect="plain-store-not-exchange",
    ),
    _word(
        "take-by-relaxed-exchange", "The exchange has neither acquire nor release.",
        "SWP WZR,{took},[{mark}]", why=WEAKER,
    ),
]  # fmt: skip

PAGE, LOWER, UPPER = (
    f"LDSETAL {{one}},{{any}},[{{{word}}}]" for word in ("mark", "spare", "active")
)
TAKE_FROM_ABOVE = (
    "SWPAL WZR,{told},[{active}]", "SWPAL WZR,{seen},[{spare}]", "SWPAL WZR,{took},[{mark}]",
)  # fmt: skip


def _summary(name, what, *marks, **more):
    """Return a test of a page's bit and two summaries, marked and taken from above."""
    threads = {"P0": steps(*marks), "P1": steps(TAKE_FROM_ABOVE)}
    lost = "1:told=1 /\\ (1:seen=0 \\/ 1:took=0)"
    return Litmus(name, "write_protect_summary", what, threads, lost, **more)


SUMMARIES = [
    _summary(
        "summaries",
        "The page's bit, the lower summary, the upper: who takes the upper finds both below.",
        PAGE, LOWER, UPPER,
    ),
    _summary(
        "summary-before-bit", "The summaries are marked before the page.",
        LOWER, UPPER, PAGE, defect="summary-before-bit",
    ),
    _summary(
        "summary-upper-before-lower", "The upper summary is marked before the lower.",
        PAGE, UPPER, LOWER, defect="summary-upper-before-lower",
    ),
]  # fmt: skip

TESTS = [*DEKKER, *FILLS, *LOOKS, *WORDS, *SUMMARIES]
