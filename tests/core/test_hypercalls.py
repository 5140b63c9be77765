"""PAPR's return codes, flags and results of each hypercall."""

import numpy as np
import pytest
from conftest import (
    build,
    bulk_remove,
    changes,
    clear_mod,
    clear_ref,
    enter,
    hardware,
    harvest,
    hpte_of,
    hptes_of,
    protect,
    read,
    remove,
)
from naive import (
    ABSENT,
    BOLTED,
    H_ANDCOND,
    H_AVPN,
    H_EXACT,
    H_NOT_FOUND,
    H_PARAMETER,
    H_PTEG_FULL,
    H_READ_4,
    H_SUCCESS,
    HVLOCK,
    KEY_HI,
    KEY_LO,
    LARGE,
    LINUX_RIGHTS,
    LP_64K,
    PP,
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
from strategies.core.h_change import h_clear_mod, h_clear_ref, h_protect, h_read
from strategies.core.h_remove import h_remove

NPAGES = 100
NHPTES = (1 << 18) // 16
V = SEG_1TB | 0x1234 << 7
RIGHTS = M | RWRW


@pytest.fixture
def vm():
    return build("null", NPAGES, populated=False)[0]


def ptel(gfn, rights=RIGHTS):
    return gfn << 12 | rights


# H_ENTER.


def test_enter_takes_the_first_free_of_the_group(vm):
    for expected in range(40, 48):
        code, gpr = enter(vm, 43, V, ptel(1))
        assert (code, gpr[0]) == (H_SUCCESS, expected)
    before = vm.events()
    assert enter(vm, 43, V, ptel(1))[0] == H_PTEG_FULL
    assert changes(vm, before) == {"hypercalls": 1}
    assert remove(vm, 45)[0] == H_SUCCESS
    assert enter(vm, 40, V, ptel(1))[1][0] == 45


def test_enter_heeds_no_other_flag_there(vm):
    assert enter(vm, 43, V, ptel(1), H_READ_4)[1][0] == 40


def test_read_heeds_no_other_flag_there(vm):
    for index in (40, 43):
        assert enter(vm, index, V, ptel(index), H_EXACT)[0] == H_SUCCESS
    _, gpr = vm.hypercall(h_read, H_EXACT, 43)
    assert tuple(map(int, gpr[:2])) == read(vm, 43)


CALLS = {
    "enter": lambda vm: enter(vm, 43, V, ptel(1)),
    "enter exactly": lambda vm: enter(vm, 43, V, ptel(1), H_EXACT),
    "enter as locked": lambda vm: enter(vm, 43, V | HVLOCK, ptel(1)),
    "remove": lambda vm: remove(vm, 43),
    "protect": lambda vm: protect(vm, 43, RXRX),
    "read": lambda vm: read(vm, 43),
    "clear_ref": lambda vm: clear_ref(vm, 43),
    "clear_mod": lambda vm: clear_mod(vm, 43),
    "bulk_remove": lambda vm: bulk_remove(vm, ABSOLUTE << 56 | 43, 0, END),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("is_there", [False, True])
def test_each_call_is_counted_and_leaves_no_lock(vm, call, is_there):
    if is_there:
        assert enter(vm, 43, V, ptel(1), H_EXACT)[0] == H_SUCCESS
    before = vm.events()
    CALLS[call](vm)
    assert changes(vm, before)["hypercalls"] == 1
    assert not (vm.arrays.hpt[2 * 40 : 2 * 48 : 2] & np.uint64(HVLOCK)).any()


def test_bulk_remove_finds_nothing_by_the_avpn_of_a_free_hpte(vm):
    _, gpr = bulk_remove(vm, AVPN << 56 | 43, 0, END)
    assert gpr[0] == 0x92 << 56 | 43


def test_enter_exact_takes_the_one_named(vm):
    assert enter(vm, 43, V, ptel(1), H_EXACT)[1][0] == 43
    assert enter(vm, 43, V, ptel(1), H_EXACT)[0] == H_PTEG_FULL
    assert hptes_of(vm, 1) == [43]


def test_enter_ignores_the_bits_of_the_host(vm):
    enter(vm, 8, V | HVLOCK | ABSENT | BOLTED | SECONDARY, ptel(1))
    assert read(vm, 8) == (V | VALID | BOLTED | SECONDARY, ptel(1))
    assert hardware(vm, 8)[0] == V | VALID | BOLTED | SECONDARY


@pytest.mark.parametrize("index", [0, NHPTES - 1])
def test_enter_at_both_ends_of_the_hpt(vm, index):
    assert enter(vm, index, V, ptel(1), H_EXACT)[1][0] == index


@pytest.mark.parametrize("index", [NHPTES, NHPTES + 7, 1 << 32, 1 << 63, (1 << 64) - 1])
def test_index_beyond_the_hpt_is_a_parameter_error(vm, index):
    assert enter(vm, index, V, ptel(1))[0] == H_PARAMETER
    assert vm.hypercall(h_remove, 0, index, 0)[0] == H_PARAMETER
    assert vm.hypercall(h_protect, RXRX, index, 0)[0] == H_PARAMETER
    assert vm.hypercall(h_read, 0, index)[0] == H_PARAMETER
    assert vm.hypercall(h_clear_ref, index)[0] == H_PARAMETER
    assert vm.hypercall(h_clear_mod, index)[0] == H_PARAMETER
    assert not vm.arrays.hpt.any()


@pytest.mark.parametrize("lp", [0x2000, 0x10000, 0xF0000, 0x0000F000])
def test_enter_refuses_an_unknown_page_size(vm, lp):
    assert enter(vm, 0, V | LARGE, lp | RIGHTS)[0] == H_PARAMETER


@pytest.mark.parametrize("wimg", [0x00, 0x08, 0x18, 0x20, 0x28, 0x30, 0x40, 0x50, 0x60, 0x78])
def test_enter_refuses_a_wimg_that_is_not_memorys(vm, wimg):
    assert enter(vm, 0, V, 1 << 12 | wimg | RWRW)[0] == H_PARAMETER


def test_enter_takes_strongly_ordered_memory(vm):
    assert enter(vm, 0, V, 1 << 12 | 0x70 | RWRW)[0] == H_SUCCESS


@pytest.mark.parametrize("gfn", [NPAGES, NPAGES + 1, 1 << 40])
def test_enter_refuses_an_address_outside_all_slots(vm, gfn):
    assert enter(vm, 0, V, ptel(gfn))[0] == H_PARAMETER
    assert not vm.arrays.hpt.any()


@pytest.mark.parametrize(
    ("base_gfn", "npages", "code"),
    [
        (0, 512, H_SUCCESS),
        (256, 256, H_SUCCESS),
        (0, 511, H_PARAMETER),
        (0, 100, H_PARAMETER),
        (1, 512, H_PARAMETER),
        (0, 255, H_PARAMETER),
    ],
)
def test_enter_takes_a_large_page_where_the_slot_is_aligned(base_gfn, npages, code):
    vm, _ = build("null", npages, base_gfn=base_gfn, page_shift=16, populated=False)
    first = base_gfn + 255 & ~255
    assert enter(vm, 0, V | LARGE, first << 16 | RIGHTS)[0] == code


def test_enter_refuses_an_unaligned_large_page():
    """Its low address bits read as another page size, or lie between 1 and 16 MiB."""
    vm, _ = build("null", 8192, populated=False)
    assert enter(vm, 0, V | LARGE, 2 << 12 | RIGHTS)[0] == H_PARAMETER
    assert enter(vm, 0, V | LARGE, 1 << 20 | RIGHTS)[0] == H_PARAMETER
    assert enter(vm, 0, V | LARGE, 4096 << 12 | RIGHTS)[0] == H_SUCCESS


@pytest.mark.parametrize("given", [0, R, C, R | C])
def test_enter_shows_the_guest_its_own_r_and_c_and_the_hardware_none(vm, given):
    enter(vm, 0, V, ptel(1, RIGHTS | given))
    assert read(vm, 0)[1] & (R | C) == given
    assert hardware(vm, 0)[1] & (R | C) == 0


def test_enter_gives_the_hardware_the_r_and_c_that_the_page_is_known_to_have(vm):
    vm.store([1], 1)
    remove(vm, hpte_of(vm, 1))
    enter(vm, 0, V, ptel(1, LINUX_RIGHTS))
    assert hardware(vm, 0)[1] & (R | C) == R | C


@pytest.mark.parametrize("strategy", ["pml", "dbm_hybrid", "adaptive"])
def test_enter_of_a_large_page_takes_no_c_from_a_small_one(strategy):
    """It would speak for all pages that the large one covers."""
    vm, tracker = build(strategy, 256, page_shift=16)
    vm.store([0], 1)
    remove(vm, hpte_of(vm, 0))
    vm.populate(0, view=VIEW_LARGE)
    assert harvest(tracker) == {0}


# H_REMOVE.


def test_remove_returns_what_it_was(vm):
    enter(vm, 0, V | BOLTED, ptel(1, LINUX_RIGHTS))
    code, gpr = remove(vm, 0)
    assert code == H_SUCCESS
    assert gpr[:2].tolist() == [V | BOLTED | VALID, ptel(1, LINUX_RIGHTS)]
    assert hptes_of(vm, 1) == []
    assert remove(vm, 0)[0] == H_NOT_FOUND


@pytest.mark.parametrize(
    ("flags", "avpn", "code"),
    [
        (0, 0, H_SUCCESS),
        (0, (1 << 64) - 1, H_SUCCESS),
        (H_AVPN, V, H_SUCCESS),
        (H_AVPN, V ^ 0x80, H_NOT_FOUND),
        (H_AVPN, V & ~SEG_1TB, H_NOT_FOUND),
        (H_ANDCOND, BOLTED, H_NOT_FOUND),
        (H_ANDCOND, SECONDARY, H_SUCCESS),
        (H_ANDCOND, VALID, H_NOT_FOUND),
        (H_ANDCOND, ABSENT | HVLOCK, H_SUCCESS),
        (H_ANDCOND, 0, H_SUCCESS),
        (H_AVPN | H_ANDCOND, V, H_NOT_FOUND),
    ],
)
@pytest.mark.parametrize("strategy", ["null", "pte_flush"])
def test_remove_conditions(strategy, flags, avpn, code):
    """The same for an HPTE that the host has made absent."""
    vm, _ = build(strategy, NPAGES, populated=False)
    enter(vm, 0, V | BOLTED, ptel(1))
    assert remove(vm, 0, flags, avpn)[0] == code
    assert hptes_of(vm, 1) == ([] if code == H_SUCCESS else [0])


def test_remove_saves_r_and_c_for_the_host(vm):
    vm.store([1], 1)
    vm.load([2])
    for gfn in (1, 2):
        remove(vm, hpte_of(vm, gfn))
    assert [int(word) >> 32 & 0x180 for word in vm.arrays.rmap[:4]] == [0, R | C, R, 0]


@pytest.mark.parametrize("bits", [0, R, C, R | C])
def test_remove_returns_what_the_hardware_set(vm, bits):
    enter(vm, 0, V, ptel(1))
    vm.arrays.hpt[1] |= np.uint64(bits)
    assert remove(vm, 0)[1][1] == ptel(1, RIGHTS | bits)


# H_BULK_REMOVE.


REMOVED, NOT_FOUND, INVALID = 0x80, 0x90, 0xA0
ABSOLUTE, ANDCOND, AVPN = 0x40, 0x41, 0x42
END = 0xC0 << 56


def answers(gpr):
    """First byte and index of each answer."""
    return [(int(word) >> 56, int(word) & (1 << 56) - 1) for word in gpr[::2]]


def test_bulk_remove_answers_each_request(vm):
    for index in range(4):
        enter(vm, index, V, ptel(index, RIGHTS), H_EXACT)
    code, gpr = bulk_remove(
        vm,
        *(ABSOLUTE << 56 | 0, 0),
        *(ANDCOND << 56 | 1, VALID),
        *(AVPN << 56 | 2, V),
        *(AVPN << 56 | 3, V ^ 0x80),
    )
    assert code == H_SUCCESS
    expected = [(REMOVED, 0), (NOT_FOUND | 1, 1), (REMOVED | 2, 2), (NOT_FOUND | 2, 3)]
    assert answers(gpr) == expected
    assert [len(hptes_of(vm, gfn)) for gfn in range(4)] == [0, 1, 0, 1]


def test_bulk_remove_tells_r_and_c(vm):
    for gfn in range(4):
        enter(vm, gfn, V, ptel(gfn, RIGHTS | (0, R, C, R | C)[gfn]), H_EXACT)
    _, gpr = bulk_remove(vm, *(word for index in range(4) for word in (ABSOLUTE << 56 | index, 0)))
    assert [first for first, _ in answers(gpr)] == [0x80, 0x88, 0x84, 0x8C]


def test_bulk_remove_of_what_is_not_there(vm):
    _, gpr = bulk_remove(vm, ABSOLUTE << 56 | 5, 0, END)
    assert answers(gpr)[0] == (NOT_FOUND, 5)
    _, gpr = bulk_remove(vm, ANDCOND << 56 | 5, 0, END)
    assert answers(gpr)[0] == (NOT_FOUND | 1, 5)


@pytest.mark.parametrize(
    ("kind", "condition", "is_removed"),
    [
        (ABSOLUTE, VALID, True),
        (ANDCOND, BOLTED, False),
        (ANDCOND, VALID, False),
        (ANDCOND, ABSENT | HVLOCK, True),
        (AVPN, V, True),
        (AVPN, V ^ 0x80, False),
    ],
)
@pytest.mark.parametrize("strategy", ["null", "pte_flush"])
def test_bulk_remove_conditions(strategy, kind, condition, is_removed):
    """The same for an HPTE that the host has made absent."""
    vm, _ = build(strategy, NPAGES, populated=False)
    enter(vm, 0, V | BOLTED, ptel(1))
    bulk_remove(vm, kind << 56 | 0, condition, END)
    assert hptes_of(vm, 1) == ([] if is_removed else [0])


def test_bulk_remove_stops_at_the_end_mark(vm):
    for index in range(2):
        enter(vm, index, V, ptel(1), H_EXACT)
    code, gpr = bulk_remove(vm, ABSOLUTE << 56 | 0, 0, END, 7, ABSOLUTE << 56 | 1, 0)
    assert code == H_SUCCESS
    assert gpr.tolist() == [REMOVED << 56, 0, END, 7, ABSOLUTE << 56 | 1, 0, 0, 0]
    assert hptes_of(vm, 1) == [1]


@pytest.mark.parametrize(
    ("request_byte", "index", "answer"),
    [
        (0x00, 1, 0xA0),
        (0x80, 1, 0xA0),
        (0x81, 1, 0xA1),
        (0x43, 1, 0xA3),
        (0x40, NHPTES, 0xA0),
        (0x42, (1 << 56) - 1, 0xA2),
    ],
)
def test_bulk_remove_stops_at_a_malformed_request(vm, request_byte, index, answer):
    for each in range(3):
        enter(vm, each, V, ptel(1), H_EXACT)
    pairs = [ABSOLUTE << 56 | 0, 0, request_byte << 56 | index, 0, ABSOLUTE << 56 | 2, 0]
    code, gpr = bulk_remove(vm, *pairs)
    assert code == H_PARAMETER
    assert answers(gpr)[:3] == [(REMOVED, 0), (answer, index), (ABSOLUTE, 2)]
    assert hptes_of(vm, 1) == [1, 2]


# H_PROTECT.


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        (RXRX, RXRX),
        (0, 0),
        (1 << 8 | 2, PP0 | 2),
        (N | RWRW, N | RWRW),
        (0xE00 | RWRW, KEY_LO | RWRW),
        (3 << 12 | RWRW, KEY_HI | RWRW),
        (1 << 12, 1 << 60),
    ],
)
def test_protect_sets_pp_n_and_key(vm, flags, bits):
    everything = PP0 | PP | N | KEY_LO | KEY_HI
    for old in (RWRW, everything):
        enter(vm, 0, V, ptel(1, LINUX_RIGHTS & ~PP | old), H_EXACT)
        assert protect(vm, 0, flags)[0] == H_SUCCESS
        assert read(vm, 0) == (V | VALID, ptel(1, LINUX_RIGHTS & ~PP | bits))
        remove(vm, 0)


