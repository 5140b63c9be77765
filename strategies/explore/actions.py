"""What a thread of a program can do: each action is one call of the real code."""

import errno
from collections.abc import Callable
from dataclasses import dataclass

from strategies.core.guest import H_ENTER_RIGHTS, VIEW_BASE, address_of, touch, view_shift
from strategies.core.h_change import h_clear_mod, h_clear_ref, h_protect
from strategies.core.h_enter import h_enter
from strategies.core.h_remove import h_remove
from strategies.core.hpt import group_of, hpte_v_of
from strategies.core.hpte import (
    HPTE_R_RC,
    HPTE_V_BOLTED,
    HPTE_V_SECONDARY,
    HPTES_PER_GROUP,
    LP_64K,
    PP_RWRW,
    PP_RXRX,
    SHIFT_64K,
)
from strategies.core.papr import H_EXACT
from strategies.core.vcpus import enter_guest, leave_guest
from strategies.core.words import I64, U64, ZERO
from strategies.explore.scheduler import Violation


@dataclass(frozen=True)
class Action:
    """One thing that a thread does.

    Attributes
    ----------
    label : str
    run : callable
        `run(scene, thread, stamp)`, of a guest by the vCPU of that number; a store writes `stamp`,
        which is unique.
    stores : bool
        It may store to a page.
    may_mark : int or None
        Page of which it may leave a mark and no store: its HPTE can go after the fault.
    """

    label: str
    run: Callable
    stores: bool = False
    may_mark: int | None = None


@dataclass(frozen=True)
class Actor:
    """A thread of a program: what it does in turn, as a vCPU of the guest or as the host."""

    is_guest: bool
    actions: tuple[Action, ...]


def guest(*actions):
    """Return a thread that is a vCPU."""
    return Actor(True, actions)


def host(*actions):
    """Return a thread of the host."""
    return Actor(False, actions)


def _label(name, gfn, view):
    return f"{name}({gfn})" if view == VIEW_BASE else f"{name}({gfn}, view {view})"


def store(gfn=0, view=VIEW_BASE):
    """Store to a page, faults and hash misses included."""

    def run(scene, vcpu, stamp):
        if touch(scene.machine, vcpu, view, I64(gfn), True, stamp):
            scene.guest.used(gfn)
            scene.finish(vcpu, gfn, stamp)

    return Action(_label("store", gfn, view), run, stores=True)


def store_through_crowd(gfn=1):
    """Store to the page that `crowd` mapped, through the HPTE that can be evicted."""

    def run(scene, vcpu, stamp):
        address = scene.machine.group_mask + 1
        if touch(scene.machine, vcpu, VIEW_BASE, I64(address), True, stamp):
            scene.finish(vcpu, gfn, stamp)

    return Action(_label("store through a crowd", gfn, VIEW_BASE), run, stores=True, may_mark=gfn)


def load(gfn=0, view=VIEW_BASE):
    """Load from a page."""

    def run(scene, vcpu, _stamp):
        if touch(scene.machine, vcpu, view, I64(gfn), False, ZERO):
            scene.guest.used(gfn)

    return Action(_label("load", gfn, view), run)


def remove(gfn=0, view=VIEW_BASE):
    """H_REMOVE a page's HPTE."""

    def run(scene, vcpu, _stamp):
        h_remove(scene.machine, vcpu, ZERO, U64(scene.hptes[view, gfn]), ZERO)

    return Action(_label("H_REMOVE", gfn, view), run)


def enter(gfn=0, view=VIEW_BASE, *, is_clean=False):
    """H_ENTER a page's HPTE where it was at the start; clean: with R and C clear, unlike Linux."""
    rights = H_ENTER_RIGHTS & ~HPTE_R_RC if is_clean else H_ENTER_RIGHTS

    def run(scene, vcpu, _stamp):
        machine, shift = scene.machine, view_shift(scene.machine, view)
        pteh = hpte_v_of(address_of(machine, view, gfn), shift)
        ptel = U64(gfn << machine.page_shift) | rights
        if shift == SHIFT_64K:
            ptel |= LP_64K
        h_enter(machine, vcpu, H_EXACT, U64(scene.hptes[view, gfn]), pteh, ptel)

    return Action(_label("H_ENTER clean" if is_clean else "H_ENTER", gfn, view), run)


def enter_other(gfn=1):
    """H_ENTER an HPTE of another page where that of page 0 was, at an address that hashes alike."""

    def run(scene, vcpu, _stamp):
        machine, shift = scene.machine, view_shift(scene.machine, VIEW_BASE)
        pteh = hpte_v_of(address_of(machine, VIEW_BASE, machine.group_mask + 1), shift)
        ptel = U64(gfn << machine.page_shift) | H_ENTER_RIGHTS
        h_enter(machine, vcpu, H_EXACT, U64(scene.hptes[VIEW_BASE, 0]), pteh, ptel)

    return Action(f"H_ENTER({gfn}) instead", run)


