"""The host's page-fault handler and the host's own stores (`kvmppc_book3s_hv_page_fault`)."""

from strategies.core import atomics
from strategies.core.events import (
    GUEST_PROTECTION_FAULTS,
    HOST_STORES,
    MAP_FAULTS,
    SPURIOUS_FAULTS,
    UPGRADE_FAULTS,
    WRITE_FAULTS,
    count,
)
from strategies.core.groups import claim, is_open, open_group, opens_pages
from strategies.core.handlers import enter_handler, leave_handler
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
from strategies.core.machine import LOG_C_BIT, LOG_OFF
from strategies.core.memslot import is_write_protected, log_mode, logs_in_fault, slot_of_gfn
from strategies.core.pml import drain_full_log, pml_is_full
from strategies.core.protect import give_permission, set_permission
from strategies.core.rings import log_pages, reap_full_ring, ring_is_full
from strategies.core.rmap import save_rc
from strategies.core.words import I64

RETRY = 0  # the access may be tried again
HASH_MISS = -1  # no HPTE: the guest must enter one
GUEST_PROTECTION = -2  # the guest's own permissions forbid the store


@inlined
def _count_fault(machine, vcpu, mode, v):
    """Count a fault under what caused it."""
    if v & HPTE_V_ABSENT:
        count(machine, vcpu, MAP_FAULTS, 1)
    elif is_write_protected(mode):
        count(machine, vcpu, WRITE_FAULTS, 1)
    else:
        count(machine, vcpu, UPGRADE_FAULTS, 1)


@inlined
def _resolve(machine, vcpu, index, v, is_store):
    """Make the HPTE allow the access, marking its pages when it becomes writable.

    The HPTE lock is held, and the mark comes before the permission: a harvest that takes the mark
    must wait for this lock before it makes the page read-only again. A valid HPTE that is to become
    writable costs a tlbie. Where pages are opened, C is the mark. Returns the status, and
    what was claimed and is to be opened, as `claim` does.
    """
    first = end = I64(0)
    guest_r = atomics.load(machine.rev, 2 * index)
    r = atomics.load(machine.hpt, 2 * index + 1)
    writable = hpte_is_writable(guest_r)
    if is_store and not writable:
        count(machine, vcpu, GUEST_PROTECTION_FAULTS, 1)
        return GUEST_PROTECTION, first, end
    if v & HPTE_V_VALID and (not is_store or hpte_is_writable(r)):
        count(machine, vcpu, SPURIOUS_FAULTS, 1)
        return RETRY, first, end
    shift = hpte_page_shift(v, guest_r)
    gfn = hpte_gfn(machine, guest_r, shift)
    slot = slot_of_gfn(machine, gfn)
    mode = log_mode(machine, slot)
    _count_fault(machine, vcpu, mode, v)
    if writable and (is_store or not is_write_protected(mode)):
        if logs_in_fault(mode):
            log_pages(machine, vcpu, slot, mode, gfn, pages_of(machine, shift))
        if opens_pages(mode) and not is_open(machine, slot, mode, gfn):
            first, end = claim(machine, vcpu, slot, mode, gfn)
        give_permission(machine, vcpu, index, v, guest_r & HPTE_R_PERMISSION)
    else:
        set_permission(machine.hpt, index, hpte_make_readonly(guest_r) & HPTE_R_PERMISSION)
    return RETRY, first, end


@kernel
def handle_fault(machine, vcpu, va, shift, is_store):
    """Resolve a fault of a vCPU as the slot's logging mode says.

    The access has withdrawn and no lock is held. Returns RETRY, HASH_MISS or GUEST_PROTECTION.
    """
    if pml_is_full(machine, vcpu):
        drain_full_log(machine, vcpu)
        return RETRY
    enter_handler(machine, vcpu)
    status, first, end = HASH_MISS, I64(0), I64(0)
    index = find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT)
    if index >= 0:
        v = lock_hpte(machine, vcpu, index)
        status = RETRY
        if index == find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT):
            status, first, end = _resolve(machine, vcpu, index, v, is_store)
            if status == RETRY:
                v = (v & ~HPTE_V_ABSENT) | HPTE_V_VALID
        unlock_hpte(machine.hpt, index, v)
    if first < end:
        open_group(machine, vcpu, first, end)
    leave_handler(machine, vcpu)
    if ring_is_full(machine, vcpu):
        reap_full_ring(machine, vcpu)
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
    elif mode != LOG_OFF:
        log_pages(machine, cpu, slot, mode, gfn, 1)
    leave_handler(machine, cpu)
    if cpu < machine.nvcpus and ring_is_full(machine, cpu):
        reap_full_ring(machine, cpu)
    return True