def test_protect_conditions(vm):
    assert protect(vm, 0, RXRX)[0] == H_NOT_FOUND
    enter(vm, 0, V, ptel(1))
    assert protect(vm, 0, RXRX | H_AVPN, V ^ 0x80)[0] == H_NOT_FOUND
    assert read(vm, 0)[1] & PP == RWRW
    assert protect(vm, 0, RXRX | H_ANDCOND, VALID)[0] == H_SUCCESS
    assert protect(vm, 0, RWRW | H_AVPN, V)[0] == H_SUCCESS
    assert read(vm, 0)[1] & PP == RWRW


def test_protect_never_makes_the_hardwares_hpte_writable(vm):
    vm.store([1], 1)
    index = hpte_of(vm, 1)
    protect(vm, index, RXRX)
    protect(vm, index, RWRW)
    assert hardware(vm, index)[1] & PP == RXRX
    before = vm.events()
    assert vm.store([1], 2) == 1
    assert changes(vm, before)["upgrade_faults"] == 1
    assert hardware(vm, index)[1] & PP == RWRW


def test_protect_keeps_r_and_c(vm):
    enter(vm, 0, V, ptel(1))
    vm.arrays.hpt[1] |= R | C
    protect(vm, 0, RXRX)
    assert hardware(vm, 0)[1] & (R | C) == R | C
    assert read(vm, 0)[1] & (R | C) == R | C


