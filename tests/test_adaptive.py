"""What adaptive has chosen, by the events that it counts."""

import random

import numpy as np
import pytest
from conftest import build, changes, harvest
from naive_adaptive import NaiveAdaptive

from analysis.model.pricing import unit_costs_of
from analysis.model.profile import load_profile
from strategies.core.machine import SLOT_GROUP, SLOT_HEAT
from strategies.core.vm import Vm
from strategies.costs import X86_KVM
from strategies.registry import get
from strategies.workloads.synthetic import synthesize

PAGES = 1024


def rounds(vm, tracker, times, gfns=()):
    """Store to pages and harvest, so many times; return the events of all together."""
    before = vm.events()
    for stamp in range(times):
        vm.store(gfns, stamp + 1)
        assert harvest(tracker) == set(gfns)
    return changes(vm, before)


def test_a_page_that_is_written_again_faults_no_more():
    vm, tracker = build("adaptive", PAGES)
    assert rounds(vm, tracker, 1, [70])["write_faults"] == 1
    seen = rounds(vm, tracker, 20, [70])
    assert "write_faults" not in seen
    assert seen["pages_scanned"] == 20


def test_a_page_that_is_written_no_more_cools_and_costs_nothing():
    vm, tracker = build("adaptive", PAGES)
    rounds(vm, tracker, 1, [70])
    assert rounds(vm, tracker, 900)["pages_rearmed"] == 1
    seen = rounds(vm, tracker, 10)
    assert seen == {"bitmap_words_read": 10}
    assert rounds(vm, tracker, 1, [70])["write_faults"] == 1


def test_faults_side_by_side_open_their_group_and_no_other():
    vm, tracker = build("adaptive", PAGES)
    seen = rounds(vm, tracker, 1, [*range(300, 310), 600])
    assert seen["groups_opened"] == 1
    assert seen["pages_opened"] == 256
    assert seen["write_faults"] < 11
    assert "write_faults" not in rounds(vm, tracker, 1, [500])
    assert rounds(vm, tracker, 1, [601])["write_faults"] == 1


def test_an_open_group_that_is_written_no_more_closes():
    vm, tracker = build("adaptive", PAGES)
    rounds(vm, tracker, 1, [*range(300, 310)])
    seen = rounds(vm, tracker, 200)
    assert seen["groups_closed"] == 1
    assert seen["pages_rearmed"] == 256


def test_where_faults_are_dear_and_a_sweep_is_cheap_everything_is_swept():
    costs = X86_KVM._replace(first_write=50_000.0, page_scan=6.0, block_sweep=3.5, page_pass=6.0)
    vm = Vm(4096, unit_costs=costs)
    vm.add_memslot(0, 4096)
    vm.populate(0)
    tracker = get("adaptive")(vm)
    tracker.enable_logging(0)
    everything = list(range(0, 4096, 7))
    rounds(vm, tracker, 3, everything)
    seen = rounds(vm, tracker, 1, everything)
    assert seen["blocks_swept"] > 0
    assert "write_faults" not in seen
    assert rounds(vm, tracker, 5000)["pages_rearmed"] > 4000


def test_the_default_costs_are_those_of_x86_kvm():
    trace = synthesize("uniform", slot_pages=64, density=0.1, epochs=1)
    assert unit_costs_of(load_profile("x86-kvm"), trace) == pytest.approx(X86_KVM)


def test_a_new_log_has_forgotten_what_was_hot():
    vm, tracker = build("adaptive", PAGES)
    rounds(vm, tracker, 2, np.arange(0, 512))
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    assert harvest(tracker) == set()
    assert rounds(vm, tracker, 1, [5])["write_faults"] == 1


def accounts_of(vm):
    """Return what the machine keeps of slot 0 that the model has, too."""
    heat, start = vm.arrays.heat, int(vm.arrays.slots[SLOT_HEAT])
    words = heat[start : start + 64].tolist()
    groups = -(-vm.slots[0][1] // int(vm.arrays.slots[SLOT_GROUP]))
    known = words[:11], words[32:48], words[48:64]
    return *known, heat[start + 64 : start + 64 + groups].tolist(), vm.arrays.written.tolist()


def accounts_by(model):
    known = [model.now, model.faults, int(model.is_swept), model.patience, model.price]
    known += [model.waited, model.hot_pages, model.warm_pages, model.total]
    known += [model.regret_cold, model.regret_swept]
    groups = [group.word for group in model.groups]
    return known, model.saved, model.spent, groups, model.written


def lives(rng, npages):
    """Yield what each harvest of a guest finds written: parts that grow, rest and move."""
    working = []
    while True:
        first, size = rng.randrange(npages), rng.choice((1, 2, 5, 20, 70, npages))
        working = [(first + k) % npages for k in range(size)]
        stores = rng.choice((1, 3, size, size))
        for _ in range(rng.choice((1, 1, 2, 8, 20))):
            yield rng.sample(working, min(stores, size))
        for _ in range(rng.choice((0, 1, 6, 25, 60))):
            yield ()


PLATFORMS = {
    "groups too soon": X86_KVM._replace(page_scan=10.0, page_open=25.0, page_cool=40.0),
    "groups come and go": X86_KVM._replace(page_scan=12.0, page_open=2.0, page_cool=9.0),
    "pages dear to open": X86_KVM._replace(page_open=300.0, page_cool=500.0, flush=40_000.0),
    "swept": X86_KVM._replace(page_scan=10.0, page_pass=4.0, page_open=1.5, page_cool=2.5),
    "all cheap": X86_KVM._replace(first_write=30.0, page_scan=0.0, word_read=0.3),
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("npages", "group"), [(200, 64), (330, 128)])
def test_all_that_it_learns_and_chooses_is_what_a_plain_model_does(platform, npages, group):
    costs = PLATFORMS[platform]
    vm, tracker = build(f"adaptive:{group}", npages, unit_costs=costs)
    model = NaiveAdaptive(npages, group, costs, 0)
    rng = random.Random(f"{platform} {npages}")
    begun = vm.events()
    for _, stores in zip(range(400), lives(rng, npages), strict=False):
        for gfn in stores:
            vm.store([gfn], 1)
            model.store(gfn)
        if rng.random() < 0.01:
            gfn = rng.randrange(npages)
            vm.host_store(gfn, 1)
            model.host_store(gfn)
        assert harvest(tracker) == model.harvest()
        assert accounts_of(vm) == accounts_by(model)
    seen = changes(vm, begun)
    for name, times in model.events.items():
        if name != "flushes" or not costs.page_pass:
            assert seen.get(name, 0) == times, name
