"""What must hold whenever no thread runs: no lock is held, every ring is whole, no debt is due.

Written anew from the layouts, so that it shares no mistake with the machine.
"""

from strategies.core.hpte import hpte_page_shift
from strategies.core.machine import (
    LOG_HEAT,
    LOG_LOCK,
    LOG_WORDS,
    SLOT_HEAT,
    SLOT_LOG_MODE,
    SLOT_WORDS,
    TLB_OWED_C,
    TLB_WORDS,
    VCPU_ACCESS,
    VCPU_HANDLER,
    VCPU_WORDS,
)
from strategies.explore.scheduler import Violation

PRESENT = 0x21
RMAP_PRESENT, LOW_HALF = 1 << 32, 0xFFFFFFFF
RPN = 0x0FFFFFFFFFFFF000


def check_locks(arrays):
    """Raise Violation if a lock is held, or a section entered, in an iterable of Words."""
    for words in arrays:
        for index, value in words.items():
            if is_lock(words.name, index) and is_held(words.name, int(value)):
                raise Violation("lock held", f"{words.name}[{index}] is {int(value):#x} at the end")


def is_lock(name, index):
    """Say whether a word of an array is a lock, has one in it, or says who is inside a section."""
    if name == "hpt":
        return index % 2 == 0
    if name == "vcpus":
        return index % VCPU_WORDS in (VCPU_ACCESS, VCPU_HANDLER)
    if name in ("rings", "pml"):
        return index % LOG_WORDS == LOG_LOCK
    if name == "tlb":
        return index % TLB_WORDS == TLB_OWED_C
    return name in ("rmap", "pte_locks", "host_locks")


HELD = {"hpt": 0x40, "rmap": 1 << 63, "tlb": 1 << 63}
"""The bit that says that a lock is held; elsewhere it is the lowest."""


def is_held(name, word):
    """Say whether a word that is a lock says that it is held."""
    return word & HELD.get(name, 1)


def check_rings(machine, pages):
    """Raise Violation unless each page's ring holds its present HPTEs, linked both ways."""
    rev, rmap = machine.rev, machine.rmap
    mapped = {gfn: set() for gfn in pages}
    for word, v in machine.hpt.items():
        if not word % 2 and int(v) & PRESENT:
            r = rev[word]
            gpa = int(r) & RPN & -(1 << int(hpte_page_shift(v, r)))
            mapped[gpa >> machine.page_shift].add(int(word) // 2)
    for gfn, hptes in mapped.items():
        _check_ring(rev, gfn, int(rmap[gfn]), hptes)


def _check_ring(rev, gfn, word, hptes):
    """Raise Violation unless the ring of an rmap word holds these HPTEs."""
    ring = []
    if word & RMAP_PRESENT:
        head = index = word & LOW_HALF
        while not ring or index != head:
            following = int(rev[2 * index + 1]) & LOW_HALF
            back = int(rev[2 * following + 1]) >> 32
            ring.append(index)
            if back != index or len(ring) > len(hptes):
                break
            index = following
        else:
            if set(ring) == hptes:
                return
    elif not hptes:
        return
    raise Violation(
        "broken ring",
        f"page {gfn}: rmap {word:#x} leads to HPTEs {ring}, present are {sorted(hptes)}",
    )


HARVEST, FAULTS, LEAD, FIRST_WRITE, PAGE_OPEN, PAGE_COOL, GROUPS = 0, 1, 12, 19, 22, 23, 64
OPEN, DEBT = 1 << 63, 0xFFFFFFFF


def check_debts(machine, slot, pages):
    """Raise Violation if the one group of a slot is closed, and does not owe all its faults.

    Or owes what it opens at, with so many faults that it may. Before the first harvest, for each
    settles debts and changes how many those are. The price of opening is that of costs by which
    nothing is swept and no flush stands for tlbies, such as those of the program `debts`.
    """
    slots, heat = machine.slots, machine.heat
    row = slot * SLOT_WORDS
    start = int(slots[row + SLOT_HEAT])
    word = int(heat[start + GROUPS])
    is_on = int(slots[row + SLOT_LOG_MODE]) == LOG_HEAT
    if not is_on or word & OPEN or int(heat[start + HARVEST]) != 1:
        return
    faults = int(heat[start + FAULTS])
    owed = faults * (int(heat[start + FIRST_WRITE]) // 1000)
    if word & DEBT != owed:
        raise Violation("debt not paid", f"a group owes {word & DEBT} ns, of {owed} of faults")
    toggle = sum(int(heat[start + price]) for price in (PAGE_OPEN, PAGE_COOL))
    limit = max(pages * toggle // 2000, 1)
    if word & DEBT >= limit and faults >= int(heat[start + LEAD]):
        raise Violation("debt not paid", f"a closed group owes {word & DEBT} ns, of {limit}")
