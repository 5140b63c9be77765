"""The reverse map: from a guest page to the ring of HPTEs that map it.

Layout of an rmap word: the 2011/12 kernel (kvm_host.h at bad3b5075eeb) plus the order of a changed
large page (KVMPPC_RMAP_CHG_ORDER of v4.x). All functions here want the page's rmap lock held.
"""

from strategies.core import atomics
from strategies.core.hpte import HPTE_R_C, HPTE_R_R, HPTE_R_RC
from strategies.core.jit import inlined
from strategies.core.words import I64, U64, bit

RMAP_RC_SHIFT = U64(32)
RMAP_REFERENCED = HPTE_R_R << RMAP_RC_SHIFT
RMAP_CHANGED = HPTE_R_C << RMAP_RC_SHIFT
RMAP_CHANGED_SHIFT = U64(48)
RMAP_CHANGED_ORDER = U64(0x3F) << RMAP_CHANGED_SHIFT
RMAP_PRESENT = bit(32)
RMAP_INDEX = U64(0xFFFFFFFF)

BACK_SHIFT = U64(32)  # a revmap entry's second word: forw, and back above it


@inlined
def ring_head(word):
    """Return the index of the first HPTE of a ring that is PRESENT."""
    return I64(word & RMAP_INDEX)


@inlined
def ring_next(rev, index):
    """Return the index of the HPTE after `index` (`forw`)."""
    return I64(atomics.load(rev, 2 * index + 1) & RMAP_INDEX)


@inlined
def _ring_previous(rev, index):
    return I64(atomics.load(rev, 2 * index + 1) >> BACK_SHIFT)


@inlined
def _link(rev, index, following):
    """Make `following` the HPTE after `index`, in both directions."""
    forw = atomics.load(rev, 2 * index + 1) & ~RMAP_INDEX
    atomics.store(rev, 2 * index + 1, forw | U64(following))
    back = atomics.load(rev, 2 * following + 1) & RMAP_INDEX
    atomics.store(rev, 2 * following + 1, back | U64(index) << BACK_SHIFT)


@inlined
def add_to_ring(rev, word, index):
    """Insert HPTE `index` before the head; return the new rmap word.

    Unlike `kvmppc_add_revmap_chain` of 2011 and 2012, which overwrote the word, it keeps what else
    the word says: a CHANGED saved when an earlier HPTE went must survive a re-enter.
    """
    if not word & RMAP_PRESENT:
        _link(rev, index, index)
        return (word & ~RMAP_INDEX) | RMAP_PRESENT | U64(index)
    head = ring_head(word)
    _link(rev, _ring_previous(rev, head), index)
    _link(rev, index, head)
    return word


@inlined
def remove_from_ring(rev, word, index):
    """Unlink HPTE `index` (`remove_revmap_chain`); return the new rmap word."""
    following = ring_next(rev, index)
    if following == index:
        return word & ~(RMAP_PRESENT | RMAP_INDEX)
    _link(rev, _ring_previous(rev, index), following)
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
