"""The model: a table of terms, strategy by strategy. Everything here is data.

A term says: in this phase, this party pays `count` times the unit cost. Counts are formulas over
the names of a scenario, over COUNTS above them, over a platform's mechanisms
(`analysis.model.profile.MECHANISMS`), and over the strategy's own parameter, by the name that the
registry gives it; they hold nothing but `+ - * / **`, `min`, `max` and `ceil`, so that any language
evaluates the same table. A test holds them to what the machine counts.

A strategy without terms is not priced; it is shown as that, never left out. Where no formula gives
the counts (COUNTED_TERMS), a replay prices a strategy by what it counted, and nothing else does.
"""

from typing import NamedTuple

PHASES = ("enable", "harvest", "last", "interval", "disable")
"""`harvest` runs beside the vCPUs; `last` is the definitive one, all vCPUs stopped; `interval` is
what the guest pays between two harvests."""

PAYERS = ("host", "guest", "both", "wait")
"""Whose time it is; `both`: the harvest's thread and a vCPU, each; `wait`: the harvest sleeps, so
it takes longer and costs no CPU time."""

COUNTS = {
    "harvests": "1",
    "words": "ceil(slot_pages / 64)",
    "density": "dirty_pages / slot_pages",
    "any_dirty": "min(dirty_pages, 1)",
    "tracked_pages": "max(entry_pages * (1 - splits), 1)",
    "slot_entries": "slot_pages / tracked_pages",
    "dirty_entries": "min(dirty_pages, max(dirty_pages / tracked_pages,"
    " slot_entries * (1 - (1 - density) ** tracked_pages)))",
    "reported_pages": "dirty_entries * tracked_pages",
    "touched_words": "words * (1 - (1 - density) ** max(tracked_pages, 64))",
    "touched_summaries": "ceil(words / 64)"
    " * (1 - max(1 - density, 0) ** max(tracked_pages, min(slot_pages, 4096)))",
    "huge_pages": "min(entry_pages - 1, 1) * slot_pages / entry_pages",
    "looked_words": "any_dirty * words",
    "touched_lines": "ceil(slot_pages / 8) * (1 - max(1 - density, 0) ** min(slot_pages, 8))",
    "line_runs": "touched_lines * (ceil(slot_pages / 8) - touched_lines + 1)"
    " / ceil(slot_pages / 8)",
    "touched_tables": "ceil(slot_pages / 512) * (1 - max(1 - density, 0) ** min(slot_pages, 512))",
    "runs": "dirty_pages * (slot_pages - dirty_pages + 1) / slot_pages",
    "further_vcpus": "vcpus - 1",
    "waiting_vcpus": "max(vcpus - uncontended_vcpus, 0)",
    "stalled_vcpus": "min(vcpus, vcore_threads)",
}
"""Name and formula, each after what it is made of.

`harvests`: one a row of a scenario; where a replay's counts are summed, as many as it made.

`tracked_pages`: base pages that one changed bit or one permission speaks for while logging.
`any_dirty`: 1 if anything is written; below one page an interval, the chance of it.
`looked_words`: those of an interval in which something was written.
`dirty_entries`, `touched_words`, and `touched_summaries`, of 64 words each: expected, written pages
being scattered at random. The bounds of `dirty_entries` hold anyway; where an entry is one page
they leave no rest of a subtraction.
`touched_lines`, `touched_tables`: cache lines of page-table entries (8) and tables (512) in which
there is a written page. `runs`, `line_runs`: of adjacent written pages, and of adjacent such lines.
Expected likewise; of the lanes alone.
"""

