"""The reverse map: from a guest page to the ring of HPTEs that map it.

Layout of an rmap word: the 2011/12 kernel (kvm_host.h at bad3b5075eeb) plus the order of a changed
large page (KVMPPC_RMAP_CHG_ORDER of v4.x). All functions here want the page's rmap lock held.
"""

from strategies.core import atomics
from strategies.core.hpte import HPTE_R_C, HPTE_R_R, HPTE_R_RC
from strategies.core.jit import inlined
from strategies.core.words import I64, U32, U64, bit

RMAP_RC_SHIFT = U64(32)
RMAP_REFERENCED = HPTE_R_R << RMAP_RC_SHIFT
RMAP_CHANGED = HPTE_R_C << RMAP_RC_SHIFT
RMAP_CHANGED_SHIFT = U64(48)
RMAP_CHANGED_ORDER = U64(0x3F) << RMAP_CHANGED_SHIFT
RMAP_PRESENT = bit(32)
RMAP_INDEX = U64(0xFFFFFFFF)


@inlined
def ring_head(word):
    """Return the index of the first HPTE of a ring that is PRESENT."""
    return I64(word & RMAP_INDEX)


@inlined
def ring_next(links, index):
    """Return the index of the HPTE after `index`."""
    return I64(atomics.load(links, 4 * index + 2))


@inlined
def _set_forw(links, index, value):
    atomics.store(links, 4 * index + 2, U32(value))


@inlined
def _set_back(links, index, value):
    atomics.store(links, 4 * index + 3, U32(value))


@inlined
def add_to_ring(links, word, index):
    """Insert HPTE `index` before the head; return the new rmap word.

    Unlike `kvmppc_add_revmap_chain` before 2013, which overwrote the word, it keeps what else the
    word says: a CHANGED saved when an earlier HPTE went must survive a re-enter.
    """
    if not word & RMAP_PRESENT:
        _set_forw(links, index, index)
        _set_back(links, index, index)
        return (word & ~RMAP_INDEX) | RMAP_PRESENT | U64(index)
    head = ring_head(word)
    tail = I64(atomics.load(links, 4 * head + 3))
    _set_forw(links, index, head)
    _set_back(links, index, tail)
    _set_forw(links, tail, index)
    _set_back(links, head, index)
    return word


@inlined
def remove_from_ring(links, word, index):
    """Unlink HPTE `index` (`remove_revmap_chain`); return the new rmap word."""
    following = ring_next(links, index)
    if following == index:
        return word & ~(RMAP_PRESENT | RMAP_INDEX)
    previous = I64(atomics.load(links, 4 * index + 3))
    _set_forw(links, previous, following)
    _set_back(links, following, previous)
    if ring_head(word) == index:
        word = (word & ~RMAP_INDEX) | U64(following)
    return word


@inlined
def save_rc(word, r, order):
    """Return the rmap word with R and C of a dword 1 saved, both in one operation.

    Parameters
    ----------
    order : int
        log2 of the base pages that C speaks for: 0, or more for a large page.
    """
    word |= (r & HPTE_R_RC) << RMAP_RC_SHIFT
    if r & HPTE_R_C and U64(order) > (word & RMAP_CHANGED_ORDER) >> RMAP_CHANGED_SHIFT:
        word = (word & ~RMAP_CHANGED_ORDER) | U64(order) << RMAP_CHANGED_SHIFT
    return word
