"""Programs for defects that no second thread is needed to show: each has one schedule."""

import errno
from contextlib import suppress

import numpy as np

from strategies.core.guest import VIEW_LARGE, VIEW_SMALL
from strategies.explore.actions import (
    Action,
    disable,
    enable,
    enter,
    get_and_clear,
    harvest,
    host,
    protect,
    remove,
    store,
)
from strategies.explore.host_operations import unmap
from strategies.explore.parts import SLOT
from strategies.explore.program import Program


def harvest_into_read_only_memory():
    """Ask for the log in a buffer that cannot be written: EFAULT."""

    def run(scene, _vcpu, _stamp):
        out = np.zeros_like(scene.trackers[SLOT].buffer(SLOT))
        out.flags.writeable = False
        with suppress(OSError):
            scene.trackers[SLOT].get_dirty_log(SLOT, out)

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
        "in-turn-protect",
        "a store, H_PROTECT to read-only, a harvest, by one thread",
        (host(store(), protect(writable=False), harvest()),),
    ),
    Program(
        "in-turn-enter-clean",
        "a store, H_REMOVE, H_ENTER with C clear, a harvest, by one thread",
        (host(store(), remove(), enter(is_clean=True), harvest()),),
    ),
    Program(
        "in-turn-delayed-c",
        "a store of which C is still in the TLB, a harvest, by one thread",
        (host(store(), harvest()),),
        options={"delayed_c": True},
    ),
    Program(
        "in-turn-two",
        "stores to two pages, a harvest, by one thread",
        (host(store(0), store(1), harvest()),),
        pages=2,
        strategies=("pml:1",),
    ),
    Program(
        "in-turn-enter-again",
        "a store, H_REMOVE, a harvest, H_ENTER, a store, a harvest, by one thread",
        (host(store(), remove(), harvest(), enter(), store(), harvest()),),
    ),
    Program(
        "in-turn-section",
        "stores to two pages, a copy of the log and a clear of one of them, by one thread",
        (host(store(0), store(1), get_and_clear(0)),),
        pages=2,
        strategies=("manual_protect",),
    ),
    Program(
        "in-turn-many",
        "as many stores as a ring has entries, and a few, a harvest, by one thread",
        (host(*map(store, range(70)), harvest()),),
        pages=70,
        strategies=("dirty_ring:66",),
        step_limit=25000,
    ),
    Program(
        "in-turn-slots",
        "stores in two slots and harvests of each, by one thread",
        (host(store(0), harvest(0), store(0), store(1), harvest(1), harvest(0)),),
        pages=2,
        slots=2,
    ),
    Program(
        "in-turn-slots-start",
        "a store in one slot, the other's log starts, a harvest, by one thread",
        (host(store(1), enable(0), harvest(1)),),
        pages=2,
        slots=2,
        enabled=False,
        before=((0, enable(1)),),
    ),
    Program(
        "in-turn-slots-stop",
        "the log of one slot stops, a store in the other, a harvest, by one thread",
        (host(disable(0), store(1), harvest(1)),),
        pages=2,
        slots=2,
    ),
    Program(
        "in-turn-slots-apart",
        "the log of one slot starts, that of the other by another tracker, by one thread",
        (host(enable(0), enable(1)),),
        pages=2,
        slots=2,
        second="write_protect",
        enabled=False,
    ),
    Program(
        "in-turn-unmap",
        "a store, the page taken away, a harvest, by one thread",
        (host(store(), unmap(), harvest()),),
    ),
    Program(
        "in-turn-bad-buffer",
        "a store, a harvest into an unusable buffer, a harvest, by one thread",
        (host(store(), harvest_into_read_only_memory(), harvest()),),
    ),
)