COUNTS_OF = {
    "dirty_ring": {
        # A ring is full 64 entries before its end; vCPUs write in turn, and all rings are reaped.
        "exit_entries": "vcpus * (ring_entries - 65)",
        "log_exits": "max(ceil(dirty_entries / exit_entries) - 1, 0)",
    },
    "manual_protect": {
        "read_words": "2 * words",
        # At least one where anything is written; QEMU clears no chunk in which nothing is.
        "clears": "max(any_dirty, ceil(slot_pages / clear_pages)"
        " * (1 - max(1 - density, 0) ** min(clear_pages, slot_pages)))",
    },
    "write_protect_summary": {
        # The upper summary, and what it and the lower one name.
        "read_words": "harvests * ceil(words / 4096) + touched_summaries + touched_words"
    },
    "pml": {"log_exits": "vcpus * max(ceil(dirty_entries / vcpus / pml_entries) - 1, 0)"},
}
"""Counts of one strategy alone, which may name its parameter.

`log_exits`: how often a vCPU leaves the guest in an interval, its log being full; `exit_entries`:
first writes from one such exit to the next. `clears`: chunks with a page to clear. `read_words`:
of the log by the copy, and of the caller's buffer by the clears, or of the bitmap and its
summaries.
"""


class Term(NamedTuple):
    """A line of the table."""

    phase: str
    payer: str
    count: str
    unit: str


def _each(phases, payer, count, unit):
    """Return the same term for several phases."""
    return tuple(Term(phase, payer, count, unit) for phase in phases.split())


def _invalidating(phases, count, unit):
    """Return what invalidations cost, by entry (tlbie) or of everything (flush).

    With all vCPUs stopped there is no further one to wait for.
    """
    running = phases.replace("last", "")
    return (
        *_each(phases, "host", count, unit),
        *_each(running, "both", f"({count}) * further_vcpus", f"{unit}_vcpu"),
    )


SET_ASIDE = 512
"""Invalidations of a sweep that share a wait: those of the machine, as a test says."""


def _in_batches(count, least):
    """Return the waits that a sweep's invalidations share; `least` where there is any.

    Of counts summed over harvests it is the least that they may have been.
    """
    return f"max({least}, ceil({count} / {SET_ASIDE}))"


def _shared(phase, count, batches):
    """Return what invalidations cost that share a wait, if any are made, in batches."""
    return (
        Term(phase, "host", count, "tlbie_shared"),
        Term(phase, "host", f"min({count}, {batches})", "shared_wait"),
        *_each(phase.replace("last", ""), "both", f"({count}) * further_vcpus", "tlbie_vcpu"),
    )


TOGGLING = (
    # At the start of the log; where all bits are set then, by the first CLEAR.
    Term("enable", "host", "huge_pages * splits", "split"),
    # Bits are set word by word.
    Term("enable", "host", "words * initially_all_set", "word_read"),
    *_each("enable disable", "host", "slot_entries * toggle_unmaps", "page_protect"),
    *_invalidating("enable disable", "slot_entries * toggle_unmaps", "tlbie"),
)
"""Of all strategies: what the platform does when a log is turned on or off."""

OVER_REPORTED = (Term("interval", "host", "reported_pages - dirty_pages", "resend"),)

SCAN = (
    Term("enable", "host", "slot_entries * enable_clears", "page_scan"),
    # A guest that has run for long has written all it has.
    Term("enable", "host", "slot_entries * enable_clears", "page_clear"),
    *_invalidating("enable", "slot_entries * tlbie_each * enable_clears", "tlbie"),
    *_invalidating("enable", "(1 - tlbie_each) * enable_clears", "flush"),
    *_each("harvest last", "host", "slot_entries", "page_scan"),
    *_each("harvest last", "host", "dirty_entries", "page_clear"),
    *_invalidating("harvest last", "dirty_entries * tlbie_each", "tlbie"),
    *_invalidating("harvest last", "any_dirty * (1 - tlbie_each)", "flush"),
    # C may still be on its way from a TLB: each writable entry with C clear is invalidated, too.
    Term("last", "host", "(slot_entries - dirty_entries) * definitive_tlbies", "tlbie"),
)

SETTING = (Term("interval", "guest", "dirty_entries", "set_changed"),)
"""What a store costs that finds the changed bit clear."""

