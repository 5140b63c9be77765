"""Losses of the trackers that keep bitmaps: how a harvest takes the log and arms the pages."""

from strategies.core import atomics, hostfault, memslot, protect
from strategies.core.clock import monotonic_ns
from strategies.core.handlers import wait_for_handlers
from strategies.core.hpte import HPTE_R_PERMISSION
from strategies.core.machine import SLOT_ACTIVE, SLOT_BASE_GFN, SLOT_DIRTY, SLOT_WORDS
from strategies.core.memslot import (
    PAGES_PER_WORD,
    bitmap_start,
    clear_log,
    set_log_mode,
    slot_field,
)
from strategies.core.protect import (
    ABSENT,
    READONLY,
    READONLY_TLBIE,
    change_dirty_pages,
    change_slot,
)
from strategies.core.tlb import flush_tlbs
from strategies.core.words import ONE, U64, ZERO
from strategies.explore.defect import Defect
from strategies.fault import double_buffer, write_protect, write_protect_batched
from strategies.history import pte_flush

_mark_pages_dirty = memslot.mark_pages_dirty


def set_permission_by_store(hpt, index, permission):
    """Change the permission by a load and a store, over R and C that are set between them."""
    r = atomics.load(hpt, 2 * index + 1)
    atomics.store(hpt, 2 * index + 1, (r & ~HPTE_R_PERMISSION) | permission)


def protect_then_take(machine, slot, out, words):
    """Make the dirty pages read-only first, then take their bits."""
    start = monotonic_ns()
    clear_log(out, words)
    bitmap = bitmap_start(machine, slot, 0)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        if mask:
            change_dirty_pages(machine, slot, word, mask, READONLY_TLBIE)
            atomics.store_own(out, word, atomics.exchange(machine.bitmap, bitmap + word, ZERO))
    return monotonic_ns() - start


def take_by_plain_store(machine, slot, out, words):
    """Take a word by a load and a store of 0, over what is marked between them."""
    start = monotonic_ns()
    clear_log(out, words)
    bitmap = bitmap_start(machine, slot, 0)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        if mask:
            atomics.store(machine.bitmap, bitmap + word, ZERO)
            change_dirty_pages(machine, slot, word, mask, READONLY_TLBIE)
            atomics.store_own(out, word, mask)
    return monotonic_ns() - start


def protect_without_flush(machine, slot, out, words):
    """Make HPTEs read-only and leave the writable translations in the TLBs."""
    start = monotonic_ns()
    clear_log(out, words)
    bitmap = bitmap_start(machine, slot, 0)
    for word in range(words):
        mask = atomics.exchange(machine.bitmap, bitmap + word, ZERO)
        change_dirty_pages(machine, slot, word, mask, READONLY)
        atomics.store_own(out, word, mask)
    return monotonic_ns() - start


def copy_then_zero(machine, slot, out, words):
    """Copy the bitmap, unmap the slot, flush, and only then clear the bitmap."""
    start = monotonic_ns()
    bitmap = bitmap_start(machine, slot, 0)
    for word in range(words):
        atomics.store_own(out, word, atomics.load(machine.bitmap, bitmap + word))
    change_slot(machine, slot, ABSENT)
    flush_tlbs(machine, machine.nvcpus)
    for word in range(words):
        atomics.store(machine.bitmap, bitmap + word, ZERO)
    return monotonic_ns() - start


def protect_then_switch(machine, slot, out, words):
    """Protect the pages of the active half, flush, and only then switch and hand it over."""
    start = monotonic_ns()
    clear_log(out, words)
    half = slot_field(machine, slot, SLOT_ACTIVE)
    bitmap = bitmap_start(machine, slot, half)
    for word in range(words):
        mask = atomics.load(machine.bitmap, bitmap + word)
        change_dirty_pages(machine, slot, word, mask, READONLY)
    flush_tlbs(machine, machine.nvcpus)
    atomics.exchange(machine.slots, slot * SLOT_WORDS + SLOT_ACTIVE, U64(1 - half))
    wait_for_handlers(machine)
    for word in range(words):
        atomics.store_own(out, word, atomics.exchange(machine.bitmap, bitmap + word, ZERO))
    atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY + half, ZERO)
    return monotonic_ns() - start


def mark_in_one_word(machine, slot, gfn, npages):
    """Mark pages as far as the word goes that has the first one's bit."""
    word_end = gfn - gfn % PAGES_PER_WORD + PAGES_PER_WORD
    return _mark_pages_dirty(machine, slot, gfn, min(npages, word_end - gfn))


def start_logging_without_flush(machine, slot, mode, action):
    """Set the mode, take the permissions, and leave the writable translations in the TLBs."""
    set_log_mode(machine, slot, mode)
    wait_for_handlers(machine)
    change_slot(machine, slot, action)


def start_logging_with_old_marks(machine, slot, mode, action):
    """Start logging as it should be, but with the marks of the log before."""
    set_log_mode(machine, slot, mode)
    wait_for_handlers(machine)
    change_slot(machine, slot, action)
    flush_tlbs(machine, machine.nvcpus)


def switch_without_waiting(machine, slot, out, words):
    """Switch the halves and hand over the old one while a handler may still mark it."""
    start = monotonic_ns()
    clear_log(out, words)
    half = slot_field(machine, slot, SLOT_ACTIVE)
    if slot_field(machine, slot, SLOT_DIRTY + half):
        atomics.exchange(machine.slots, slot * SLOT_WORDS + SLOT_ACTIVE, U64(1 - half))
        double_buffer._hand_over(machine, slot, half, out, words)
        flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


