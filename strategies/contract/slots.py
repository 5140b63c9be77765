"""The contract of every tracker that logs: slots."""

from strategies import registry
from strategies.contract.bench import STAMP, build, changes, expect, harvest
from strategies.contract.clause import clause
from strategies.core.machine import MAX_SLOTS
from strategies.core.vm import Vm


@clause
def slots_have_each_their_own_log(strategy):
    vm = Vm(40 * MAX_SLOTS)
    tracker = registry.get(strategy)(vm)
    slots = [vm.add_memslot(3 + 40 * k, 1 + k) for k in range(MAX_SLOTS)]
    for slot in slots:
        vm.populate(slot)
        tracker.enable_logging(slot)
    last_pages = {slot: sum(vm.slots[slot]) - 1 for slot in slots}
    vm.store(sorted(last_pages.values()), STAMP)
    for slot in reversed(slots):
        expect(harvest(tracker, slot), {last_pages[slot]})
    vm.store([last_pages[9]], STAMP)
    for slot in slots:
        expect(harvest(tracker, slot), {last_pages[slot]} if slot == 9 else set())


@clause
def slots_that_share_a_word_of_gfns_do_not_share_a_log(strategy):
    vm = Vm(100)
    tracker = registry.get(strategy)(vm)
    for base, npages in ((10, 20), (30, 3), (33, 67)):
        slot = vm.add_memslot(base, npages)
        vm.populate(slot)
        tracker.enable_logging(slot)
    vm.store([29, 30, 32, 33], STAMP)
    expect(harvest(tracker, 1), {30, 32})
    vm.store([30, 34], STAMP)
    expect([harvest(tracker, slot) for slot in range(3)], [{29}, {30}, {33, 34}])


@clause
def slot_that_is_not_logged_costs_nothing(strategy):
    vm, tracker = build(strategy, 50, guest_pages=100)
    vm.populate(vm.add_memslot(50, 50))
    before = vm.events()
    vm.store([50, 99], STAMP)
    expect(changes(vm, before), {"stores": 2, "tlb_misses": 2, "changed_bits_set": 2})
    expect(harvest(tracker), set())
