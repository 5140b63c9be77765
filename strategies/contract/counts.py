"""The contract of every tracker that logs: what its events say of host and guest."""

from strategies.contract.bench import STAMP, WRITTEN, build, changes, expect, harvest
from strategies.contract.clause import clause


def counted(vm, step):
    """Return what a step counted: (the host's events, the guest's)."""
    before = [vm.events(who) for who in ("host", "guest")]
    step()
    return tuple(
        changes(vm, counts, who) for counts, who in zip(before, ("host", "guest"), strict=True)
    )


@clause
def stores_and_loads_are_counted_one_by_one(strategy):
    vm, _ = build(strategy, 100)
    _, stored = counted(vm, lambda: vm.store(WRITTEN * 3, STAMP))
    expect(stored["stores"], 15)
    _, loaded = counted(vm, lambda: vm.load(WRITTEN * 3))
    expect((loaded["loads"], loaded.get("stores", 0)), (15, 0))


@clause
def a_harvest_counts_nothing_for_the_guest(strategy):
    vm, tracker = build(strategy, 100)
    vm.store(WRITTEN, STAMP)
    _, guest = counted(vm, lambda: harvest(tracker))
    expect(guest, {})


@clause
def what_was_paid_for_a_page_is_not_paid_again_before_a_harvest(strategy):
    vm, _ = build(strategy, 100)
    vm.store(WRITTEN, STAMP)
    expect(counted(vm, lambda: vm.store(WRITTEN, STAMP)), ({}, {"stores": 5}))


@clause
def the_first_store_of_all_sets_c_once(strategy):
    vm, _ = build(strategy, 100)
    _, guest = counted(vm, lambda: vm.store(WRITTEN * 2, STAMP))
    expect(guest["changed_bits_set"], 5)


@clause
def events_are_those_of_host_and_guest(strategy):
    vm, tracker = build(strategy, 100, vcpus=3)
    vm.store(WRITTEN, STAMP, vcpus=3)
    vm.host_store(7, STAMP)
    harvest(tracker)
    host, guest = vm.events("host"), vm.events("guest")
    expect(vm.events(), {name: host[name] + guest[name] for name in host})
    expect((guest["stores"], host["host_stores"]), (5, 1))
