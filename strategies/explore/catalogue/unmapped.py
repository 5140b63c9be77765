"""Losses where the host takes a page away that is logged."""

from strategies.core import atomics, unmap
from strategies.core.hpt import pages_of
from strategies.core.hpte import (
    HPTE_R_RC,
    HPTE_V_ABSENT,
    HPTE_V_VALID,
    hpte_make_readonly,
    hpte_page_shift,
)
from strategies.core.locks import unlock_hpte
from strategies.core.papr import invalidate_hpte
from strategies.core.rmap import save_rc
from strategies.core.words import U64, ctz
from strategies.explore.defect import Defect


def unmap_and_drop_rc(machine, cpu, _gfn, word, index):
    """Make an HPTE absent and forget R and C."""
    v = atomics.load(machine.hpt, 2 * index)
    r = invalidate_hpte(machine, cpu, index, v)
    _leave_absent(machine, index, v, r)
    return word


def unmap_with_c_of_before(machine, cpu, _gfn, word, index):
    """Read R and C, then make the HPTE absent."""
    v, r = atomics.load(machine.hpt, 2 * index), atomics.load(machine.hpt, 2 * index + 1)
    invalidate_hpte(machine, cpu, index, v)
    word = _saved(machine, word, index, v, r)
    _leave_absent(machine, index, v, r)
    return word


def unmap_without_tlbie(machine, _cpu, _gfn, word, index):
    """Make an HPTE absent, and leave it in the TLBs."""
    v, r = atomics.load(machine.hpt, 2 * index), atomics.load(machine.hpt, 2 * index + 1)
    word = _saved(machine, word, index, v, r)
    _leave_absent(machine, index, v, r)
    return word


def unmap_and_save_later(machine, cpu, _gfn, word, index):
    """Take R and C from the HPTE, and put them into the rmap word when its lock is released."""
    v = atomics.load(machine.hpt, 2 * index)
    r = invalidate_hpte(machine, cpu, index, v)
    word = _saved(machine, word, index, v, r)
    _leave_absent(machine, index, v, r)
    return word


def _saved(machine, word, index, v, r):
    """Return the rmap word with R and C of an HPTE, which the guest's view has then, too."""
    guest_r = atomics.load(machine.rev, 2 * index)
    atomics.store(machine.rev, 2 * index, guest_r | (r & HPTE_R_RC))
    return save_rc(word, r, ctz(U64(pages_of(machine, hpte_page_shift(v, guest_r)))))


def _leave_absent(machine, index, v, r):
    """Leave an HPTE absent, with neither R nor C nor the right to store, and release it."""
    atomics.store(machine.hpt, 2 * index + 1, hpte_make_readonly(r) & ~HPTE_R_RC)
    unlock_hpte(machine.hpt, index, (v & ~HPTE_V_VALID) | HPTE_V_ABSENT)


DEFECTS = (
    Defect(
        name="unmap-drops-c",
        what="The host takes a page away, and the C of its HPTEs with it.",
        origin="kvm_unmap_rmapp saves R and C; for radix 8f7b79b8379a has a bitmap of such pages",
        lived="-",
        program="in-turn-unmap",
        strategy="c_bit_scan",
        replaces=((unmap._unmap_hpte, unmap_and_drop_rc),),
    ),
    Defect(
        name="unmap-reads-c-early",
        what="The host takes a page away, and reads C before the tlbie is complete.",
        origin="kvm_unmap_rmapp reads R and C after kvmppc_invalidate_hpte",
        lived="-",
        program="dirty-unmap-harvest",
        strategy="c_bit_scan",
        replaces=((unmap._unmap_hpte, unmap_with_c_of_before),),
    ),
    Defect(
        name="unmap-without-tlbie",
        what="The host takes a page away that a TLB still lets the guest store to.",
        origin="kvm_unmap_rmapp calls kvmppc_invalidate_hpte",
        lived="-",
        program="dirty-unmap-harvest",
        strategy="c_bit_scan",
        replaces=((unmap._unmap_hpte, unmap_without_tlbie),),
    ),
    Defect(
        name="unmap-saves-c-late",
        what="C leaves an HPTE before the rmap word has it, and a sweep finds it in neither.",
        origin="design: C is in the rmap before it leaves the HPTE",
        lived="-",
        program="dirty-unmap-harvest",
        strategy="hpt_sweep:1048576",
        replaces=((unmap._unmap_hpte, unmap_and_save_later),),
    ),
)
