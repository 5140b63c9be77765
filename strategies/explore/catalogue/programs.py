"""Programs for defects that no second thread is needed to show: each has one schedule."""

import errno
from contextlib import suppress

import numpy as np

from strategies.core.guest import VIEW_BASE, VIEW_LARGE, VIEW_SMALL, address_of
from strategies.core.h_enter import h_enter
from strategies.core.hpt import hpte_v_of
from strategies.core.hpte import HPTE_R_M, PP_RWRW, SHIFT_4K
from strategies.core.papr import H_EXACT
from strategies.core.words import U64
from strategies.explore.actions import Action, harvest, host, remove, store
from strategies.explore.programs import Program
from strategies.explore.scene import SLOT


def enter_clean():
    """H_ENTER page 0 where it was, with R and C clear, as Linux does not."""

    def run(scene, vcpu, _stamp):
        machine = scene.machine
        pteh = hpte_v_of(address_of(machine, VIEW_BASE, 0), SHIFT_4K)
        index = U64(scene.hptes[VIEW_BASE, 0])
        h_enter(machine, vcpu, H_EXACT, index, pteh, HPTE_R_M | PP_RWRW)

    return Action("H_ENTER clean(0)", run)


def harvest_into_read_only_memory():
    """Ask for the log in a buffer that cannot be written: EFAULT."""

    def run(scene, _vcpu, _stamp):
        out = np.zeros_like(scene.tracker.buffer(SLOT))
        out.flags.writeable = False
        with suppress(OSError):
            scene.tracker.get_dirty_log(SLOT, out)

    return Action(f"harvest, {errno.errorcode[errno.EFAULT]}", run)


PROGRAMS = (
    Program("in-turn", "a store, a harvest, by one thread", (host(store(), harvest()),)),
    Program(
        "in-turn-large",
        "a store through a 16 MiB page, a harvest, by one thread",
        (host(store(1, VIEW_LARGE), harvest()),),
        views=(VIEW_LARGE, VIEW_SMALL),
        page_shift=22,
        pages=4,
    ),
    Program(
        "in-turn-remove",
        "a store, H_REMOVE, a harvest, by one thread",
        (host(store(), remove(), harvest()),),
    ),
    Program(
        "in-turn-enter-clean",
        "a store, H_REMOVE, H_ENTER with C clear, a harvest, by one thread",
        (host(store(), remove(), enter_clean(), harvest()),),
    ),
    Program(
        "in-turn-delayed-c",
        "a store of which C is still in the TLB, a harvest, by one thread",
        (host(store(), harvest()),),
        options={"delayed_c": True},
    ),
    Program(
        "in-turn-bad-buffer",
        "a store, a harvest into an unusable buffer, a harvest, by one thread",
        (host(store(), harvest_into_read_only_memory(), harvest()),),
    ),
)
