"""The host's page-fault handler and the host's own stores (`kvmppc_book3s_hv_page_fault`)."""

from strategies.core import atomics
from strategies.core.events import (
    GRACE_WAITS,
    GUEST_PROTECTION_FAULTS,
    HOST_STORES,
    MAP_FAULTS,
    SPURIOUS_FAULTS,
    UPGRADE_FAULTS,
    WRITE_FAULTS,
    count,
)
from strategies.core.hpt import find_hpte, hpte_gfn, pages_of
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_PERMISSION,
    HPTE_V_ABSENT,
    HPTE_V_VALID,
    hpte_is_writable,
    hpte_make_readonly,
    hpte_page_shift,
)
from strategies.core.jit import inlined, kernel
from strategies.core.locks import lock_hpte, lock_rmap, unlock_hpte, unlock_rmap
from strategies.core.machine import LOG_C_BIT, LOG_WRITE_PROTECT, VCPU_HANDLER, VCPU_WORDS
from strategies.core.memslot import log_mode, mark_pages_dirty, marks_bitmap, slot_of_gfn
from strategies.core.papr import invalidate_hpte
from strategies.core.rmap import save_rc
from strategies.core.tlb import wait_until_left
from strategies.core.words import ONE

RETRY = 0  # the access may be tried again
HASH_MISS = -1  # no HPTE: the guest must enter one
GUEST_PROTECTION = -2  # the guest's own permissions forbid the store


@inlined
def enter_handler(machine, cpu):
    """Enter the section in which a row of `vcpus` may mark pages (srcu_read_lock)."""
    atomics.fetch_add(machine.vcpus, cpu * VCPU_WORDS + VCPU_HANDLER, ONE)


@inlined
def leave_handler(machine, cpu):
    """Leave the section that `enter_handler` entered."""
    atomics.fetch_add(machine.vcpus, cpu * VCPU_WORDS + VCPU_HANDLER, ONE)


@inlined
def wait_for_handlers(machine):
    """Wait out a grace period: who is inside a handler section now has left (synchronize_srcu)."""
    for cpu in range(machine.nvcpus + 1):
        if wait_until_left(machine.vcpus, cpu * VCPU_WORDS + VCPU_HANDLER):
            count(machine, machine.nvcpus, GRACE_WAITS, 1)


@inlined
def set_permission(hpt, index, permission):
    """Change the permission bits of dword 1 while the hardware may be setting R and C."""
    while True:
        r = atomics.load(hpt, 2 * index + 1)
        new = (r & ~HPTE_R_PERMISSION) | permission
        if atomics.compare_and_swap(hpt, 2 * index + 1, r, new) == r:
            return


@inlined
def give_permission(machine, cpu, index, v, permission):
    """Give a locked HPTE its permission bits; R and C stay as the hardware made them.

    As `kvmppc_book3s_hv_page_fault` does, a valid HPTE is made absent first, with a tlbie, and R
    and C are those of dword 1 after it. An absent one may yet get R and C, from an access that
    found it valid: who made it absent may have left the flush for later.
    """
    if v & HPTE_V_VALID:
        r = invalidate_hpte(machine, cpu, index, v)
        atomics.store(machine.hpt, 2 * index + 1, (r & ~HPTE_R_PERMISSION) | permission)
    else:
        set_permission(machine.hpt, index, permission)


@inlined
def _count_fault(machine, vcpu, mode, v):
    """Count a fault under what caused it."""
    if v & HPTE_V_ABSENT:
        count(machine, vcpu, MAP_FAULTS, 1)
    elif mode == LOG_WRITE_PROTECT:
        count(machine, vcpu, WRITE_FAULTS, 1)
    else:
        count(machine, vcpu, UPGRADE_FAULTS, 1)


@inlined
def _resolve(machine, vcpu, index, v, is_store):
    """Make the HPTE allow the access, marking its pages when it becomes writable.

    The HPTE lock is held, and the mark comes before the permission: a harvest that takes the mark
    must wait for this lock before it makes the page read-only again. A valid HPTE that is to become
    writable costs a tlbie.
    """
    guest_r = atomics.load(machine.rev, 2 * index)
    r = atomics.load(machine.hpt, 2 * index + 1)
    writable = hpte_is_writable(guest_r)
    if is_store and not writable:
        count(machine, vcpu, GUEST_PROTECTION_FAULTS, 1)
        return GUEST_PROTECTION
    if v & HPTE_V_VALID and (not is_store or hpte_is_writable(r)):
        count(machine, vcpu, SPURIOUS_FAULTS, 1)
        return RETRY
    shift = hpte_page_shift(v, guest_r)
    gfn = hpte_gfn(machine, guest_r, shift)
    slot = slot_of_gfn(machine, gfn)
    mode = log_mode(machine, slot)
    _count_fault(machine, vcpu, mode, v)
    if writable and (is_store or mode != LOG_WRITE_PROTECT):
        if marks_bitmap(mode):
            mark_pages_dirty(machine, slot, gfn, pages_of(machine, shift))
        give_permission(machine, vcpu, index, v, guest_r & HPTE_R_PERMISSION)
    else:
        set_permission(machine.hpt, index, hpte_make_readonly(guest_r) & HPTE_R_PERMISSION)
    return RETRY


@kernel
def handle_fault(machine, vcpu, va, shift, is_store):
    """Resolve a fault of a vCPU as the slot's logging mode says.

    The access has withdrawn and no lock is held. Returns RETRY, HASH_MISS or GUEST_PROTECTION.
    """
    enter_handler(machine, vcpu)
    status = HASH_MISS
    index = find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT)
    if index >= 0:
        v = lock_hpte(machine, vcpu, index)
        status = RETRY
        if index == find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT):
            status = _resolve(machine, vcpu, index, v, is_store)
            if status == RETRY:
                v = (v & ~HPTE_V_ABSENT) | HPTE_V_VALID
        unlock_hpte(machine.hpt, index, v)
    leave_handler(machine, vcpu)
    return status


@kernel
def host_store(machine, cpu, gfn, stamp):
    """Store into a page as the host does (H_PAGE_INIT, a VPA): no HPTE sees it, the log must.

    `cpu` is the row of the thread that does it, one at a time: a vCPU's, or the host's
    (`machine.nvcpus`).
    The data comes before the mark: a harvest that took the mark first would have the old data
    copied and the new one lost. It is an exchange: were it a store, a CPU could look at the mark
    first, see one that a harvest is about to take, and make none.

    Returns False when no slot holds the page.
    """
    slot = slot_of_gfn(machine, gfn)
    if slot < 0:
        return False
    count(machine, cpu, HOST_STORES, 1)
    enter_handler(machine, cpu)
    atomics.exchange(machine.stamps, gfn, stamp)
    mode = log_mode(machine, slot)
    if mode == LOG_C_BIT:
        word = lock_rmap(machine.rmap, gfn)
        unlock_rmap(machine.rmap, gfn, save_rc(word, HPTE_R_C, 0))
    elif marks_bitmap(mode):
        mark_pages_dirty(machine, slot, gfn, 1)
    leave_handler(machine, cpu)
    return True
