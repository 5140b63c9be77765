"""The bits of an HPTE: values of the kernel's headers (mmu-hash.h, kvm_book3s_64.h)."""

import pytest

from strategies.core import hpte, papr, rmap
from strategies.core.words import U64

BITS = {
    "HPTE_V_VALID": 0x01,
    "HPTE_V_SECONDARY": 0x02,
    "HPTE_V_LARGE": 0x04,
    "HPTE_V_BOLTED": 0x10,
    "HPTE_V_ABSENT": 0x20,
    "HPTE_V_HVLOCK": 0x40,
    "HPTE_V_AVPN": 0x3FFFFFFFFFFFFF80,
    "HPTE_V_AVPN_SHIFT": 7,
    "HPTE_V_1TB_SEG": 0x4000000000000000,
    "HPTE_R_PP": 0x3,
    "HPTE_R_N": 0x4,
    "HPTE_R_WIMG": 0x78,
    "HPTE_R_W": 0x40,
    "HPTE_R_I": 0x20,
    "HPTE_R_M": 0x10,
    "HPTE_R_C": 0x80,
    "HPTE_R_R": 0x100,
    "HPTE_R_KEY_LO": 0xE00,
    "HPTE_R_RPN": 0x0FFFFFFFFFFFF000,
    "HPTE_R_KEY_HI": 0x3000000000000000,
    "HPTE_R_PP0": 1 << 63,
    "PP_RWXX": 0,
    "PP_RWRX": 1,
    "PP_RWRW": 2,
    "PP_RXRX": 3,
    "PP_RXXX": 1 << 63 | 2,
    "HPTES_PER_GROUP": 8,
}
PAPR = {
    "H_SUCCESS": 0,
    "H_FUNCTION": -2,
    "H_PARAMETER": -4,
    "H_PTEG_FULL": -6,
    "H_NOT_FOUND": -7,
    "H_EXACT": 1 << 39,
    "H_READ_4": 1 << 37,
    "H_AVPN": 1 << 31,
    "H_ANDCOND": 1 << 30,
}
RMAP = {
    "RMAP_CHANGED": 1 << 39,
    "RMAP_REFERENCED": 1 << 40,
    "RMAP_PRESENT": 1 << 32,
    "RMAP_INDEX": 0xFFFFFFFF,
}
RXXX = 1 << 63 | 2


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (module, *item)
        for module, values in ((hpte, BITS), (papr, PAPR), (rmap, RMAP))
        for item in values.items()
    ],
)
def test_value(module, name, value):
    assert int(getattr(module, name)) == value


@pytest.mark.parametrize(
    ("v", "r", "shift"),
    [
        (0, 0, 12),
        (0, 0x1000, 12),
        (0, 0xFF000, 12),
        (4, 0x1000, 16),
        (4, 0xF1000, 16),
        (4, 0x00000, 24),
        (4, 0x0F000000, 24),
        (4, 0x2000, 0),
        (4, 0xF0000, 0),
        (4, 0x10000, 0),
    ],
)
def test_page_shift(v, r, shift):
    assert hpte.hpte_page_shift(U64(v), U64(r)) == shift


@pytest.mark.parametrize(
    ("r", "shift", "gpa"),
    [
        (0xF0123456789AB1FF, 12, 0x0123456789AB000),
        (0x0000000012341190, 16, 0x12340000),
        (0x0000000034000190, 24, 0x34000000),
    ],
)
def test_gpa(r, shift, gpa):
    assert hpte.hpte_gpa(U64(r), shift) == gpa & 0x0FFFFFFFFFFFF000


@pytest.mark.parametrize("other", [0, 0x190, 0x30000000FFFFF000])
@pytest.mark.parametrize(
    ("pp", "is_writable", "readonly"),
    [(0, True, RXXX), (1, True, 3), (2, True, 3), (3, False, 3), (RXXX, False, RXXX)],
)
def test_permission(pp, is_writable, readonly, other):
    assert hpte.hpte_is_writable(U64(pp | other)) == is_writable
    got = hpte.hpte_make_readonly(U64(pp | other))
    assert got == readonly | other
    assert not hpte.hpte_is_writable(U64(got))


@pytest.mark.parametrize("wimg", range(16))
def test_cache_flags(wimg):
    """Memory is M, or strongly ordered as W, I and M; nothing else, and never G."""
    got = hpte.hpte_cache_flags_ok(U64(wimg << 3 | 0xF87))
    assert got == (wimg << 3 in (0x10, 0x70))
