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
from strategies.core.hpte import HPTE_R_C, HPTE_R_R, HPTE_V_SECONDARY


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


MUTANTS = {
    "protect-clears-c": _protect_clears_c,
    "secondary-hash-ignored": _secondary_hash_ignored,
    "avpn-compare-too-wide": lambda: _avpn_compare(0x0F),
    "avpn-compare-too-narrow": lambda: _avpn_compare(0xFF),
    "no-tlbie": _no_tlbie,
    "load-sets-c": _load_sets_c,
}


def main(arguments):
    """Run `check` on the named mutant; return its exit status."""
    if not config.DISABLE_JIT or not arguments or arguments[0] not in MUTANTS:
        print(f"mutants: set NUMBA_DISABLE_JIT=1 and name one of {', '.join(MUTANTS)}")
        return 2
    MUTANTS[arguments[0]]()
    return check.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
