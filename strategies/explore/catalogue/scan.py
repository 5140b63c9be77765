"""Losses, and a deadlock, of the scan of C bits (`kvm_test_clear_dirty`)."""

from strategies.core import atomics, changed, papr
from strategies.core.hpt import hpte_gfn, pages_of
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_RC,
    HPTE_V_VALID,
    hpte_is_writable,
    hpte_page_shift,
)
from strategies.core.locks import lock_hpte, lock_rmap, unlock_hpte, unlock_rmap
from strategies.core.memslot import bitmap_start, mark_pages_dirty, slot_of_gfn
from strategies.core.papr import invalidate_hpte
from strategies.core.rmap import RMAP_CHANGED, RMAP_PRESENT, remove_from_ring, ring_head, ring_next
from strategies.core.words import ZERO
from strategies.explore.defect import Defect
from strategies.scan import c_bit_scan

_clear_c = changed.clear_c
_get_dirty_log = c_bit_scan._get_dirty_log
_test_clear_dirty = changed.test_clear_dirty


def get_dirty_log_trusting_c(machine, slot, out, words):
    """Take a C that is clear for the truth although the hardware may keep C in a TLB."""
    return _get_dirty_log(machine, slot, out, words)


def report_first_page_alone(machine, gfn, action):
    """Report the first page of a large page alone."""
    return min(1, _test_clear_dirty(machine, gfn, action))


def report_and_keep_changed(machine, gfn, action):
    """Report a page whose CHANGED is set, and leave it set."""
    changed = atomics.load(machine.rmap, gfn) & RMAP_CHANGED
    npages = _test_clear_dirty(machine, gfn, action)
    atomics.fetch_or(machine.rmap, gfn, changed)
    return npages


def clear_c_of_what_is_writable(machine, index, action):
    """Clear C of an HPTE that permits stores, and take no other for changed."""
    r = atomics.load(machine.hpt, 2 * index + 1)
    if hpte_is_writable(r):
        return _clear_c(machine, index, action)
    unlock_hpte(machine.hpt, index, atomics.load(machine.hpt, 2 * index))
    return 0


def clear_r_with_c(machine, index, _action):
    """Clear R with C in the HPTE, and give the guest's view the C alone."""
    v = atomics.load(machine.hpt, 2 * index)
    r = invalidate_hpte(machine, machine.nvcpus, index, v)
    atomics.store(machine.hpt, 2 * index + 1, r & ~HPTE_R_RC)
    guest_r = atomics.load(machine.rev, 2 * index)
    atomics.store(machine.rev, 2 * index, guest_r | HPTE_R_C)
    unlock_hpte(machine.hpt, index, v)
    return pages_of(machine, hpte_page_shift(v, guest_r))


def clear_c_without_tlbie(machine, index, _action):
    """Clear C in the HPTE and leave it in the TLBs, from which it is never set again."""
    v = atomics.load(machine.hpt, 2 * index)
    npages = 0
    if v & HPTE_V_VALID and atomics.load(machine.hpt, 2 * index + 1) & HPTE_R_C:
        atomics.fetch_and(machine.hpt, 2 * index + 1, ~HPTE_R_C)
        guest_r = atomics.load(machine.rev, 2 * index)
        atomics.store(machine.rev, 2 * index, guest_r | HPTE_R_C)
        npages = pages_of(machine, hpte_page_shift(v, guest_r))
    unlock_hpte(machine.hpt, index, v)
    return npages


def scan_ring_waiting(machine, word, npages, action):
    """Wait for an HPTE lock while holding the rmap lock."""
    if not word & RMAP_PRESENT:
        return -1, npages
    head = index = ring_head(word)
    while True:
        if atomics.load(machine.hpt, 2 * index + 1) & HPTE_R_C:
            lock_hpte(machine, machine.nvcpus, index)
            npages = max(npages, changed.clear_c(machine, index, action))
        index = ring_next(machine.rev, index)
        if index == head:
            return -1, npages


