"""What the simulated machine itself relies on: pairs of words, without any page table.

The operations are those that `core/atomics` asks for: an exchange or another read-modify-write has
acquire and release, a load acquire, a store release. LLVM makes an LDAR of such a load, or an LDAPR
where the machine has it (RCpc), which may come before an earlier store with release; and SWPAL and
the like of a read-modify-write where the machine has them (LSE), else a loop of LDAXR and STLXR.
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

LL_SC = "no machine with LDAPR is without LSE, and x86 has no weaker kind of read-modify-write"
ONCE = " /\\ 0:failed=0 /\\ 1:failed=0 /\\ 1:failed_again=0"
"""An STLXR that fails is tried again; those outcomes are left out."""


def _lse(load):
    """Return how a page is marked, and taken from above, with LSE."""
    return PAGE, TAKE_FROM_ABOVE[:2], load


def _loops(load):
    """Return the same by loops that succeed at once."""
    mark = ("LDAXR {any},[{mark}]", "STLXR {failed},{one},[{mark}]")
    upper = ("LDAXR {told},[{active}]", "STLXR {failed},WZR,[{active}]")
    lower = ("LDAXR {seen},[{spare}]", "STLXR {failed_again},WZR,[{spare}]")
    return mark, (upper, lower), load


def _set_already(name, what, mark, summaries, load, also="", others=None, **more):
    """Return a test of a page whose summaries another page has set: who marks it looks first.

    What is seen set is not set again: it must be taken after the page's bit is there.
    """
    threads = {
        "P0": steps(mark, f"{load} {{seen}},[{{spare}}]", f"{load} {{told}},[{{active}}]"),
        "P1": steps(summaries, f"{load} {{took}},[{{mark}}]"),
    } | (others or {})
    lost = f"1:took=0 /\\ (0:seen=1 \\/ 0:told=1){also}"
    start = {"n": 1, "a": 1}
    return Litmus(name, "write_protect_summary", what, threads, lost, start, **more)


SET_ALREADY = [
    _set_already(
        "summaries-set-already",
        "Who finds both summaries set leaves them: who took them before finds the page's bit.",
        *_lse("LDAR"),
    ),
    _set_already(
        "summaries-set-already-by-ldapr", "The same by loads with LDAPR.",
        *_lse("LDAPR"),
    ),
    _set_already(
        "page-set-already", "Another vCPU has set the page's bit, too: no bit is left to set.",
        "LDAPR {got},[{mark}]", TAKE_FROM_ABOVE[:2], "LDAPR",
        also=" /\\ 0:got=1", others={"P2": steps(PAGE)},
    ),
    _set_already(
        "summaries-set-already-by-loops", "The same by LDAXR and STLXR, and LDAR.",
        *_loops("LDAR"), also=ONCE,
    ),
    _set_already(
        "summaries-set-already-by-loops-and-ldapr", "The same by LDAXR and STLXR, and LDAPR.",
        *_loops("LDAPR"), also=ONCE, why=LL_SC,
    ),
    _set_already(
        "summaries-set-already-unordered", "The page's bit is set, and the summaries taken, by "
        "read-modify-writes without acquire or release.",
        "LDSET {one},{any},[{mark}]",
        ("SWP WZR,{told},[{active}]", "SWP WZR,{seen},[{spare}]"), "LDAR", why=WEAKER,
    ),
]  # fmt: skip

HEAT_WORD, MAY_BE_HOT = LOWER, UPPER
REST, DROP = "SWPAL WZR,{any},[{active}]", "LDCLRAL {one},{any},[{spare}]"


def _heated(name, what, word, *harvest, lost, **more):
    """Return a test of a page (`m`) that is heated while a harvest takes a bit above it away.

    `n` is the bit of its word, `a` is MAY_BE_HOT. A harvest that looks, and sees a bit below, sets
    the one above again.
    """
    threads = {"P0": steps(PAGE, HEAT_WORD, MAY_BE_HOT), "P1": steps(*harvest)}
    return Litmus(name, "adaptive", what, threads, lost, {word: 1}, **more)


HEATED = [
    _heated(
        "rest", "MAY_BE_HOT goes, then the bits of words are looked at.",
        "a", REST, "LDAR {seen},[{spare}]", lost="[a]=0 /\\ 1:seen=0",
    ),
    _heated(
        "rest-at-one-look", "The bits are looked at, then MAY_BE_HOT goes.",
        "a", "LDAR {seen},[{spare}]", REST, lost="[a]=0 /\\ 1:seen=0",
        defect="heat-rest-at-one-look",
    ),
    _heated(
        "word-dropped", "The bit of a word goes, then the word is looked at.",
        "n", DROP, "LDAR {seen},[{mark}]", lost="[n]=0 /\\ 1:seen=0",
    ),
    _heated(
        "word-dropped-at-one-look", "The word is looked at, then its bit goes.",
        "n", "LDAR {seen},[{mark}]", DROP, lost="[n]=0 /\\ 1:seen=0",
        defect="heat-word-dropped-at-one-look",
    ),
]  # fmt: skip

TESTS = [*DEKKER, *FILLS, *LOOKS, *WORDS, *SUMMARIES, *SET_ALREADY, *HEATED]