SCAN_BATCHED = (
    Term("enable", "host", "slot_entries * (1 + definitive_tlbies) * enable_clears", "page_scan"),
    Term("enable", "host", "slot_entries * enable_clears", "page_clear"),
    *_invalidating("enable", "(1 - definitive_tlbies) * enable_clears", "flush"),
    *_shared("enable", "slot_entries * definitive_tlbies * enable_clears", "1"),
    *_each("harvest last", "host", "slot_entries", "page_scan"),
    # Where entries are made absent, a second pass makes them valid.
    Term("harvest", "host", "dirty_entries * definitive_tlbies", "page_scan"),
    Term("last", "host", "slot_entries * definitive_tlbies", "page_scan"),
    *_each("harvest last", "host", "dirty_entries", "page_clear"),
    *_invalidating("harvest last", "any_dirty * (1 - definitive_tlbies)", "flush"),
    *_shared("harvest", "dirty_entries * definitive_tlbies", "any_dirty"),
    *_shared("last", "slot_entries * definitive_tlbies", "1"),
)


def _scan_ahead(share):
    """Return the terms of a scan that passes clean pages without a lock, times a share."""
    return (
        *(
            Term("enable", "host", f"slot_entries * enable_clears * {share}", unit)
            for unit in ("page_scan", "page_clear", "tlbie")
        ),
        *_each("harvest", "host", f"(slot_entries - dirty_entries) * {share}", "page_pass"),
        *_each("harvest last", "host", f"dirty_entries * {share}", "page_scan"),
        *_each("harvest last", "host", f"dirty_entries * {share}", "page_clear"),
        *_invalidating("harvest last", f"dirty_entries * {share}", "tlbie"),
        # Where C may be on its way, no page is known to be clean.
        *(
            Term("last", "host", f"(slot_entries - dirty_entries) * {mode} * {share}", unit)
            for mode, unit in (
                ("(1 - definitive_tlbies)", "page_pass"),
                ("definitive_tlbies", "page_scan"),
                ("definitive_tlbies", "tlbie"),
            )
        ),
    )


def _sweep(share):
    """Return the terms of a sweep of the HPT and the rmap, times a share."""
    rmap = "ceil(slot_pages / 16)"
    definitive = "(dirty_entries + (slot_entries - dirty_entries) * definitive_tlbies)"
    again = "min(any_dirty + definitive_tlbies, 1)"
    return (
        Term("enable", "host", f"(hpt_groups + {rmap}) * enable_clears * {share}", "block_sweep"),
        Term("enable", "host", f"slot_entries * enable_clears * {share}", "page_clear"),
        *_shared(
            "enable", f"slot_entries * enable_clears * {share}", _in_batches("slot_entries", "1")
        ),
        Term("harvest", "host", f"harvests * (hpt_groups + {rmap}) * {share}", "block_sweep"),
        Term("last", "host", f"(hpt_groups + {rmap}) * {share}", "block_sweep"),
        *_each("harvest last", "host", f"dirty_entries * {share}", "page_clear"),
        *_shared("harvest", f"dirty_entries * {share}", _in_batches("dirty_entries", "any_dirty")),
        *_shared("last", f"{definitive} * {share}", _in_batches(definitive, again)),
    )


SWEEPS = "min(max(hptes_per_page * slot_pages - 8 * hpt_groups + 1, 0), 1)"
"""1 where the HPT is small enough for a sweep, 0 where the pages are scanned ahead."""


def _faults(count):
    """Return what write faults cost the guest."""
    return (
        Term("interval", "guest", f"{count} * stalled_vcpus", "exit"),
        Term("interval", "guest", f"{count} * stalled_vcpus", "fault"),
        Term("interval", "guest", f"{count} * waiting_vcpus", "fault_wait"),
        Term("interval", "guest", f"{count} * stalled_vcpus * fault_tlbies", "tlbie"),
        Term("interval", "guest", f"{count} * fault_tlbies * further_vcpus", "tlbie_vcpu"),
    )


FAULTS = _faults("dirty_entries")

STARTING = (
    Term("enable", "host", "slot_entries * (1 - initially_all_set)", "page_protect"),
    *_invalidating("enable", "1 - initially_all_set", "flush"),
)

PROTECTING = (
    *STARTING,
    # As this machine does, which gives all pages back; no published time judges it.
    Term("disable", "host", "slot_entries", "page_protect"),
)