# H_READ.


def test_read_one(vm):
    enter(vm, 5, V, ptel(1), H_EXACT)
    code, gpr = vm.hypercall(h_read, 0, 5)
    assert code == H_SUCCESS
    assert gpr[:2].tolist() == [V | VALID, ptel(1)]


def test_read_four(vm):
    for index in (4, 6, 7):
        enter(vm, index, V, ptel(index), H_EXACT)
    expected = [V | VALID, ptel(4), 0, 0, V | VALID, ptel(6), V | VALID, ptel(7)]
    for index in range(4, 8):
        assert vm.hypercall(h_read, H_READ_4, index)[1].tolist() == expected


def test_read_four_at_the_end_of_the_hpt(vm):
    enter(vm, NHPTES - 1, V, ptel(1), H_EXACT)
    assert vm.hypercall(h_read, H_READ_4, NHPTES - 1)[1].tolist() == [0] * 6 + [V | VALID, ptel(1)]


def test_read_of_what_is_not_there_tells_dword_1_as_the_hardware_has_it(vm):
    enter(vm, 0, V, ptel(1, LINUX_RIGHTS))
    remove(vm, 0)
    assert read(vm, 0) == hardware(vm, 0)
    assert read(vm, 0) != (0, ptel(1, LINUX_RIGHTS))


