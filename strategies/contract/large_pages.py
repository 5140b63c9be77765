"""The contract of every tracker that logs: large pages."""

import numpy as np

from strategies.contract.bench import (
    RWRW,
    RXRX,
    STAMP,
    build_large,
    clear_mod,
    enter,
    expect,
    harvest,
    hpte_of,
    hptes_of,
    large_page,
    protect,
    read,
    remove,
    reports_reads,
)
from strategies.contract.clause import DELAYED_C, MACHINES, PAGE_SHIFTS, clause
from strategies.core.guest import VIEW_LARGE


@clause(**MACHINES, **DELAYED_C)
def large_page_reports_all_its_pages(strategy, page_shift, mapping, delayed_c):
    vm, tracker = build_large(strategy, page_shift, mapping=mapping, delayed_c=delayed_c)
    gfn = max(large_page(vm, 1)) - 70
    vm.store([gfn], STAMP, view=VIEW_LARGE)
    expect(np.flatnonzero(vm.arrays.stamps).tolist(), [gfn])
    expect(harvest(tracker), large_page(vm, 1))
    expect(harvest(tracker), set())


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_stored_again_between_and_after_harvests(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, vcpus=2, delayed_c=delayed_c)
    for stamp, gfn in enumerate([0, 1, 64, 130, 255, 0], start=1):
        vm.store([gfn], stamp, view=VIEW_LARGE)
        expect(harvest(tracker), large_page(vm))
        vm.store([gfn + 256, gfn, gfn + 1], stamp, view=VIEW_LARGE, vcpus=2)
        vm.store([gfn], stamp, view=VIEW_LARGE, vcpu=1)
        both = large_page(vm) | (large_page(vm, 1) if page_shift == 16 else set())
        expect(harvest(tracker), both)
    expect(harvest(tracker), set())


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_read(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.load([5], view=VIEW_LARGE)
    expect(harvest(tracker), large_page(vm) if reports_reads(strategy) else set())


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_with_base_pages_on_the_same_memory(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.populate(0)
    vm.store([0, 70], STAMP)
    expect(harvest(tracker), {0, 70})
    vm.store([3], STAMP, view=VIEW_LARGE)
    expect(harvest(tracker), large_page(vm))
    vm.store([70], STAMP)
    vm.store([71], STAMP, view=VIEW_LARGE)
    vm.store([72], STAMP)
    expect(harvest(tracker), large_page(vm))
    vm.store([72], STAMP)
    expect(harvest(tracker), {72})
    vm.store([255], STAMP, view=VIEW_LARGE)
    vm.store([3], STAMP)
    expect(harvest(tracker), large_page(vm))
    expect(harvest(tracker), set())


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_dirty_by_a_base_page_only_is_protected_again(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.populate(0)
    vm.store([200], STAMP, view=VIEW_LARGE)
    vm.store([201], STAMP)
    harvest(tracker)
    vm.store([201], STAMP)
    expect(harvest(tracker), {201})
    vm.store([201], STAMP, view=VIEW_LARGE)
    expect(harvest(tracker), large_page(vm))


@clause(**PAGE_SHIFTS, is_entered_again=[False, True], **DELAYED_C)
def large_page_removed_before_the_harvest(strategy, page_shift, is_entered_again, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.store([77], STAMP, view=VIEW_LARGE)
    index = hpte_of(vm, 0)
    v, r = read(vm, index)
    remove(vm, index)
    if is_entered_again:
        enter(vm, index, v, r, 1 << 39)
    expect(harvest(tracker), large_page(vm))
    expect(harvest(tracker), set())
    vm.store([78], STAMP, view=VIEW_LARGE)
    expect(harvest(tracker), large_page(vm))


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_replaced_by_base_pages_before_the_harvest(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.store([77], STAMP, view=VIEW_LARGE)
    remove(vm, hpte_of(vm, 0))
    vm.populate(0)
    vm.store([0], STAMP)
    remove(vm, hptes_of(vm, 0)[0])  # CHANGED of one page must not hide that of the large one
    expect(harvest(tracker), large_page(vm))
    vm.store([0, 77], STAMP)
    expect(harvest(tracker), {0, 77})


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_removed_and_harvested_leaves_base_pages_alone(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.store([77], STAMP, view=VIEW_LARGE)
    remove(vm, hpte_of(vm, 0))
    expect(harvest(tracker), large_page(vm))
    vm.populate(0)
    vm.store([0], STAMP)
    remove(vm, hpte_of(vm, 0))
    expect(harvest(tracker), {0})


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_protected_and_c_cleared_before_the_harvest(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    index = hpte_of(vm, 0)
    vm.store([77], STAMP, view=VIEW_LARGE)
    clear_mod(vm, index)
    protect(vm, index, RXRX)
    expect(vm.store([78], STAMP, view=VIEW_LARGE), 0)
    expect(harvest(tracker), large_page(vm))
    protect(vm, index, RWRW)
    expect(harvest(tracker), set())
    expect(vm.store([78], STAMP, view=VIEW_LARGE), 1)
    expect(harvest(tracker), large_page(vm))


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_stored_to_by_the_host_reports_one_page(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.host_store(0, STAMP)
    vm.host_store(99, STAMP)
    expect(harvest(tracker), {0, 99})
    vm.store([5], STAMP, view=VIEW_LARGE)
    vm.host_store(0, STAMP)
    expect(harvest(tracker), large_page(vm))


@clause(**PAGE_SHIFTS, **DELAYED_C)
def large_page_enabled_again(strategy, page_shift, delayed_c):
    vm, tracker = build_large(strategy, page_shift, delayed_c=delayed_c)
    vm.store([5], STAMP, view=VIEW_LARGE)
    tracker.disable_logging(0)
    vm.store([6], STAMP, view=VIEW_LARGE)
    tracker.enable_logging(0)
    expect(harvest(tracker), set())
    vm.store([6], STAMP, view=VIEW_LARGE)
    expect(harvest(tracker), large_page(vm))
