"""Losses of scans that pass what is clean without a lock (`c_bit_scan_pipelined`, `hpt_sweep`)."""

from strategies.core import atomics, changed, sweep, tlb
from strategies.core.changed import is_due
from strategies.core.hpte import HPTE_R_C
from strategies.core.locks import RMAP_LOCK
from strategies.core.memslot import clear_log
from strategies.core.rmap import RMAP_CHANGED, RMAP_PRESENT, ring_head, ring_next
from strategies.explore.catalogue.batches import no_shared_wait
from strategies.explore.defect import Defect

SWEEP = "hpt_sweep:1048576"
"""In the programs' slots it would else scan by pages."""


def is_clean_at_one_look(machine, gfn, action):
    """Do not read the rmap word again when the HPTE's C was found clear."""
    word = atomics.load(machine.rmap, gfn)
    if word & (RMAP_LOCK | RMAP_CHANGED):
        return False
    if not word & RMAP_PRESENT:
        return True
    index = ring_head(word)
    return not is_due(machine, index, action) and ring_next(machine.rev, index) == index


def is_clean_by_its_hptes(machine, gfn, action):
    """Look at the HPTE of a page, and not at CHANGED."""
    word = atomics.load(machine.rmap, gfn)
    return not word & RMAP_PRESENT or (
        not is_due(machine, ring_head(word), action) and atomics.load(machine.rmap, gfn) == word
    )


def is_clean_by_its_first_hpte(machine, gfn, action):
    """Look at the first HPTE of a page alone."""
    word = atomics.load(machine.rmap, gfn)
    if word & (RMAP_LOCK | RMAP_CHANGED):
        return False
    is_there = word & RMAP_PRESENT
    if is_there and is_due(machine, ring_head(word), action):
        return False
    return atomics.load(machine.rmap, gfn) == word


def sweep_rmap_first(machine, slot, out, words):
    """Take CHANGED from the rmap first, then C from the HPTEs."""
    clear_log(out, words)
    sweep._sweep_rmap(machine, slot, out)
    sweep._sweep_hpt(machine, slot, out, HPTE_R_C, sweep.ABSENT)
    return 0


def sweep_no_rmap(machine, slot, out):
    """Leave CHANGED where it is."""


DEFECTS = (
    Defect(
        name="passed-at-one-look",
        what="C goes from the HPTE to the rmap between the looks at the rmap and at the HPTE, and "
        "the page is passed.",
        origin="design: the rmap word is read again",
        lived="-",
        program="store-then-clear-mod-harvest",
        strategy="c_bit_scan_pipelined",
        replaces=((changed.is_clean, is_clean_at_one_look),),
    ),
    Defect(
        name="changed-passed-over",
        what="A page is passed for what its HPTEs say, and CHANGED says that it was written.",
        origin="design: a page with CHANGED is not passed",
        lived="-",
        program="in-turn-remove",
        strategy="c_bit_scan_pipelined",
        replaces=((changed.is_clean, is_clean_by_its_hptes),),
    ),
    Defect(
        name="ring-passed-by-its-head",
        what="A page of two HPTEs is passed for the C of the first.",
        origin="design: only an HPTE that is alone in its ring is looked at without the lock",
        lived="-",
        program="alias-harvest",
        strategy="c_bit_scan_pipelined",
        replaces=((changed.is_clean, is_clean_by_its_first_hpte),),
    ),
    Defect(
        name="rmap-swept-first",
        what="An HPTE goes when the rmap was swept and the HPT was not, and its C with it.",
        origin="design: the HPT first, the rmap second",
        lived="-",
        program="store-then-remove-harvest",
        strategy=SWEEP,
        replaces=((sweep._get_dirty_log, sweep_rmap_first),),
    ),
    Defect(
        name="rmap-not-swept",
        what="The HPT is swept alone, and an HPTE that is gone left CHANGED.",
        origin="design: CHANGED speaks for HPTEs that are gone",
        lived="-",
        program="in-turn-remove",
        strategy=SWEEP,
        replaces=((sweep._sweep_rmap, sweep_no_rmap),),
    ),
    Defect(
        name="swept-without-a-wait",
        what="C is cleared while stores through the old translations are under way.",
        origin="design: one ptesync before C is cleared",
        lived="-",
        program="restore-harvest",
        strategy=SWEEP,
        replaces=((tlb.wait_for_shared_tlbies, no_shared_wait),),
    ),
)
