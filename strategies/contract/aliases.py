"""The contract of every tracker that logs: several HPTEs on one page."""

from strategies.contract.bench import (
    LARGE,
    RXRX,
    STAMP,
    build,
    expect,
    harvest,
    hpte_of,
    hptes_of,
    protect,
    read,
    remove,
)
from strategies.contract.clause import DELAYED_C, MACHINES, clause
from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_SMALL


@clause(**MACHINES, **DELAYED_C)
def alias_reports_the_page_once(strategy, page_shift, mapping, delayed_c):
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping, delayed_c=delayed_c)
    vm.populate(0, view=VIEW_ALIAS)
    for views in ([VIEW_BASE], [VIEW_ALIAS], [VIEW_BASE, VIEW_ALIAS], [VIEW_ALIAS, VIEW_BASE]):
        for view in views:
            vm.store([1], STAMP, view=view)
        expect(harvest(tracker), {1})
        expect(harvest(tracker), set())


@clause(removed=[0, 1], **DELAYED_C)
def alias_removed_before_the_harvest(strategy, removed, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.populate(0, view=VIEW_ALIAS)
    vm.store([1], STAMP, view=VIEW_BASE)
    vm.store([2], STAMP, view=VIEW_ALIAS)
    for gfn in (1, 2, 3):
        remove(vm, hptes_of(vm, gfn)[removed])
    expect(harvest(tracker), {1, 2})
    vm.store([1], STAMP, view=VIEW_ALIAS)
    vm.store([2], STAMP, view=VIEW_BASE)
    expect(harvest(tracker), {1, 2})


@clause(**DELAYED_C)
def alias_protected_leaves_the_other_writable(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    first = hpte_of(vm, 1)
    vm.populate(0, view=VIEW_ALIAS)
    protect(vm, first, RXRX)
    expect(vm.store([1], STAMP), 0)
    expect(harvest(tracker), set())
    expect(vm.store([1], STAMP, view=VIEW_ALIAS), 1)
    expect(harvest(tracker), {1})


@clause(mapping=["linear", "scattered"], **DELAYED_C)
def small_pages_in_a_64k_page(strategy, mapping, delayed_c):
    vm, tracker = build(strategy, 100, page_shift=16, mapping=mapping, delayed_c=delayed_c)
    vm.populate(0, view=VIEW_SMALL)
    expect(len(hptes_of(vm, 1)), 2)
    expect([bool(read(vm, index)[0] & LARGE) for index in sorted(hptes_of(vm, 1))].count(True), 1)
    vm.store([1, 99], STAMP, view=VIEW_SMALL)
    expect(harvest(tracker), {1, 99})
    vm.store([1, 2], STAMP)
    vm.store([1, 3], STAMP + 1, view=VIEW_SMALL)
    expect(vm.arrays.stamps[[1, 2, 3]].tolist(), [STAMP + 1, STAMP, STAMP + 1])
    expect(harvest(tracker), {1, 2, 3})
    expect(harvest(tracker), set())
