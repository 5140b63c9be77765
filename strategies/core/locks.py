"""The two locks: HVLOCK in dword 0 of an HPTE, and bit 63 of a page's rmap word.

Order: HPTE, then rmap. Who holds an rmap lock may only *try* an HPTE lock; on failure he releases
the rmap, waits, and starts the page again (`kvm_unmap_rmapp`: "To avoid an ABBA deadlock ...").
"""

from strategies.core import atomics
from strategies.core.events import LOCK_RETRIES, count
from strategies.core.hpte import HPTE_V_HVLOCK
from strategies.core.jit import inlined
from strategies.core.words import I64, bit

RMAP_LOCK = bit(63)


@inlined
def try_lock_hpte(hpt, index, forbidden):
    """Lock an HPTE unless any bit of `forbidden` is set in dword 0 (`try_lock_hpte`).

    As in the kernel it does not retry when another thread was faster. Returns True when locked.
    """
    v = atomics.load(hpt, 2 * index)
    if v & (forbidden | HPTE_V_HVLOCK):
        return False
    return atomics.compare_and_swap(hpt, 2 * index, v, v | HPTE_V_HVLOCK) == v


@inlined
def wait_hpte_unlocked(machine, cpu, index):
    """Spin until nobody holds the HPTE lock. The caller holds no lock."""
    count(machine, cpu, LOCK_RETRIES, 1)
    spins = I64(0)
    while atomics.load(machine.hpt, 2 * index) & HPTE_V_HVLOCK:
        spins = atomics.relax(spins)


@inlined
def lock_hpte(machine, cpu, index):
    """Lock an HPTE, waiting for it; return dword 0 without the lock bit. No lock is held."""
    while not try_lock_hpte(machine.hpt, index, HPTE_V_HVLOCK):
        wait_hpte_unlocked(machine, cpu, index)
    return atomics.load(machine.hpt, 2 * index) & ~HPTE_V_HVLOCK


@inlined
def unlock_hpte(hpt, index, v):
    """Store dword 0 and release the lock."""
    atomics.store(hpt, 2 * index, v & ~HPTE_V_HVLOCK)


@inlined
def lock_bit(words, index, lock):
    """Set the bit `lock` of a word, spinning while another has it; return the word without it."""
    spins = I64(0)
    while True:
        word = atomics.load(words, index)
        if not word & lock and atomics.compare_and_swap(words, index, word, word | lock) == word:
            return word
        spins = atomics.relax(spins)


@inlined
def lock_rmap(rmap, gfn):
    """Lock a page's rmap word (`lock_rmap`); return it without the lock bit."""
    return lock_bit(rmap, gfn, RMAP_LOCK)


@inlined
def unlock_rmap(rmap, gfn, word):
    """Store a page's rmap word and release the lock."""
    atomics.store(rmap, gfn, word)
