"""The host takes a page away, as to swap it out (`kvm_unmap_rmapp`, called by the MMU notifier)."""

from strategies.core import atomics
from strategies.core.events import RMAP_STEPS, count
from strategies.core.hpt import pages_of
from strategies.core.hpte import (
    HPTE_R_RC,
    HPTE_V_ABSENT,
    HPTE_V_VALID,
    hpte_make_readonly,
    hpte_page_shift,
)
from strategies.core.jit import inlined, kernel
from strategies.core.locks import (
    RMAP_LOCK,
    lock_rmap,
    try_lock_hpte,
    unlock_hpte,
    unlock_rmap,
    wait_hpte_unlocked,
)
from strategies.core.papr import invalidate_hpte
from strategies.core.rmap import RMAP_PRESENT, ring_head, ring_next, save_rc
from strategies.core.words import I64, U64, ZERO, ctz


@inlined
def _unmap_hpte(machine, cpu, gfn, word, index):
    """Make a locked HPTE absent, save its R and C, and release it; return the page's rmap word.

    R and C are in the rmap word, and in the guest's view, before they leave the HPTE: a sweep,
    which looks without a lock, finds C in one or the other.
    """
    v = atomics.load(machine.hpt, 2 * index)
    r = invalidate_hpte(machine, cpu, index, v)
    guest_r = atomics.load(machine.rev, 2 * index)
    word = save_rc(word, r, ctz(U64(pages_of(machine, hpte_page_shift(v, guest_r)))))
    atomics.store(machine.rmap, gfn, word | RMAP_LOCK)
    atomics.store(machine.rev, 2 * index, guest_r | (r & HPTE_R_RC))
    atomics.store(machine.hpt, 2 * index + 1, hpte_make_readonly(r) & ~HPTE_R_RC)
    unlock_hpte(machine.hpt, index, (v & ~HPTE_V_VALID) | HPTE_V_ABSENT)
    return word


@inlined
def _unmap_ring(machine, cpu, gfn, word):
    """Unmap along a ring; return the first HPTE whose lock another has, or -1, and the word."""
    if not word & RMAP_PRESENT:
        return -1, word
    head = index = ring_head(word)
    while True:
        count(machine, cpu, RMAP_STEPS, 1)
        if not try_lock_hpte(machine.hpt, index, ZERO):
            return index, word
        word = _unmap_hpte(machine, cpu, gfn, word, index)
        index = ring_next(machine.rev, index)
        if index == head:
            return -1, word


@kernel
def unmap_page(machine, cpu, gfn):
    """Make all HPTEs of a page absent, with a tlbie each; R and C go to its rmap word.

    The next access faults and maps the page again. Holds the rmap lock and tries HPTE locks; on
    failure it releases the rmap, waits, and starts again.

    KVM takes the HPTEs off the ring, too, and puts them back when they are mapped again. Here they
    stay on it, and the page stays in memory: a harvest that finds an absent HPTE may make it valid
    again, without permission to store, and the end of logging with it. A large page is unmapped
    with its first page.

    Parameters
    ----------
    cpu : int
        Row of the event counters.
    gfn : int
    """
    busy = I64(0)
    while busy >= 0:
        word = lock_rmap(machine.rmap, gfn)
        busy, word = _unmap_ring(machine, cpu, gfn, word)
        unlock_rmap(machine.rmap, gfn, word)
        if busy >= 0:
            wait_hpte_unlocked(machine, cpu, busy)
