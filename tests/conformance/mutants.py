"""Runs the comparison on a machine with a defect, to show that it is caught and shrunk.

    NUMBA_DISABLE_JIT=1 python tests/conformance/mutants.py NAME [--seed SEED] [--ops OPS]

Without the JIT a function is replaced by assigning to its name.
"""

import sys

import check
import numpy as np
from numba import config

from strategies.core import h_change, h_remove, hostfault, mmu, papr
from strategies.core.hpt import find_hpte
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_PERMISSION,
    HPTE_R_R,
    HPTE_V_HVLOCK,
    HPTE_V_SECONDARY,
)
from strategies.core.memslot import report_pages
from strategies.scan import c_bit_scan


def _protect_clears_c():
    h_change.CHANGEABLE |= HPTE_R_C


def _secondary_hash_ignored():
    def find(machine, va, shift, states):
        index = find_hpte(machine, va, shift, states)
        return -1 if index >= 0 and machine.hpt[2 * index] & HPTE_V_SECONDARY else index

    mmu.find_hpte = hostfault.find_hpte = find


def _avpn_compare(mask):
    papr.AVPN_MASK = h_remove.AVPN_MASK = ~np.uint64(mask)


def _no_tlbie():
    papr.tlbie = lambda *_: None


def _load_sets_c():
    mmu.HPTE_R_R = HPTE_R_R | HPTE_R_C


def _bulk_remove_shows_absent():
    h_remove.guest_view = lambda v: v & ~HPTE_V_HVLOCK


def _remove_shows_the_hosts_permission():
    remove = h_remove._remove

    def mutated(machine, vcpu, index, v):
        r = machine.hpt[2 * index + 1]
        guest_r = remove(machine, vcpu, index, v)
        return (guest_r & ~HPTE_R_PERMISSION) | (r & HPTE_R_PERMISSION)

    h_remove._remove = mutated


def _remove_leaves_no_changed():
    def save(machine, v, guest_r, _r, unlink, index):
        papr.save_in_rmap(machine, v, guest_r, np.uint64(0), unlink, index)

    h_remove.save_in_rmap = save


def _every_page_reported():
    c_bit_scan.scan_slot = lambda machine, slot, out, _action: report_pages(out, 0, 64)


MUTANTS = {
    "protect-clears-c": _protect_clears_c,
    "secondary-hash-ignored": _secondary_hash_ignored,
    "avpn-compare-too-wide": lambda: _avpn_compare(0x0F),
    "avpn-compare-too-narrow": lambda: _avpn_compare(0xFF),
    "no-tlbie": _no_tlbie,
    "load-sets-c": _load_sets_c,
}
LOGGED_MUTANTS = {
    "bulk-remove-shows-absent": (_bulk_remove_shows_absent, "pte_flush"),
    "remove-shows-the-hosts-permission": (_remove_shows_the_hosts_permission, "write_protect"),
    "remove-leaves-no-changed": (_remove_leaves_no_changed, "c_bit_scan"),
    "spurious-pages": (_every_page_reported, "c_bit_scan"),
}
"""Defects that only logging shows, and under which tracker."""


def main(arguments):
    """Run `check` on the named mutant; return its exit status."""
    if not config.DISABLE_JIT or not arguments or arguments[0] not in MUTANTS:
        print(f"mutants: set NUMBA_DISABLE_JIT=1 and name one of {', '.join(MUTANTS)}")
        return 2
    MUTANTS[arguments[0]]()
    return check.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
