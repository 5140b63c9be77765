"""The guest's operations, of which generated programs and those of `unmapped` consist."""

from strategies.core.guest import H_ENTER_RIGHTS, VIEW_BASE, address_of, view_shift
from strategies.core.h_change import h_clear_mod, h_clear_ref, h_protect, h_read
from strategies.core.h_enter import h_enter
from strategies.core.h_remove import (
    BULK_ABSOLUTE,
    BULK_ANDCOND,
    BULK_AVPN,
    BULK_END,
    BULK_RC_SHIFT,
    BULK_REQUEST,
    BULK_SHIFT,
    h_bulk_remove,
    h_remove,
)
from strategies.core.hostfault import GUEST_PROTECTION, RETRY, handle_fault
from strategies.core.hpt import hpte_v_of
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_R,
    HPTE_R_RC,
    HPTE_V_BOLTED,
    HPTES_PER_GROUP,
    PP_RWRW,
    PP_RXRX,
)
from strategies.core.mmu import FAULT, access
from strategies.core.papr import (
    AVPN_MASK,
    H_ANDCOND,
    H_AVPN,
    H_EXACT,
    H_SUCCESS,
    get_gpr,
    set_gpr,
)
from strategies.core.words import I64, U64, ZERO
from strategies.explore.actions import Action
from strategies.explore.parts import (
    DONE,
    FORBIDDEN,
    MISSED,
    Bits,
    Operation,
    Part,
    bits_of,
    place_of,
)

BULK_FAILED = U64(0x10) << BULK_SHIFT


def _named(name, view, gfn=0):
    if view == VIEW_BASE:
        return f"{name}-next" if gfn else name
    return f"{name}{view}"


def _access(scene, vcpu, view, gfn, is_store, stamp):
    """Access a page; where there is no HPTE give up: to enter one is an operation of its own."""
    machine = scene.machine
    va, shift = address_of(machine, view, I64(gfn)), view_shift(machine, view)
    while access(machine, vcpu, va, shift, is_store, stamp) == FAULT:
        status = handle_fault(machine, vcpu, va, shift, is_store)
        if status != RETRY:
            return FORBIDDEN if status == GUEST_PROTECTION else MISSED
    return DONE


def store(view=VIEW_BASE, gfn=0):
    """Store to a page; faults of the host's making included."""

    def run(scene, vcpu, stamp):
        return (_access(scene, vcpu, view, gfn, True, stamp),)

    part = Part("store", place_of(view, gfn), gfn)
    return Operation(_named("store", view, gfn), run, parts=(part,))


def load(view=VIEW_BASE, gfn=0):
    """Load from a page."""

    def run(scene, vcpu, _stamp):
        return (_access(scene, vcpu, view, gfn, False, ZERO),)

    part = Part("load", place_of(view, gfn), gfn)
    return Operation(_named("load", view), run, parts=(part,))


def remove(view=VIEW_BASE, gfn=0):
    """H_REMOVE of what is not bolted: r5 is what it was."""

    def run(scene, vcpu, _stamp):
        machine, index = scene.machine, U64(scene.hptes[view, gfn])
        status = h_remove(machine, vcpu, H_ANDCOND, index, HPTE_V_BOLTED)
        return (bits_of(machine, get_gpr(machine, vcpu, 1)) if status == H_SUCCESS else None,)

    part = Part("remove", place_of(view, gfn), gfn, True)
    return Operation(_named("remove", view), run, parts=(part,))


def remove_other(view=VIEW_BASE, gfn=0):
    """H_REMOVE if the HPTE were another page's, by its AVPN."""

    def run(scene, vcpu, _stamp):
        machine, index = scene.machine, U64(scene.hptes[view, gfn])
        va, shift = address_of(machine, view, gfn), view_shift(machine, view)
        avpn = ~hpte_v_of(va, shift) & AVPN_MASK
        status = h_remove(machine, vcpu, H_AVPN, index, avpn)
        return (bits_of(machine, get_gpr(machine, vcpu, 1)) if status == H_SUCCESS else None,)

    part = Part("remove", place_of(view, gfn), gfn, False)
    return Operation(_named("remove-other", view), run, parts=(part,))


BULK_KINDS = (BULK_ABSOLUTE, BULK_ANDCOND, BULK_AVPN)


def bulk_remove(*views, gfn=0):
    """H_BULK_REMOVE of an HPTE through each view, as it is, if not bolted, or by AVPN."""

    def run(scene, vcpu, _stamp):
        machine = scene.machine
        for k, view in enumerate(views):
            kind = BULK_KINDS[(k + 1) % 3]
            request = (BULK_REQUEST << U64(62)) | kind << BULK_SHIFT
            set_gpr(machine, vcpu, 2 * k, request | U64(scene.hptes[view, gfn]))
            va, shift = address_of(machine, view, gfn), view_shift(machine, view)
            is_by_avpn = kind == BULK_AVPN
            condition = hpte_v_of(va, shift) & AVPN_MASK if is_by_avpn else HPTE_V_BOLTED
            set_gpr(machine, vcpu, 2 * k + 1, condition)
        set_gpr(machine, vcpu, 2 * len(views), BULK_END << U64(62))
        h_bulk_remove(machine, vcpu)
        answers = [get_gpr(machine, vcpu, 2 * k) for k in range(len(views))]
        return tuple(None if a & BULK_FAILED else _bulk_bits(a) for a in answers)

    parts = tuple(Part("remove", place_of(view, gfn), gfn, True) for view in views)
    name = "bulk-remove" + "".join(map(str, views))
    return Operation(name, run, parts=parts, is_in_order=True)


