"""Losses of the host's fault handler and of its own stores."""

from strategies.core import atomics, hostfault
from strategies.core.events import HOST_STORES, count
from strategies.core.hostfault import (
    HASH_MISS,
    RETRY,
    enter_handler,
    give_permission,
    leave_handler,
)
from strategies.core.hpt import find_hpte, hpte_gfn
from strategies.core.hpte import (
    HPTE_R_PERMISSION,
    HPTE_R_RC,
    HPTE_V_ABSENT,
    HPTE_V_VALID,
    hpte_page_shift,
)
from strategies.core.locks import lock_hpte, unlock_hpte
from strategies.core.memslot import mark_pages_dirty, slot_of_gfn
from strategies.core.papr import invalidate_hpte
from strategies.explore.defect import Defect


def host_store_unseen(machine, cpu, gfn, stamp):
    """Store as the host, and tell the log nothing."""
    if slot_of_gfn(machine, gfn) < 0:
        return False
    count(machine, cpu, HOST_STORES, 1)
    atomics.store(machine.stamps, gfn, stamp)
    return True


def _mark(machine, index):
    """Mark the base page of an HPTE."""
    v, r = atomics.load(machine.hpt, 2 * index), atomics.load(machine.rev, 2 * index)
    gfn = hpte_gfn(machine, r, hpte_page_shift(v, r))
    mark_pages_dirty(machine, slot_of_gfn(machine, gfn), gfn, 1)


def _make_writable(machine, vcpu, index):
    """Give an HPTE the guest's permissions, under its lock."""
    v = lock_hpte(machine, vcpu, index)
    r = atomics.load(machine.rev, 2 * index)
    give_permission(machine, vcpu, index, v, r & HPTE_R_PERMISSION)
    unlock_hpte(machine.hpt, index, v)


def handle_fault_marking_first(machine, vcpu, va, shift, _is_store):
    """Mark the page, then lock the HPTE and make it writable."""
    index = find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT)
    if index < 0:
        return HASH_MISS
    enter_handler(machine, vcpu)
    _mark(machine, index)
    _make_writable(machine, vcpu, index)
    leave_handler(machine, vcpu)
    return RETRY


def handle_fault_marking_last(machine, vcpu, va, shift, _is_store):
    """Make the HPTE writable and release its lock, then mark the page."""
    index = find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT)
    if index < 0:
        return HASH_MISS
    enter_handler(machine, vcpu)
    _make_writable(machine, vcpu, index)
    _mark(machine, index)
    leave_handler(machine, vcpu)
    return RETRY


def handle_fault_of_what_is_present(machine, vcpu, va, shift, is_store):
    """Find the HPTE, lock it, and resolve the fault of whatever is there then."""
    index = find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT)
    if index < 0:
        return HASH_MISS
    enter_handler(machine, vcpu)
    v, status = lock_hpte(machine, vcpu, index), RETRY
    if v & (HPTE_V_VALID | HPTE_V_ABSENT):
        status, *_ = hostfault._resolve(machine, vcpu, index, v, is_store)
        v = (v & ~HPTE_V_ABSENT) | HPTE_V_VALID
    unlock_hpte(machine.hpt, index, v)
    leave_handler(machine, vcpu)
    return status


def give_permission_alone(machine, cpu, index, v, permission):
    """Invalidate a valid HPTE and install a new dword 1, without the R and C of the old one."""
    r = invalidate_hpte(machine, cpu, index, v)
    new = (r & ~(HPTE_R_PERMISSION | HPTE_R_RC)) | permission
    atomics.store(machine.hpt, 2 * index + 1, new)


DEFECTS = (
    Defect(
        name="host-store-not-logged",
        what="The host writes a page itself (a VPA, H_PAGE_INIT), and no HPTE has a C to show it.",
        origin="fixed for VPAs by c35635efdc03, April 2013",
        lived="2011-12 to 2013-04",
        program="host-store-harvest",
        strategy="c_bit_scan",
        replaces=((hostfault.host_store, host_store_unseen),),
    ),
    Defect(
        name="mark-before-the-lock",
        what="The handler marks the page before it locks the HPTE that it makes writable.",
        origin="design: marked while the HPTE lock is held",
        lived="-",
        program="store-harvest",
        strategy="write_protect",
        replaces=((hostfault.handle_fault, handle_fault_marking_first),),
    ),
    Defect(
        name="mark-after-the-lock",
        what="The handler marks the page after it released the HPTE that it made writable.",
        origin="design: marked while the HPTE lock is held",
        lived="-",
        program="stores-harvest",
        strategy="write_protect",
        replaces=((hostfault.handle_fault, handle_fault_marking_last),),
    ),
    Defect(
        name="presence-for-identity",
        what="The handler marks and opens whatever HPTE is in the place where it found its own.",
        origin="kvmppc_book3s_hv_page_fault checks the HPTE again once it has locked it",
        lived="-",
        program="store-replaced",
        strategy="write_protect",
        replaces=((hostfault.handle_fault, handle_fault_of_what_is_present),),
    ),
    Defect(
        name="fault-forgets-c",
        what="The handler installs a new dword 1 over the C of an HPTE that H_PROTECT made "
        "read-only.",
        origin='"don\'t lose previous R and C bits" of kvmppc_book3s_hv_page_fault',
        lived="-",
        program="protect-harvest",
        strategy="c_bit_scan",
        replaces=((hostfault.give_permission, give_permission_alone),),
    ),
)
