"""Defects that the tests plant: each shows that the explorer notices one kind of failure."""

from strategies.core import atomics, h_change, hostfault, protect, tlb
from strategies.core.hpt import va_of_hpte
from strategies.core.hpte import HPTE_V_HVLOCK, hpte_page_shift
from strategies.core.locks import lock_hpte, lock_rmap, unlock_rmap, wait_hpte_unlocked
from strategies.core.machine import SLOT_ACTIVE, SLOT_BASE_GFN, SLOT_DIRTY, SLOT_WORDS
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    mark_pages_dirty,
    slot_field,
)
from strategies.core.papr import save_in_rmap
from strategies.core.rmap import ring_head
from strategies.core.words import I64, ONE, U64, ZERO, ctz
from strategies.explore.defect import Defect
from strategies.explore.session import find_defect


def tlbie_does_not_wait(machine, cpu, v, r, index):
    shift = hpte_page_shift(v, r)
    va = va_of_hpte(machine, v, shift, index)
    for vcpu in range(machine.nvcpus):
        entry = tlb.tlb_entry(vcpu, va, shift)
        atomics.compare_and_swap(machine.tlb, entry, tlb.tlb_tag(va, shift), ZERO)


def host_store_marks_first(machine, cpu, gfn, stamp):
    hostfault.enter_handler(machine, cpu)
    mark_pages_dirty(machine, 0, gfn, 1)
    atomics.store(machine.stamps, gfn, stamp)
    hostfault.leave_handler(machine, cpu)
    return True


def save_without_unlinking(machine, v, guest_r, r, unlink, index):
    save_in_rmap(machine, v, guest_r, r, False, index)


def clear_mod_forgets_its_lock(machine, vcpu, pte_index):
    lock_hpte(machine, vcpu, I64(pte_index))


def waits_for_an_hpte_under_the_rmap_lock(machine, gfn, action):
    word = lock_rmap(machine.rmap, gfn)
    lock_hpte(machine, machine.nvcpus, ring_head(word))
    protect._apply(machine, ring_head(word), action)
    unlock_rmap(machine.rmap, gfn, word)


def spins_without_relax(machine, cpu, index):
    while atomics.load(machine.hpt, 2 * index) & HPTE_V_HVLOCK:
        pass


def h_protect_fails(machine, vcpu, flags, pte_index, avpn):
    raise OverflowError("planted")


def planted(program, strategy, original, instead):
    return Defect(instead.__name__, "planted", "-", "-", program, strategy, ((original, instead),))


PLANTED = {
    "dead translation": planted("store-remove", "c_bit_scan", tlb.tlbie, tlbie_does_not_wait),
    "lost page": planted(
        "host-store-harvest", "write_protect", hostfault.host_store, host_store_marks_first
    ),
    "broken ring": planted(
        "alias-remove-harvest", "pte_flush", save_in_rmap, save_without_unlinking
    ),
    "lock held": planted(
        "store-clear-mod", "double_buffer", h_change.h_clear_mod, clear_mod_forgets_its_lock
    ),
    "deadlock": planted(
        "remove-enter-harvest",
        "write_protect",
        protect.change_page,
        waits_for_an_hpte_under_the_rmap_lock,
    ),
    "livelock": planted(
        "remove-enter-harvest", "c_bit_scan", wait_hpte_unlocked, spins_without_relax
    ),
    "error": planted("protect-harvest", "write_protect", h_change.h_protect, h_protect_fails),
}
PLANTED |= {
    kind: find_defect(name)
    for kind, name in (
        ("spurious page", "changed-not-taken"),
        ("guest's C lost", "permission-by-load-and-store"),
        ("guest's R lost", "r-cleared-with-c"),
        ("wrong return code", "absent-is-not-found"),
    )
}


def arms_no_large_page_again(machine, slot, number, mask, action):
    first = slot_field(machine, slot, SLOT_BASE_GFN) + number * PAGES_PER_WORD
    while mask:
        protect.change_page(machine, machine.nvcpus, first + ctz(mask), action)
        mask &= mask - ONE


def marks_before_it_counts(machine, slot, gfn, npages):
    half = slot_field(machine, slot, SLOT_ACTIVE)
    word = bitmap_start(machine, slot, half)
    mask = ONE << U64(gfn - slot_field(machine, slot, SLOT_BASE_GFN))
    if not atomics.fetch_or(machine.bitmap, word, mask) & mask:
        atomics.fetch_add(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY + half, ONE)


_MARK = (mark_pages_dirty, marks_before_it_counts)
_ARM = (protect.change_dirty_pages, arms_no_large_page_again)
SUBTLE = {
    "a store through a large page in mid-harvest": planted(
        "large-two-words-harvest", "write_protect_batched", *_ARM
    ),
    "a marker held up before its count": planted("aliases-harvest", "double_buffer", *_MARK),
    "the host held up before its count": planted(
        "store-host-store-harvest", "double_buffer", *_MARK
    ),
}
"""Losses that this machine once had, and that only a rare schedule shows."""