TAKING = (
    Term("harvest", "host", "touched_words", "word_take"),
    Term("harvest", "host", "dirty_entries", "page_rearm"),
    # Where a GET leaves taking and re-arming to a later CLEAR, the last one copies the words alone.
    Term("last", "host", "touched_words * (1 - manual_protect)", "word_take"),
    Term("last", "host", "dirty_entries * (1 - manual_protect)", "page_rearm"),
)

READING = _each("harvest last", "host", "words", "word_read")

ONE_FLUSH = (
    *_invalidating("harvest", "any_dirty", "flush"),
    *_invalidating("last", "any_dirty * (1 - manual_protect)", "flush"),
)

FULL_RINGS = (
    # Out and back, which takes the VMM's own time, too, not priced here; and a second fault, for
    # the store that filled the ring finds its page read-only again.
    Term("interval", "guest", "2 * log_exits * stalled_vcpus", "exit"),
    Term("interval", "guest", "log_exits * stalled_vcpus", "fault"),
    Term("interval", "guest", "log_exits * stalled_vcpus * fault_tlbies", "tlbie"),
    Term("interval", "guest", "log_exits * fault_tlbies * further_vcpus", "tlbie_vcpu"),
    Term("interval", "guest", "log_exits * (exit_entries + 1)", "page_rearm"),
    Term("interval", "guest", "log_exits", "flush"),
    Term("interval", "guest", "2 * log_exits * further_vcpus", "flush_vcpu"),
    # What the full rings had is in the bitmap.
    *_each("harvest last", "host", "min(log_exits, harvests) * words", "word_read"),
    *_each("harvest last", "host", "min(log_exits, 1) * touched_words", "word_take"),
)
"""Of pages that are written again after a ring was full, and fault once more, nothing is known."""

TERMS = {
    "c_bit_scan": (*TOGGLING, *SCAN, *SETTING, *OVER_REPORTED),
    "c_bit_scan_batched": (*TOGGLING, *SCAN_BATCHED, *SETTING, *OVER_REPORTED),
    "c_bit_scan_pipelined": (*TOGGLING, *_scan_ahead("1"), *SETTING, *OVER_REPORTED),
    "hpt_sweep": (
        *TOGGLING, *_sweep(SWEEPS), *_scan_ahead(f"(1 - {SWEEPS})"), *SETTING, *OVER_REPORTED,
    ),
    "write_protect": (
        *TOGGLING,
        *PROTECTING,
        *READING,
        *TAKING,
        *_invalidating("harvest", "dirty_entries", "tlbie"),
        *_invalidating("last", "dirty_entries * (1 - manual_protect)", "tlbie"),
        *FAULTS,
        *OVER_REPORTED,
    ),
    "write_protect_batched": (
        *TOGGLING, *PROTECTING, *READING, *TAKING, *ONE_FLUSH, *FAULTS, *OVER_REPORTED,
    ),
    "double_buffer": (
        *TOGGLING,
        *PROTECTING,
        # A count of 0 needs no look at the bitmap.
        *_each("harvest last", "host", "looked_words", "word_read"),
        *TAKING,
        *_each("harvest last", "wait", "any_dirty", "grace"),
        *ONE_FLUSH,
        *FAULTS,
        *OVER_REPORTED,
    ),
    # The reply is a list; a whole bitmap would have to be cleared and copied besides.
    "write_protect_summary": (
        *TOGGLING,
        *PROTECTING,
        *_each("harvest last", "host", "read_words", "word_read"),
        *TAKING,
        *ONE_FLUSH,
        *FAULTS,
        *OVER_REPORTED,
    ),
    "dirty_ring": (
        *TOGGLING,
        *PROTECTING,
        *_each("harvest last", "host", "dirty_entries - log_exits * exit_entries", "page_rearm"),
        *_invalidating("harvest last", "any_dirty", "flush"),
        *FAULTS,
        Term("interval", "guest", "dirty_entries + log_exits", "log_push"),
        *FULL_RINGS,
        *OVER_REPORTED,
    ),
    "pml": (
        *TOGGLING,
        *STARTING,  # x86 clears D bits in the same walk of the slot
        *READING,
        *_each("harvest last", "host", "touched_words", "word_take"),
        *_each("harvest last", "host", "dirty_entries", "page_clear"),
        *_invalidating("harvest last", "any_dirty", "flush"),
        # Where TLBs keep changed bits back, one more before they are cleared.
        Term("last", "host", "any_dirty * definitive_tlbies", "flush"),
        # Each vCPU is kicked, and drains its buffer.
        Term("harvest", "both", "harvests * vcpus", "exit"),
        Term("interval", "guest", "dirty_entries", "set_changed"),
        Term("interval", "guest", "dirty_entries", "log_push"),
        Term("interval", "guest", "log_exits * stalled_vcpus", "exit"),
        *OVER_REPORTED,
    ),
    "manual_protect": (
        *TOGGLING,
        *PROTECTING,
        Term("harvest", "host", "read_words", "word_read"),
        Term("last", "host", "words * (2 - manual_protect)", "word_read"),
        *TAKING,
        *_invalidating("harvest", "clears", "flush"),
        *_invalidating("last", "clears * (1 - manual_protect)", "flush"),
        *FAULTS,
        *OVER_REPORTED,
    ),
}  # fmt: skip
"""Terms by strategy. One invalidation stands for all sizes of entry."""

