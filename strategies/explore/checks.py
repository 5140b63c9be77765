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
    VCPU_ACCESS,
    VCPU_HANDLER,
    VCPU_WORDS,
)
from strategies.explore.scheduler import Violation

PRESENT, HVLOCK = 0x21, 0x40
RMAP_LOCK, RMAP_PRESENT, LOW_HALF = 1 << 63, 1 << 32, 0xFFFFFFFF
RPN = 0x0FFFFFFFFFFFF000


def check_locks(arrays):
    """Raise Violation if a lock is held, or a section entered, in an iterable of Words."""
    for words in arrays:
        for index, value in words.items():
            if _is_held(words.name, int(index), int(value)):
                raise Violation("lock held", f"{words.name}[{index}] is {int(value):#x} at the end")


def _is_held(name, index, word):
    if name == "hpt":
        return index % 2 == 0 and word & HVLOCK
    if name == "rmap":
        return word & RMAP_LOCK
    if name == "vcpus":
        return index % VCPU_WORDS in (VCPU_ACCESS, VCPU_HANDLER) and word & 1
    if name in ("rings", "pml"):
        return index % LOG_WORDS == LOG_LOCK and word
    return name in ("pte_locks", "host_locks") and word


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


HARVEST, FAULTS, LEAD, PAGE_OPEN, PAGE_COOL, GROUPS = 0, 1, 12, 19, 20, 64
OPEN, DEBT = 1 << 63, 0xFFFFFFFF


def check_debts(machine, pages):
    """Raise Violation if the one group of slot 0 is closed, and owes what it opens at.

    Before the first harvest, for each changes how many faults make it open.
    """
    slots, heat = machine.slots, machine.heat
    start = int(slots[SLOT_HEAT])
    word = int(heat[start + GROUPS])
    if int(slots[SLOT_LOG_MODE]) != LOG_HEAT or word & OPEN:
        return
    if heat[start + HARVEST] != 1 or heat[start + FAULTS] < heat[start + LEAD]:
        return
    toggle = sum(int(heat[start + price]) for price in (PAGE_OPEN, PAGE_COOL))
    limit = max(len(pages) * toggle // 2000, 1)
    if word & DEBT >= limit:
        raise Violation("debt not paid", f"a closed group owes {word & DEBT} ns, of {limit}")
