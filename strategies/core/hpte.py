"""Hashed page table entries: the bits, and what they say of a page.

Names and values are those of `asm/book3s/64/mmu-hash.h` and `asm/kvm_book3s_64.h` (Linux).
"""

from strategies.core.jit import inlined
from strategies.core.words import I64, U64, ZERO, bit

HPTES_PER_GROUP = 8

# Dword 0.
HPTE_V_VALID = bit(0)
HPTE_V_SECONDARY = bit(1)
HPTE_V_LARGE = bit(2)
HPTE_V_BOLTED = bit(4)
HPTE_V_ABSENT = bit(5)  # KVM: the guest sees it valid, the hardware does not
HPTE_V_HVLOCK = bit(6)  # KVM: the lock of this HPTE
HPTE_V_AVPN = U64(0x3FFFFFFFFFFFFF80)
HPTE_V_AVPN_SHIFT = U64(7)
HPTE_V_SSIZE = bit(63) | bit(62)  # the B field
HPTE_V_1TB_SEG = bit(62)

# Dword 1.
HPTE_R_PP = U64(0x3)
HPTE_R_N = U64(0x4)
HPTE_R_W = U64(0x40)
HPTE_R_I = U64(0x20)
HPTE_R_M = U64(0x10)
HPTE_R_WIMG = U64(0x78)
HPTE_R_C = U64(0x80)
HPTE_R_R = U64(0x100)
HPTE_R_KEY_LO = U64(0xE00)
HPTE_R_RPN = U64(0x0FFFFFFFFFFFF000)
HPTE_R_KEY_HI = U64(0x3000000000000000)
HPTE_R_PP0 = bit(63)

# Access rights of the supervisor (Ks = 0), who may always read.
PP_RWXX = U64(0)
PP_RWRX = U64(1)
PP_RWRW = U64(2)
PP_RXRX = U64(3)
PP_RXXX = HPTE_R_PP0 | U64(2)

HPTE_R_PERMISSION = HPTE_R_PP0 | HPTE_R_PP
HPTE_R_RC = HPTE_R_R | HPTE_R_C

SHIFT_4K = 12
SHIFT_64K = 16
SHIFT_16M = 24

LP_16M_MASK = U64(0xFFF000)
LP_64K_MASK = U64(0xF000)
LP_64K = U64(0x1000)


@inlined
def hpte_page_shift(v, r):
    """Return log2 of the page size in bytes (12, 16 or 24), 0 if it is none of them.

    As `hpte_page_size` of kvm_book3s_64.h (3.3): no L bit means 4 KiB; else the LP field, the low
    bits of the RPN, tells.
    """
    if not v & HPTE_V_LARGE:
        return I64(SHIFT_4K)
    if (r & LP_64K_MASK) == LP_64K:
        return I64(SHIFT_64K)
    if (r & LP_16M_MASK) == ZERO:
        return I64(SHIFT_16M)
    return I64(0)


@inlined
def hpte_gpa(r, shift):
    """Return the guest physical address of the first byte that dword 1 maps."""
    return r & HPTE_R_RPN & ~((U64(1) << U64(shift)) - U64(1))


@inlined
def hpte_is_writable(r):
    """Say whether dword 1 lets the supervisor store (`hpte_is_writable`)."""
    permission = r & HPTE_R_PERMISSION
    return permission != PP_RXRX and permission != PP_RXXX


@inlined
def hpte_make_readonly(r):
    """Return dword 1 with stores forbidden (`hpte_make_readonly`)."""
    if r & HPTE_R_PP0 or (r & HPTE_R_PP) == PP_RWXX:
        return (r & ~HPTE_R_PERMISSION) | PP_RXXX
    return r | PP_RXRX


@inlined
def hpte_cache_flags_ok(r):
    """Say whether the WIMG bits suit ordinary memory (`hpte_cache_flags_ok`): M, or W, I and M."""
    wimg = r & HPTE_R_WIMG
    return wimg == HPTE_R_M or wimg == (HPTE_R_W | HPTE_R_I | HPTE_R_M)