ABSENT_PAGES = "(cleared_pages + cooled_pages - shared_tlbies - each_tlbies)"
"""Pages that `adaptive` cleared or cooled otherwise than by a sweep or page by page."""

COUNTED_TERMS = {
    "dbm_hybrid": (
        Term("harvest", "host", "words", "word_read"),
        Term("harvest", "host", "touched_words", "word_take"),
        Term("harvest", "host", "slot_entries", "page_scan"),
        Term("harvest", "host", "dirty_entries", "page_clear"),
        *_invalidating("harvest", "any_dirty", "flush"),
        *_faults("faults"),
        # A permission given in a walk of neighbours costs what taking it does where a log starts.
        Term("interval", "guest", "opened_pages * stalled_vcpus", "page_protect"),
        Term("interval", "guest", "changed_bits", "set_changed"),
        *OVER_REPORTED,
    ),
    "adaptive": (
        Term("harvest", "host", "words", "word_read"),
        Term("harvest", "host", "touched_words", "word_take"),
        Term("harvest", "host", "slot_entries - passed_pages", "page_scan"),
        # Where there is no HPT to fetch ahead from, a page that is passed is one looked at.
        Term("harvest", "host", "passed_pages * (1 - definitive_tlbies)", "page_scan"),
        Term("harvest", "host", "passed_pages * definitive_tlbies", "page_pass"),
        Term("harvest", "host", "swept_blocks", "block_sweep"),
        Term("harvest", "host", "cleared_pages", "page_clear"),
        Term("harvest", "host", "cooled_pages", "page_rearm"),
        *_invalidating("harvest", "flushes * (1 - definitive_tlbies)", "flush"),
        # In an HPT what is cleared or cooled is absent meanwhile: looked at twice, but by sweeps.
        Term("harvest", "host", f"{ABSENT_PAGES} * definitive_tlbies", "page_scan"),
        Term(
            "harvest",
            "host",
            f"({ABSENT_PAGES} + shared_tlbies - flushed_pages) * definitive_tlbies",
            "tlbie_shared",
        ),
        Term(
            "harvest",
            "host",
            "(flushes + shared_waits - whole_flushes) * definitive_tlbies",
            "shared_wait",
        ),
        # One tlbie of the whole partition, or what else flushes all TLBs, and its wait.
        *_invalidating("harvest", "whole_flushes * definitive_tlbies", "flush"),
        *_invalidating("harvest", "each_tlbies * definitive_tlbies", "tlbie"),
        *_faults("faults"),
        # Those that the harvest opens are the guest's here, too: no event tells them apart.
        Term("interval", "guest", "opened_pages * stalled_vcpus", "page_protect"),
        Term("interval", "guest", "changed_bits", "set_changed"),
        *OVER_REPORTED,
    ),
}
"""Terms of harvests and intervals whose counts depend on all that was written since logging began.

All that COUNTS does not have, and `slot_entries`, the pages scanned or passed, are a replay's.
"""
