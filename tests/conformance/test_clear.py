"""H_CLEAR_MOD and H_CLEAR_REF, which QEMU lacks, held to the text of PAPR (14.5.4.1).

"Check that the V bit is one, else return H_Not_Found." "The second double word of the old PTE is
returned in R4." "Only PTE bits to be modified are: ... in double word 1, C bit (56)", and of
H_CLEAR_REF "in double word 1 the R bit (55)". No flag is defined, no AVPN is compared. Linux
(cdeee51842b5) adds that the host's view keeps the bit: tests/core/test_hypercalls.py.
"""

import pytest
from conftest import build, clear_mod, clear_ref, enter, hptes_of, protect, read, remove
from naive import (
    BOLTED,
    H_EXACT,
    H_NOT_FOUND,
    H_PARAMETER,
    H_SUCCESS,
    KEY_HI,
    KEY_LO,
    LARGE,
    LP_64K,
    PP0,
    RWRW,
    RXRX,
    SECONDARY,
    SEG_1TB,
    VALID,
    C,
    M,
    N,
    R,
)

from strategies.core.guest import VIEW_LARGE

CLEARS = pytest.mark.parametrize(("clear", "bit"), [(clear_ref, R), (clear_mod, C)])
NHPTES = (1 << 18) // 16
RC = [0, R, C, R | C]

PAGES = {
    "4 KiB": (SEG_1TB | 0x1234 << 7, 7 << 12 | M | RWRW),
    "64 KiB": (SEG_1TB | LARGE | SECONDARY, 2 << 16 | LP_64K | M | N | RXRX),
    "16 MiB": (SEG_1TB | LARGE | BOLTED, 1 << 24 | M | KEY_HI | KEY_LO | PP0 | 2),
}


@pytest.fixture(scope="module")
def vm():
    return build("null", 8192, hpt_order=18, populated=False)[0]


@CLEARS
@pytest.mark.parametrize("hardware", RC)
@pytest.mark.parametrize("given", RC)
@pytest.mark.parametrize(("pteh", "ptel"), PAGES.values(), ids=PAGES)
def test_it_returns_dword_1_and_clears_its_bit_alone(vm, clear, bit, given, hardware, pteh, ptel):
    for index in (7, 8, 9):
        enter(vm, index, pteh, ptel | given, H_EXACT)
        vm.arrays.hpt[2 * index + 1] |= hardware
    old = ptel | given | hardware
    code, gpr = clear(vm, 8)
    assert (code, gpr[0]) == (H_SUCCESS, old)
    assert [read(vm, index)[1] for index in (7, 8, 9)] == [old, old & ~bit, old]
    assert read(vm, 8)[0] == pteh | VALID
    assert clear(vm, 8)[1][0] == old & ~bit
    assert [int(remove(vm, index)[1][1]) for index in (7, 8, 9)] == [old, old & ~bit, old]


@CLEARS
def test_it_touches_r4_alone(vm, clear, bit):
    enter(vm, 0, *PAGES["4 KiB"])
    vm.arrays.gpr[:8] = range(100, 108)
    assert clear(vm, 0)[1].tolist()[1:] == list(range(101, 108))
    remove(vm, 0)


@CLEARS
@pytest.mark.parametrize(
    ("index", "code"), [(0, H_NOT_FOUND), (NHPTES - 1, H_NOT_FOUND), (NHPTES, H_PARAMETER)]
)
def test_it_leaves_the_registers_when_it_fails(vm, clear, bit, index, code):
    vm.arrays.gpr[:8] = range(100, 108)
    assert clear(vm, index)[0] == code
    assert vm.arrays.gpr[:8].tolist() == list(range(100, 108))


@CLEARS
def test_the_bit_stays_clear_when_h_protect_follows(vm, clear, bit):
    enter(vm, 0, PAGES["4 KiB"][0], PAGES["4 KiB"][1] | R | C)
    clear(vm, 0)
    protect(vm, 0, RXRX)
    protect(vm, 0, RWRW)
    assert read(vm, 0)[1] & (R | C) == (R | C) & ~bit
    remove(vm, 0)


@pytest.mark.parametrize("view", [0, VIEW_LARGE], ids=["4 KiB", "16 MiB"])
def test_a_store_after_h_clear_mod_sets_c_again_and_a_load_does_not(view):
    """The sequence of the architecture ends with a tlbie: no TLB keeps "C is set"."""
    vm, _ = build("null", 4096)
    remove(vm, hptes_of(vm, 0)[0])
    vm.populate(0, view=view)
    vm.store([0], 1, view=view)
    index = hptes_of(vm, 0)[0]
    clear_mod(vm, index)
    vm.load([0], view=view)
    assert read(vm, index)[1] & C == 0
    vm.store([0], 2, view=view)
    assert read(vm, index)[1] & C == C
