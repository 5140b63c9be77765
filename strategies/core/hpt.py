"""Addresses and the hash: from an effective address to a group of the HPT and back.

All segments are 1 TiB (B = 1). A virtual address is vsid << 40 | offset; a page of 2**shift bytes
hashes to `vsid ^ vsid << 25 ^ offset >> shift` (Power ISA 2.06, Book III-S, 5.7.7.3), its primary
group is the hash modulo the number of groups, its secondary group the complement.
"""

from strategies.core import atomics
from strategies.core.hpte import (
    HPTE_V_1TB_SEG,
    HPTE_V_AVPN,
    HPTE_V_AVPN_SHIFT,
    HPTE_V_LARGE,
    HPTE_V_SECONDARY,
    HPTE_V_SSIZE,
    HPTES_PER_GROUP,
    SHIFT_4K,
    hpte_gpa,
    hpte_page_shift,
)
from strategies.core.jit import inlined
from strategies.core.words import I64, ONE, U64

SEGMENT_SHIFT = U64(40)
SEGMENT_MASK = (ONE << SEGMENT_SHIFT) - ONE
VSID_MULTIPLIER_1T = U64(12538073)
VSID_MODULUS_1T = U64((1 << 24) - 1)
AVPN_VA_SHIFT = U64(23)
GROUP_SHIFT = U64(3)

MATCH = HPTE_V_AVPN | HPTE_V_SSIZE | HPTE_V_LARGE | HPTE_V_SECONDARY
"""What the hardware compares in dword 0, besides VALID."""


@inlined
def virtual_address(ea):
    """Return the virtual address of an effective one (`vsid_scramble`, 1 TiB segments)."""
    esid = ea >> SEGMENT_SHIFT
    vsid = ((esid + ONE) * VSID_MULTIPLIER_1T) % VSID_MODULUS_1T
    return (vsid << SEGMENT_SHIFT) | (ea & SEGMENT_MASK)


@inlined
def hash_of(va, shift):
    """Return the hash of a virtual address for pages of 2**shift bytes."""
    vsid = va >> SEGMENT_SHIFT
    return vsid ^ (vsid << U64(25)) ^ ((va & SEGMENT_MASK) >> U64(shift))


@inlined
def group_of(machine, va, shift, secondary):
    """Return the index of the first HPTE of the primary (0) or secondary (1) group."""
    hashed = hash_of(va, shift)
    if secondary:
        hashed = ~hashed
    return I64(hashed & U64(machine.group_mask)) * HPTES_PER_GROUP


@inlined
def hpte_v_of(va, shift):
    """Return dword 0 (AVPN, B and L; not yet valid) of an HPTE for `va`.

    The AVPN of a 16 MiB page has 0 where the offset in the page reaches into it
    (`hpte_encode_avpn`).
    """
    page = (va >> U64(shift)) << U64(shift)
    v = ((page >> AVPN_VA_SHIFT) << HPTE_V_AVPN_SHIFT) & HPTE_V_AVPN | HPTE_V_1TB_SEG
    if shift != SHIFT_4K:
        v |= HPTE_V_LARGE
    return v


@inlined
def va_of_hpte(machine, v, shift, index):
    """Return the virtual address that HPTE `index` maps (as `compute_tlbie_rb` does).

    The AVPN lacks the low 23 bits. Those above the page come from the group's number: the HPT has
    at least 2**11 groups, one for each value of bits 12 to 22.
    """
    high = ((v & HPTE_V_AVPN) >> HPTE_V_AVPN_SHIFT) << AVPN_VA_SHIFT
    hashed = U64(index) >> GROUP_SHIFT
    if v & HPTE_V_SECONDARY:
        hashed = ~hashed
    vsid = high >> SEGMENT_SHIFT
    low = ((hashed ^ vsid ^ (vsid << U64(25))) << U64(shift)) & ((ONE << AVPN_VA_SHIFT) - ONE)
    return high | low


@inlined
def find_hpte(machine, va, shift, states):
    """Search both groups; return the index of the HPTE that maps `va`, or -1.

    Parameters
    ----------
    states : uint64
        HPTE_V_VALID, as the hardware looks, or with HPTE_V_ABSENT, as the host looks. Locked
        HPTEs are found, too: the lock is software's.
    """
    want = hpte_v_of(va, shift)
    for secondary in range(2):
        group = group_of(machine, va, shift, secondary)
        for index in range(group, group + HPTES_PER_GROUP):
            v = atomics.load(machine.hpt, 2 * index)
            if (v & MATCH) == want and v & states:
                r = atomics.load(machine.hpt, 2 * index + 1)
                if hpte_page_shift(v, r) == shift:
                    return index
        want |= HPTE_V_SECONDARY
    return -1


@inlined
def hpte_gfn(machine, r, shift):
    """Return the first base page that a dword 1 maps."""
    return I64(hpte_gpa(r, shift) >> U64(machine.page_shift))


@inlined
def pages_of(machine, shift):
    """Return how many base pages a page of 2**shift bytes covers: at least 1."""
    return 1 << max(0, shift - machine.page_shift)
