"""TLBs, and what it takes to be sure that a translation is gone.

An access announces itself before it looks into the TLB and withdraws after its data is touched.
`tlbie` (with its ptesync) clears the entry in every TLB and waits until each access announced at
that moment has withdrawn: then nobody can still complete one through the old translation.
Announcing and clearing are a Dekker pair, and so are filling an entry and invalidating the HPTE:
each side changes its word by a sequentially consistent exchange before it looks at the other's.

With `delayed_c` an entry may owe its HPTE the C bit: hardware may write it back as late as the
tlbie (kernel commit 6c576e74fd91). Whoever makes the entry go pays; a tlbie does so after its wait,
since until then a store may still run into debt.
"""

from strategies.core import atomics
from strategies.core.events import FLUSHES, SHARED_TLBIES, SHARED_WAITS, TLBIES, count
from strategies.core.hpt import va_of_hpte
from strategies.core.hpte import HPTE_R_C, HPTE_R_R, hpte_page_shift
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_bit
from strategies.core.machine import (
    TLB_ENTRIES,
    TLB_OWED_C,
    TLB_WORDS,
    VCPU_ACCESS,
    VCPU_TLB_GENERATION,
    VCPU_WORDS,
)
from strategies.core.words import I64, ONE, U64, ZERO, bit

OWED_LOCK = bit(63)
"""Lock of an entry's debt: who frees an HPTE must not overtake who is about to set its C."""

ANY_HPTE = -1


@inlined
def tlb_tag(va, shift):
    """Return the tag of a page: its address, with the page size in the low bits."""
    return (va >> U64(shift)) << U64(shift) | U64(shift)


@inlined
def tlb_entry(vcpu, va, shift):
    """Return the index in `tlb` of the entry where a vCPU keeps a page."""
    entry = I64((va >> U64(shift)) % U64(TLB_ENTRIES))
    return (vcpu * TLB_ENTRIES + entry) * TLB_WORDS


@inlined
def announce_access(machine, vcpu):
    """Announce an access of a vCPU; return what `withdraw_access` wants."""
    word = vcpu * VCPU_WORDS + VCPU_ACCESS
    sequence = atomics.load(machine.vcpus, word) + ONE
    atomics.exchange(machine.vcpus, word, sequence)
    return sequence


@inlined
def withdraw_access(machine, vcpu, sequence):
    """Say that the announced access is over: its data is touched, or it faults."""
    atomics.store(machine.vcpus, vcpu * VCPU_WORDS + VCPU_ACCESS, sequence + ONE)


@inlined
def wait_until_left(vcpus, word):
    """Wait for who is inside a section, its sequence being odd; return whether anyone was.

    The read is a read-modify-write: with the exchange that enters the section it makes the Dekker
    pair hold under any memory model, not only x86's.
    """
    sequence = atomics.fetch_add(vcpus, word, ZERO)
    if not sequence & ONE:
        return False
    spins = I64(0)
    while atomics.load(vcpus, word) == sequence:
        spins = atomics.relax(spins)
    return True


@inlined
def wait_for_accesses(machine):
    """Wait until every access announced at this moment has withdrawn."""
    for vcpu in range(machine.nvcpus):
        wait_until_left(machine.vcpus, vcpu * VCPU_WORDS + VCPU_ACCESS)


@kernel
def pay_c(tlb, hpt, entry, index, owed):
    """Write C back to HPTE `index` (or ANY_HPTE) if a TLB entry owes it; it then owes `owed`.

    Not inlined, which keeps the registers of accesses free.
    """
    word = entry + TLB_OWED_C
    debt = lock_bit(tlb, word, OWED_LOCK)
    if index == ANY_HPTE or debt == U64(index + 1):
        if debt:
            atomics.fetch_or(hpt, 2 * I64(debt - ONE) + 1, HPTE_R_C)
        debt = owed
    atomics.store(tlb, word, debt)


@kernel
def set_rc_late(tlb, hpt, entry, index, r, needed):
    """Set R in an HPTE and let a TLB entry owe it the C that is `needed`; return dword 1 with both.

    What the entry owed for its translation before is paid.
    """
    owed = U64(index + 1) if needed & ~r & HPTE_R_C else ZERO
    pay_c(tlb, hpt, entry, ANY_HPTE, owed)
    return atomics.fetch_or(hpt, 2 * index + 1, HPTE_R_R) | needed


@kernel
def _fetch_c(tlb, hpt, nvcpus, entry, index):
    """Let the entry of every vCPU, `entry` being that of vCPU 0, pay the C that it owes an HPTE."""
    for vcpu in range(nvcpus):
        pay_c(tlb, hpt, entry + vcpu * TLB_ENTRIES * TLB_WORDS, index, ZERO)


@kernel
def _fetch_every_c(tlb, hpt, entries):
    """Let every entry of every vCPU pay the C that it owes."""
    for entry in range(0, entries * TLB_WORDS, TLB_WORDS):
        if atomics.load(tlb, entry + TLB_OWED_C):
            pay_c(tlb, hpt, entry, ANY_HPTE, ZERO)


@inlined
def fetch_c(machine, v, r, index):
    """Let all TLBs pay the C that they owe an HPTE whose tlbie is complete; arguments as there."""
    if machine.delayed_c:
        shift = hpte_page_shift(v, r)
        entry = tlb_entry(0, va_of_hpte(machine, v, shift, index), shift)
        _fetch_c(machine.tlb, machine.hpt, machine.nvcpus, entry, index)


@inlined
def _clear_entries(machine, v, r, index):
    """Clear the entry of an HPTE in every TLB."""
    shift = hpte_page_shift(v, r)
    va = va_of_hpte(machine, v, shift, index)
    tag = tlb_tag(va, shift)
    for vcpu in range(machine.nvcpus):
        atomics.compare_and_swap(machine.tlb, tlb_entry(vcpu, va, shift), tag, ZERO)


@inlined
def tlbie(machine, cpu, v, r, index):
    """Invalidate the translation of an HPTE in all TLBs: ptesync, tlbie, eieio, tlbsync, ptesync.

    Parameters
    ----------
    cpu : int
        Row of the event counters: a vCPU, or the host (`machine.nvcpus`).
    v, r : uint64
        The HPTE's dwords; in the table it is invalid already.
    index : int
        Its index. The caller holds its lock.
    """
    count(machine, cpu, TLBIES, 1)
    _clear_entries(machine, v, r, index)
    wait_for_accesses(machine)
    fetch_c(machine, v, r, index)


@inlined
def shared_tlbie(machine, cpu, v, r, index):
    """Begin a `tlbie`; `wait_for_shared_tlbies` completes it, and then `fetch_c` is due."""
    count(machine, cpu, SHARED_TLBIES, 1)
    _clear_entries(machine, v, r, index)


@inlined
def wait_for_shared_tlbies(machine, cpu):
    """Complete all tlbies that were begun: one tlbsync and ptesync (`do_tlbies`)."""
    count(machine, cpu, SHARED_WAITS, 1)
    wait_for_accesses(machine)


@inlined
def flush_tlbs(machine, cpu):
    """Invalidate all translations of all vCPUs: entries of an older generation are dead."""
    count(machine, cpu, FLUSHES, 1)
    for vcpu in range(machine.nvcpus):
        atomics.fetch_add(machine.vcpus, vcpu * VCPU_WORDS + VCPU_TLB_GENERATION, ONE)
    wait_for_accesses(machine)
    if machine.delayed_c:
        _fetch_every_c(machine.tlb, machine.hpt, machine.nvcpus * TLB_ENTRIES)
