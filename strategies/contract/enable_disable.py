"""The contract of every tracker that logs: enable, disable."""

from strategies.contract.bench import (
    ABSENT,
    FAULTS,
    PP,
    PP0,
    RWRW,
    RXRX,
    STAMP,
    C,
    M,
    R,
    build,
    changes,
    enter,
    expect,
    hardware,
    harvest,
    hpte_of,
    protect,
    ptel_of,
    read,
    remove,
)
from strategies.contract.clause import PAGE_SHIFTS, clause


@clause
def enable_starts_an_empty_log(strategy):
    vm, tracker = build(strategy, 100, enabled=False)
    vm.store([1, 2], STAMP)
    vm.host_store(3, STAMP)
    expect(remove(vm, hpte_of(vm, 1))[0], 0)
    tracker.enable_logging(0)
    expect(harvest(tracker), set())
    vm.store([2, 4], STAMP)
    expect(harvest(tracker), {2, 4})


@clause
def enable_twice_keeps_the_log(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1], STAMP)
    tracker.enable_logging(0)
    expect(harvest(tracker), {1})


@clause
def disable_and_enable_again_starts_an_empty_log(strategy):
    vm, tracker = build(strategy, 100)
    vm.store([1, 2], STAMP)
    tracker.disable_logging(0)
    vm.store([3], STAMP)
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    expect(harvest(tracker), set())
    vm.store([3, 2], STAMP)
    expect(harvest(tracker), {2, 3})


@clause
def disable_after_a_harvest_and_enable_again(strategy):
    vm, tracker = build(strategy, 100)
    for stamp in range(1, 5):
        vm.store([1, 63, 64], stamp)
        expect(harvest(tracker), {1, 63, 64})
        vm.store([5], stamp)
        tracker.disable_logging(0)
        tracker.enable_logging(0)


@clause(**PAGE_SHIFTS)
def disable_gives_back_the_guests_permissions(strategy, page_shift):
    vm, tracker = build(strategy, 8, page_shift=page_shift, enabled=False)
    rights = {0: RWRW, 1: RXRX, 2: 0, 3: 1, 4: RWRW, 5: 1 << 8 | 2}
    for gfn, flags in rights.items():
        expect(protect(vm, hpte_of(vm, gfn), flags)[0], 0)
    vm.load([4])
    vm.store([0, 3], STAMP)
    guest = [read(vm, hpte_of(vm, gfn)) for gfn in range(8)]
    writable = [gfn for gfn in range(8) if gfn not in (1, 5)]
    tracker.enable_logging(0)
    expect(vm.store(range(8), STAMP), len(writable))
    expect(harvest(tracker), set(writable))
    expect(vm.store(writable[:2], STAMP), 2)
    tracker.disable_logging(0)
    for gfn in range(8):
        v, r = hardware(vm, hpte_of(vm, gfn))
        expect(bool(v & ABSENT), False)
        expect(v, guest[gfn][0])
        expect(r & (PP0 | PP), guest[gfn][1] & (PP0 | PP))
        expect(read(vm, hpte_of(vm, gfn)), guest[gfn])
    before = vm.events()
    expect(vm.store(writable, STAMP), len(writable))
    expect(bool(FAULTS & changes(vm, before).keys()), False)


@clause
def disable_keeps_r_and_c_as_the_guest_sees_them(strategy):
    vm, tracker = build(strategy, 8, populated=False, enabled=False)
    donor, _ = build(strategy, 8)  # its guest enters the same addresses
    indices = [hpte_of(donor, gfn) for gfn in range(8)]
    for gfn, index in enumerate(indices):
        expect(enter(vm, index, read(donor, index)[0], ptel_of(vm, gfn, M | RWRW), 1 << 39)[0], 0)
    tracker.enable_logging(0)
    vm.load([1])
    vm.store([2], STAMP)
    harvest(tracker)
    vm.load([3])
    vm.store([4], STAMP)
    tracker.disable_logging(0)
    got = [read(vm, index)[1] & (R | C) for index in indices]
    expect(got, [0, R, R | C, R, R | C, 0, 0, 0])