def _bulk_bits(answer):
    """Return R and C of an answer of H_BULK_REMOVE, which says nothing else of the HPTE."""
    rc = answer >> BULK_RC_SHIFT & HPTE_R_RC
    return Bits(bool(rc & HPTE_R_R), bool(rc & HPTE_R_C), None, None)


def _enter(name, flags, rights, view, gfn):
    """Return the operation of an H_ENTER in the place of an HPTE at the start."""
    place = place_of(view, gfn)

    def run(scene, vcpu, _stamp):
        machine, shift = scene.machine, view_shift(scene.machine, view)
        pteh = hpte_v_of(address_of(machine, *place), shift)
        ptel = U64(place[1] << machine.page_shift) | rights
        status = h_enter(machine, vcpu, flags, U64(scene.hptes[place]), pteh, ptel)
        return (status == H_SUCCESS,)

    part = Part("enter", place, place[1], not rights & HPTE_R_RC)
    return Operation(_named(name, view), run, parts=(part,))


def enter(view=VIEW_BASE, gfn=0):
    """H_ENTER as Linux does it, with R and C set, and H_EXACT."""
    return _enter("enter", H_EXACT, H_ENTER_RIGHTS, view, gfn)


def enter_clean(view=VIEW_BASE, gfn=0):
    """H_ENTER with R and C clear, and H_EXACT."""
    return _enter("enter-clean", H_EXACT, H_ENTER_RIGHTS & ~HPTE_R_RC, view, gfn)


def enter_any(view=VIEW_BASE, gfn=0):
    """H_ENTER anywhere in the group; `fill_group` leaves one place."""
    return _enter("enter-any", ZERO, H_ENTER_RIGHTS, view, gfn)


def evict(gfn=1):
    """Store to another page where the group of page 0 is full: evict its HPTE, enter another there.

    As Linux does it: H_REMOVE of what is not bolted, H_ENTER, the store again. The address is that
    of a page that the guest has not, which hashes as page 0.
    """

    def run(scene, vcpu, stamp):
        machine, index = scene.machine, U64(scene.hptes[VIEW_BASE, 0])
        (removed,) = remove().run(scene, vcpu, stamp)
        address, shift = machine.group_mask + 1, view_shift(machine, VIEW_BASE)
        pteh = hpte_v_of(address_of(machine, VIEW_BASE, address), shift)
        ptel = U64(gfn << machine.page_shift) | H_ENTER_RIGHTS
        entered = h_enter(machine, vcpu, H_EXACT, index, pteh, ptel) == H_SUCCESS
        return removed, entered, _access(scene, vcpu, VIEW_BASE, address, True, stamp)

    place = place_of(VIEW_BASE, 0)
    removal = Part("remove", place, 0, True)
    parts = (removal, Part("enter", place, gfn, False), Part("store", place, gfn))
    return Operation("evict", run, parts=parts, is_in_order=True)


def fill_group(gfn=1):
    """Fill the group of page 0, but for its own HPTE's place, with bolted HPTEs of another page.

    Their addresses are those of pages that the guest has not, which hash as page 0.
    """

    def run(scene, vcpu, _stamp):
        machine, shift = scene.machine, view_shift(scene.machine, VIEW_BASE)
        own = scene.hptes[VIEW_BASE, 0]
        first = own - own % HPTES_PER_GROUP
        for index in set(range(first, first + HPTES_PER_GROUP)) - {own}:
            address = (index - first + 1) * (machine.group_mask + 1)
            pteh = hpte_v_of(address_of(machine, VIEW_BASE, address), shift) | HPTE_V_BOLTED
            ptel = U64(gfn << machine.page_shift) | H_ENTER_RIGHTS
            h_enter(machine, vcpu, H_EXACT, U64(index), pteh, ptel)

    return Action("fill group", run)


def protect(view=VIEW_BASE, gfn=0, *, writable):
    """H_PROTECT: read-only, or read and write."""
    rights = PP_RWRW if writable else PP_RXRX

    def run(scene, vcpu, _stamp):
        index = U64(scene.hptes[view, gfn])
        return (h_protect(scene.machine, vcpu, rights, index, ZERO) == H_SUCCESS,)

    name = _named("protect-rw" if writable else "protect-ro", view)
    return Operation(name, run, parts=(Part("protect", place_of(view, gfn), gfn, writable),))


def _telling(kind, call, view, gfn):
    """Return the operation of a hypercall whose r4 is dword 1 as it was."""

    def run(scene, vcpu, _stamp):
        machine = scene.machine
        status = call(machine, vcpu, U64(scene.hptes[view, gfn]))
        return (bits_of(machine, get_gpr(machine, vcpu, 0)) if status == H_SUCCESS else None,)

    name = _named(kind.replace("_", "-"), view)
    return Operation(name, run, parts=(Part(kind, place_of(view, gfn), gfn),))


# The hypercalls are looked up when they are made: a defect may stand in their place.


def clear_mod(view=VIEW_BASE, gfn=0):
    """H_CLEAR_MOD."""
    return _telling("clear_mod", lambda *rest: h_clear_mod(*rest), view, gfn)


def clear_ref(view=VIEW_BASE, gfn=0):
    """H_CLEAR_REF."""
    return _telling("clear_ref", lambda *rest: h_clear_ref(*rest), view, gfn)


def read(view=VIEW_BASE, gfn=0):
    """H_READ."""

    def run(scene, vcpu, _stamp):
        machine = scene.machine
        h_read(machine, vcpu, ZERO, U64(scene.hptes[view, gfn]))
        is_there = get_gpr(machine, vcpu, 0) & U64(1)
        return (bits_of(machine, get_gpr(machine, vcpu, 1)) if is_there else None,)

    part = Part("read", place_of(view, gfn), gfn)
    return Operation(_named("read", view), run, parts=(part,))