def crowd(gfn=1, other=2):
    """Unmap page 0 and fill its groups: an HPTE of page `gfn`, and bolted ones of page `other`.

    Their addresses are those of pages that the guest has not, which hash as page 0.
    """

    def run(scene, vcpu, _stamp):
        machine, shift = scene.machine, view_shift(scene.machine, VIEW_BASE)
        h_remove(machine, vcpu, ZERO, U64(scene.hptes[VIEW_BASE, 0]), ZERO)
        va = address_of(machine, VIEW_BASE, 0)
        for number in range(2 * HPTES_PER_GROUP):
            secondary, place = divmod(number, HPTES_PER_GROUP)
            address = (number + 1) * (machine.group_mask + 1)
            pteh = hpte_v_of(address_of(machine, VIEW_BASE, address), shift)
            pteh |= HPTE_V_BOLTED if number else ZERO
            pteh |= HPTE_V_SECONDARY if secondary else ZERO
            index = group_of(machine, va, shift, secondary) + place
            page = other if number else gfn
            ptel = U64(page << machine.page_shift) | H_ENTER_RIGHTS
            h_enter(machine, vcpu, H_EXACT, U64(index), pteh, ptel)

    return Action("crowd", run)


def protect(gfn=0, view=VIEW_BASE, *, writable):
    """H_PROTECT a page's HPTE: read-only, or read and write."""
    rights = PP_RWRW if writable else PP_RXRX

    def run(scene, vcpu, _stamp):
        h_protect(scene.machine, vcpu, rights, U64(scene.hptes[view, gfn]), ZERO)

    return Action(_label(f"H_PROTECT {'rw' if writable else 'ro'}", gfn, view), run)


def clear_mod(gfn=0, view=VIEW_BASE):
    """H_CLEAR_MOD a page's HPTE."""

    def run(scene, vcpu, _stamp):
        h_clear_mod(scene.machine, vcpu, U64(scene.hptes[view, gfn]))

    return Action(_label("H_CLEAR_MOD", gfn, view), run)


def clear_ref(gfn=0, view=VIEW_BASE):
    """H_CLEAR_REF a page's HPTE."""

    def run(scene, vcpu, _stamp):
        h_clear_ref(scene.machine, vcpu, U64(scene.hptes[view, gfn]))

    return Action(_label("H_CLEAR_REF", gfn, view), run)


def run():
    """Begin to run vCPUs: until `stop`, a harvest is not a definitive one."""
    return Action("run", lambda scene, vcpu, _stamp: enter_guest(scene.machine, vcpu))


def stop():
    """Stop the vCPUs that `run` began to run."""
    return Action("stop", lambda scene, vcpu, _stamp: leave_guest(scene.machine, vcpu))


def host_store(gfn=0):
    """Store to a page as the host does."""

    def run(scene, thread, stamp):
        scene.guest.stored_by_host(stamp)
        scene.vm.host_store(gfn, stamp)
        scene.finish(thread, gfn, stamp)

    return Action(f"host store({gfn})", run, stores=True)


def _of_slot(name, slot):
    return f"{name} of slot {slot}" if slot else name


def harvest(slot=0):
    """Harvest the log of a slot and copy the reported pages."""
    return Action(_of_slot("harvest", slot), lambda scene, _vcpu, _stamp: scene.harvest(slot))


def harvest_beside(slot=0):
    """Harvest and copy beside another harvest: a store may be in that one's result, not copied yet.

    So it is beside running vCPUs where the hardware keeps C back. What was lost, the end of the
    schedule tells.
    """
    label = _of_slot("harvest", slot)
    return Action(label, lambda scene, _vcpu, _stamp: scene.harvest_and_copy(slot))


def harvest_word(slot=0):
    """Get the log as a list with room for one word, and copy its pages; others stay in the log."""
    label = _of_slot("harvest one word", slot)
    return Action(label, lambda scene, _vcpu, _stamp: scene.harvest_word(slot))


def get_and_clear(*pages, slot=0):
    """Copy the log, then clear and copy those pages of a slot one after the other, and no other."""
    label = _of_slot(f"copy, clear {pages}", slot)
    return Action(label, lambda scene, _vcpu, _stamp: scene.get_and_clear(slot, pages))


def enable_all_set(slot=0):
    """Start logging with all bits set: no page is copied yet."""
    label = _of_slot("enable, all set", slot)
    return Action(label, lambda scene, _vcpu, _stamp: scene.enable_all_set(slot))


def enable(slot=0):
    """Start logging a slot, then copy all its pages."""
    return Action(_of_slot("enable", slot), lambda scene, _vcpu, _stamp: scene.enable(slot))


def enable_in_vain(slot=0):
    """Ask for a log of a slot by the tracker of another one, while its own logs it: EBUSY."""

    def run(scene, _vcpu, _stamp):
        try:
            scene.trackers[1 - slot].enable_logging(slot)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return
        raise Violation("wrong return code", f"slot {slot} is logged by two trackers")

    return Action(_of_slot("enable, EBUSY", slot), run)


def disable(slot=0):
    """Stop logging a slot."""
    return Action(_of_slot("disable", slot), lambda scene, _vcpu, _stamp: scene.disable(slot))
