"""The contract of every tracker that logs: what the guest sees."""

import numpy as np

from strategies import registry
from strategies.contract.bench import (
    RWRW,
    RXRX,
    STAMP,
    M,
    build,
    clear_mod,
    clear_ref,
    enter,
    expect,
    harvest,
    hpte_of,
    overwrite,
    protect,
    ptel_of,
    read,
    remove,
)
from strategies.contract.clause import clause


def views_of_a_run(strategy):
    """All present HPTEs, as H_READ shows them, after each step of a guest's life."""
    vm, tracker = build(strategy, 40, populated=False, enabled=False, vcpus=2)
    views = []

    def look():
        present = np.flatnonzero(vm.arrays.hpt[::2] & np.uint64(0x21))
        views.append({int(index): read(vm, int(index)) for index in present})

    vm.populate(0)
    for gfn in range(0, 40, 2):
        index = hpte_of(vm, gfn)
        v, _ = read(vm, index)
        remove(vm, index)
        enter(vm, index, v, ptel_of(vm, gfn, M | RWRW), 1 << 39)
    vm.store([0, 1], STAMP, vcpus=2)
    look()
    for _ in range(2):
        tracker.enable_logging(0)
        for first in range(0, 40, 5):
            look()
            vm.load(range(first, first + 4))
            vm.store([first, first + 1, 2, 3], STAMP, vcpus=2)
            look()
            protect(vm, hpte_of(vm, first), RXRX)
            clear_mod(vm, hpte_of(vm, first + 1))
            vm.store([first + 1, first], STAMP)
            harvest(tracker) if strategy != registry.BASELINE else None
            look()
            clear_mod(vm, hpte_of(vm, 2))
            overwrite(vm, first + 4, first + 4)
            protect(vm, hpte_of(vm, first), RWRW)
            clear_ref(vm, hpte_of(vm, 39))
            vm.store([first + 4], STAMP)
        tracker.disable_logging(0)
        look()
    return views


@clause
def logging_does_not_show_in_h_read(strategy):
    expect(views_of_a_run(strategy), views_of_a_run(registry.BASELINE))
