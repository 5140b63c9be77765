"""Losses of a scan that waits for the TLBs once (`c_bit_scan_batched`)."""

from strategies.core import atomics, changed, tlb
from strategies.core.changed import FINISH, IN_PLACE, scan_slot
from strategies.core.events import SHARED_WAITS, count
from strategies.core.hpte import HPTE_R_C, HPTE_V_VALID
from strategies.core.locks import unlock_hpte
from strategies.core.memslot import clear_log
from strategies.core.tlb import flush_tlbs
from strategies.explore.defect import Defect
from strategies.scan import c_bit_scan_batched

_clear_c = changed.clear_c


def flush_then_clear(machine, slot, out, words):
    """Flush the TLBs first, then clear C in place: a translation filled between keeps it set."""
    clear_log(out, words)
    flush_tlbs(machine, machine.nvcpus)
    scan_slot(machine, slot, out, IN_PLACE)
    return 0


def no_shared_wait(machine, cpu):
    """Go on while accesses through the translations are under way."""
    count(machine, cpu, SHARED_WAITS, 1)


def finish_what_is_valid_as_absent(machine, index, action):
    """Clear C of an HPTE that a fault made valid meanwhile as if no TLB had it."""
    v = atomics.load(machine.hpt, 2 * index)
    if action != FINISH or not v & HPTE_V_VALID:
        return _clear_c(machine, index, action)
    r = atomics.fetch_and(machine.hpt, 2 * index + 1, ~HPTE_R_C)
    npages = changed._pages_told(machine, index, v) if r & HPTE_R_C else 0
    unlock_hpte(machine.hpt, index, v)
    return npages


def fetch_nothing(machine, v, r, index):
    """Leave the C that a TLB owes where it is."""


DEFECTS = (
    Defect(
        name="flush-then-clear",
        what="The flush comes before C is cleared in place, and a translation filled between has "
        "C set.",
        origin="design: one flush before the harvest returns",
        lived="-",
        program="restore-harvest",
        strategy="c_bit_scan_batched",
        replaces=((c_bit_scan_batched._get_dirty_log, flush_then_clear),),
    ),
    Defect(
        name="no-shared-wait",
        what="HPTEs made absent become valid before the wait that completes their tlbies.",
        origin="design: one ptesync between the passes",
        lived="-",
        program="delayed-c-running-harvest",
        strategy="c_bit_scan_batched",
        replaces=((tlb.wait_for_shared_tlbies, no_shared_wait),),
    ),
    Defect(
        name="valid-again-taken-for-absent",
        what="A fault makes an absent HPTE valid between the passes, and the second clears its C "
        "without a tlbie.",
        origin="design: what is valid again is cleared as by c_bit_scan",
        lived="-",
        program="delayed-c-running-harvest",
        strategy="c_bit_scan_batched",
        replaces=((changed.clear_c, finish_what_is_valid_as_absent),),
    ),
    Defect(
        name="owed-c-not-fetched",
        what="After the shared wait C is read from the HPTE, and a TLB still owes it.",
        origin="6c576e74fd91: C is written back as late as the tlbie",
        lived="-",
        program="delayed-c-harvest",
        strategy="c_bit_scan_batched",
        replaces=((tlb.fetch_c, fetch_nothing),),
    ),
)