def save_in_bitmap(machine, v, guest_r, r, unlink, index):
    """Mark the page of an HPTE that goes in the log, where `save_in_rmap` marks the rmap."""
    shift = hpte_page_shift(v, guest_r)
    gfn = hpte_gfn(machine, guest_r, shift)
    word = lock_rmap(machine.rmap, gfn)
    if unlink:
        word = remove_from_ring(machine.rev, word, index)
    if r & HPTE_R_C:
        mark_pages_dirty(machine, slot_of_gfn(machine, gfn), gfn, pages_of(machine, shift))
    unlock_rmap(machine.rmap, gfn, word)


def get_dirty_log_after_memset(machine, slot, out, words):
    """Clear the log, scan, and add what was marked in the log since it was cleared."""
    bitmap = bitmap_start(machine, slot, 0)
    for word in range(words):
        atomics.store(machine.bitmap, bitmap + word, ZERO)
    ns = _get_dirty_log(machine, slot, out, words)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        atomics.store_own(out, word, atomics.load_own(out, word) | mask)
    return ns


DEFECTS = (
    Defect(
        name="delayed-c-trusted",
        what="The scan skips a page whose C is clear while the hardware keeps C in a TLB.",
        origin="fixed by 6c576e74fd91, May 2014",
        lived="2011-12 to 2014-05",
        program="in-turn-delayed-c",
        strategy="c_bit_scan",
        replaces=((c_bit_scan._get_definitive_dirty_log, get_dirty_log_trusting_c),),
    ),
    Defect(
        name="large-page-one-bit",
        what="One C speaks for a 16 MiB page, and the scan reports its first page alone.",
        origin="fixed by 687414bebe30, May 2014",
        lived="2011-12 to 2014-05",
        program="in-turn-large",
        strategy="c_bit_scan",
        replaces=((changed.test_clear_dirty, report_first_page_alone),),
    ),
    Defect(
        name="c-cleared-without-tlbie",
        what="The scan clears C in the HPTE, and a TLB that has it set never sets it again.",
        origin="why the posted patch makes the HPTE absent",
        lived="-",
        program="restore-harvest",
        strategy="c_bit_scan",
        replaces=((changed.clear_c, clear_c_without_tlbie),),
    ),
    Defect(
        name="read-only-taken-for-clean",
        what="The scan skips an HPTE that was written to and then made read-only by the guest.",
        origin="9ed5520dd3c9, of x86: dirty lost when an entry becomes read-only",
        lived="-",
        program="in-turn-protect",
        strategy="c_bit_scan",
        replaces=((changed.clear_c, clear_c_of_what_is_writable),),
    ),
    Defect(
        name="changed-not-taken",
        what="The scan reports a page whose CHANGED is set, and does not clear it.",
        origin="kvm_test_clear_dirty of the posted patch clears it",
        lived="-",
        program="in-turn-remove",
        strategy="c_bit_scan",
        replaces=((changed.test_clear_dirty, report_and_keep_changed),),
    ),
    Defect(
        name="r-cleared-with-c",
        what="The scan clears R with C, and the guest is told of C alone.",
        origin="kvm_test_clear_dirty of the posted patch clears C alone",
        lived="-",
        program="clean-access-harvest",
        strategy="c_bit_scan",
        replaces=((changed.clear_c, clear_r_with_c),),
    ),
    Defect(
        name="memset-of-the-log",
        what="H_REMOVE marks the log, not the rmap, and the ioctl clears the log before it scans.",
        origin="why the posted patch has CHANGED in the rmap",
        lived="-",
        program="in-turn-remove",
        strategy="c_bit_scan",
        replaces=(
            (papr.save_in_rmap, save_in_bitmap),
            (c_bit_scan._get_dirty_log, get_dirty_log_after_memset),
        ),
    ),
    Defect(
        name="hpte-lock-awaited-under-rmap-lock",
        what="The scan holds the rmap lock and waits for an HPTE lock, whose holder waits for it.",
        origin="design rule 3; comment of kvm_unmap_rmapp",
        lived="-",
        program="remove-enter-harvest",
        strategy="c_bit_scan",
        replaces=((changed.scan_ring, scan_ring_waiting),),
    ),
)