def mark_in_one_count(machine, slot, gfn, npages):
    """Mark pages in the active half, and count those of both halves in one word."""
    half = slot_field(machine, slot, SLOT_ACTIVE)
    start = bitmap_start(machine, slot, half)
    first = gfn - slot_field(machine, slot, SLOT_BASE_GFN)
    for page in range(first, first + npages):
        mask = ONE << U64(page % PAGES_PER_WORD)
        word = start + page // PAGES_PER_WORD
        if not atomics.load(machine.bitmap, word) & mask:
            atomics.fetch_add(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY, ONE)
            atomics.fetch_or(machine.bitmap, word, mask)


def switch_with_one_count(machine, slot, out, words):
    """Switch the halves; the count that is cleared at the end is that of the new half, too."""
    start = monotonic_ns()
    clear_log(out, words)
    half = slot_field(machine, slot, SLOT_ACTIVE)
    if slot_field(machine, slot, SLOT_DIRTY):
        atomics.exchange(machine.slots, slot * SLOT_WORDS + SLOT_ACTIVE, U64(1 - half))
        wait_for_handlers(machine)
        double_buffer._hand_over(machine, slot, half, out, words)
        atomics.store(machine.slots, slot * SLOT_WORDS + SLOT_DIRTY, ZERO)
        flush_tlbs(machine, machine.nvcpus)
    return monotonic_ns() - start


DEFECTS = (
    Defect(
        name="permission-by-load-and-store",
        what="An HPTE becomes read-only in place by a load and a store, over the guest's C.",
        origin="design: disabling leaves R and C intact",
        lived="-",
        program="clean-access-harvest",
        strategy="write_protect_batched",
        replaces=((hostfault.set_permission, set_permission_by_store),),
    ),
    Defect(
        name="protect-then-take",
        what="The harvest protects the pages first; a store then marks and opens one, "
        "and the harvest takes the new mark with the old.",
        origin="60c34612b707 takes each word before it protects its pages",
        lived="-",
        program="store-harvest",
        strategy="write_protect",
        replaces=((write_protect._get_dirty_log, protect_then_take),),
    ),
    Defect(
        name="plain-store-not-exchange",
        what="The harvest loads a word of the bitmap and stores 0 over what was marked meanwhile.",
        origin="60c34612b707 takes each word by xchg",
        lived="-",
        program="pages-harvest",
        strategy="write_protect",
        replaces=((write_protect._get_dirty_log, take_by_plain_store),),
    ),
    Defect(
        name="no-flush",
        what="The harvest ends without the one flush, and a TLB still lets stores through.",
        origin="design: ONE flush ends the harvest",
        lived="-",
        program="store-harvest",
        strategy="write_protect_batched",
        replaces=((write_protect_batched._get_dirty_log, protect_without_flush),),
    ),
    Defect(
        name="copy-then-zero",
        what="Book3S PR copies the bitmap, flushes, and then clears what was marked meanwhile.",
        origin="in the code that the posted patch moves; in kvm_vm_ioctl_get_dirty_log_pr of 2026",
        lived="2011-12 on",
        program="stores-harvests",
        strategy="pte_flush",
        replaces=((pte_flush._get_dirty_log, copy_then_zero),),
    ),
    Defect(
        name="protect-then-switch",
        what="The pages are protected before the bitmaps are switched; a store in between marks "
        "the old one, and stays writable.",
        origin="fixed by edde99ce0529",
        lived="until edde99ce0529",
        program="stores-harvests",
        strategy="double_buffer",
        replaces=((double_buffer._get_dirty_log, protect_then_switch),),
    ),
    Defect(
        name="enable-without-flush",
        what="Logging starts, and a TLB still lets stores through.",
        origin="QEMU's TCG, Launchpad 1371130",
        lived="-",
        program="clean-enable-store",
        strategy="write_protect",
        replaces=((protect.start_logging, start_logging_without_flush),),
    ),
    Defect(
        name="old-marks-in-a-new-log",
        what="Logging starts again, and the marks of the log before are in the new one.",
        origin="design: enabling starts an empty log",
        lived="-",
        program="store,disable+enable@clean",
        strategy="write_protect",
        replaces=((protect.start_logging, start_logging_with_old_marks),),
    ),
    Defect(
        name="large-page-in-one-word",
        what="The bits of a large page are set in one word of the bitmap, not in all of them.",
        origin="design: a large page has its bits in many words",
        lived="-",
        program="large-two-words-harvest",
        strategy="write_protect",
        replaces=((memslot.mark_pages_dirty, mark_in_one_word),),
    ),
    Defect(
        name="no-grace-period",
        what="The harvest takes the old bitmap while a handler that saw it has yet to mark it.",
        origin="synchronize_srcu_expedited of v3.3",
        lived="-",
        program="pages-harvest",
        strategy="double_buffer",
        replaces=((double_buffer._get_dirty_log, switch_without_waiting),),
    ),
    Defect(
        name="one-count-for-two-bitmaps",
        what="One dirty count serves both bitmaps, and is cleared with marks in the new one.",
        origin="design: each bitmap with its own count",
        lived="-",
        program="pages-harvest",
        strategy="double_buffer",
        replaces=(
            (memslot.mark_pages_dirty, mark_in_one_count),
            (double_buffer._get_dirty_log, switch_with_one_count),
        ),
    ),
)