def test_read_does_not_show_the_lock(vm):
    v = V | VALID
    assert enter(vm, 8, v, ptel(1), H_EXACT)[0] == H_SUCCESS
    vm.arrays.hpt[16] |= np.uint64(HVLOCK)
    assert read(vm, 8)[0] == v


def test_read_shows_absent_as_valid():
    vm, _ = build("pte_flush", NPAGES, populated=False)
    enter(vm, 0, V, ptel(1))
    assert hardware(vm, 0)[0] == V | ABSENT
    assert read(vm, 0)[0] == V | VALID


# H_CLEAR_REF, H_CLEAR_MOD.


@pytest.mark.parametrize("clear", [clear_ref, clear_mod])
@pytest.mark.parametrize("bits", [0, R, C, R | C])
def test_clear_returns_what_the_hardware_set(vm, clear, bits):
    enter(vm, 0, V, ptel(1))
    vm.arrays.hpt[1] |= np.uint64(bits)
    assert clear(vm, 0)[1][0] == ptel(1, RIGHTS | bits)


@pytest.mark.parametrize("clear", [clear_ref, clear_mod])
def test_clear_of_what_is_not_there(vm, clear):
    assert clear(vm, 0)[0] == H_NOT_FOUND


@pytest.mark.parametrize(("clear", "bit"), [(clear_ref, R), (clear_mod, C)])
def test_clear_returns_what_was_and_clears_one_bit(vm, clear, bit):
    vm.store([1], 1)
    index = hpte_of(vm, 1)
    v, r = read(vm, index)
    assert r & (R | C) == R | C
    code, gpr = clear(vm, index)
    assert (code, gpr[0]) == (H_SUCCESS, r)
    assert read(vm, index) == (v, r & ~bit)
    assert hardware(vm, index) == (v, hardware(vm, index)[1] & ~bit)
    assert clear(vm, index)[1][0] == r & ~bit


@pytest.mark.parametrize(("clear", "bit"), [(clear_ref, R), (clear_mod, C)])
def test_clear_keeps_the_bit_for_the_host(vm, clear, bit):
    vm.store([1], 1)
    clear(vm, hpte_of(vm, 1))
    assert int(vm.arrays.rmap[1]) >> 32 & (R | C) == bit


def test_64k_pages_have_their_lp_field():
    vm, _ = build("null", NPAGES, page_shift=16)
    v, r = read(vm, hpte_of(vm, 7))
    assert v & LARGE
    assert r == 7 << 16 | LP_64K | LINUX_RIGHTS


@pytest.mark.parametrize(
    ("call", "tlbies"),
    [(remove, 1), (clear_mod, 1), (clear_ref, 0), (lambda vm, i: protect(vm, i, RXRX), 1)],
    ids=["remove", "clear_mod", "clear_ref", "protect"],
)
def test_counts_of_a_hypercall(vm, call, tlbies):
    vm.store([1], 1)
    before = vm.events()
    call(vm, hpte_of(vm, 1))
    assert changes(vm, before) == {"hypercalls": 1} | ({"tlbies": 1} if tlbies else {})
