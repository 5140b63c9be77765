"""What adaptive has chosen, by the events that it counts."""

import random

import numpy as np
import pytest
from conftest import build, changes, hardware, harvest, hpte_of, protect
from naive import RWRW, RXRX, C
from naive_adaptive import NaiveAdaptive

from analysis.model.pricing import unit_costs_of
from analysis.model.profile import load_profile
from strategies.core.heat import AGES, HARVEST, SAVED, SPENT
from strategies.core.machine import SLOT_GROUP, SLOT_HEAT
from strategies.core.vm import Vm
from strategies.costs import X86_KVM, UnitCosts
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


def test_a_page_cools_at_once_until_waiting_would_have_saved_a_fault():
    vm, tracker = build("adaptive", PAGES)
    assert rounds(vm, tracker, 1, [70])["pages_rearmed"] == 1
    assert rounds(vm, tracker, 2, [70])["write_faults"] == 2
    seen = rounds(vm, tracker, 20, [70])
    assert "write_faults" not in seen
    assert seen["pages_scanned"] == 20


def test_a_page_that_is_written_no_more_cools_and_costs_nothing_then():
    vm, tracker = build("adaptive", PAGES)
    rounds(vm, tracker, 3, [70])
    assert rounds(vm, tracker, 900)["pages_rearmed"] == 1
    assert rounds(vm, tracker, 10) == {}
    assert rounds(vm, tracker, 1, [70])["write_faults"] == 1


def test_faults_side_by_side_open_their_group_and_no_other():
    vm, tracker = build("adaptive", PAGES)
    seen = rounds(vm, tracker, 1, [*range(300, 310), 600])
    assert seen["groups_opened"] == 1
    assert seen["pages_opened"] == 256
    assert seen["write_faults"] < 11
    assert "write_faults" not in rounds(vm, tracker, 1, [500])
    assert rounds(vm, tracker, 1, [601])["write_faults"] == 1


def test_no_group_opens_while_faults_are_cheaper_than_scanning_everything():
    """Ten faults cost as much as a scan of 8,192 pages; five are the price of opening a group."""
    vm, tracker = build("adaptive", 8192)
    assert "groups_opened" not in rounds(vm, tracker, 1, range(300, 309))
    vm, tracker = build("adaptive", 8192)
    assert rounds(vm, tracker, 1, range(300, 311))["groups_opened"] == 1


def test_a_group_opens_where_faults_lead_once_it_costs_an_eighth_of_what_they_did():
    vm, tracker = build("adaptive", 8192)
    seen = [rounds(vm, tracker, 1, range(300 + n, 309 + n)) for n in range(0, 180, 9)]
    opened = [n for n, events in enumerate(seen) if "groups_opened" in events]
    assert opened
    assert opened[0] >= 8


def test_an_open_group_that_is_written_no_more_closes():
    vm, tracker = build("adaptive", PAGES)
    rounds(vm, tracker, 1, [*range(300, 310)])
    seen = rounds(vm, tracker, 200)
    assert seen["groups_closed"] == 1
    assert seen["pages_rearmed"] == 256


def harvests_until_it_closes(vm, tracker, gfns):
    """Store to some pages of a group, which opens it, then wait."""
    rounds(vm, tracker, 1, gfns)
    return next(n for n in range(1, 200) if "groups_closed" in rounds(vm, tracker, 1))


def test_a_group_that_closed_too_soon_waits_twice_as_long_the_next_time():
    """So says a fault within 48 harvests: to open it again costs as much as to scan it so often."""
    vm, tracker = build("adaptive", PAGES)
    first = harvests_until_it_closes(vm, tracker, range(300, 360))
    rounds(vm, tracker, 10)
    again = harvests_until_it_closes(vm, tracker, range(370, 430))
    rounds(vm, tracker, 49)
    later = harvests_until_it_closes(vm, tracker, range(440, 500))
    assert (first, again, later) == (17, 33, 17)


def build_where_faults_are_dear():
    costs = X86_KVM._replace(first_write=50_000.0, page_scan=6.0, block_sweep=3.5, page_pass=6.0)
    vm = Vm(4096, unit_costs=costs)
    vm.add_memslot(0, 4096)
    vm.populate(0)
    tracker = get("adaptive")(vm)
    tracker.enable_logging(0)
    return vm, tracker


def test_where_everything_is_due_a_fault_opens_for_as_much_as_it_costs():
    """Two are half the price of opening and cooling all; to open eleven groups costs no more."""
    vm, tracker = build_where_faults_are_dear()
    assert "groups_opened" not in rounds(vm, tracker, 1, [0, 1])
    seen = rounds(vm, tracker, 1, [300, *range(256, 13 * 256, 200)])
    assert (seen["write_faults"], seen["groups_opened"], seen["pages_opened"]) == (1, 12, 12 * 256)
    assert rounds(vm, tracker, 1, [255, 13 * 256])["write_faults"] == 2


def test_where_faults_are_dear_and_a_sweep_is_cheap_everything_is_swept():
    vm, tracker = build_where_faults_are_dear()
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
    known = words[:19], words[32:48], words[48:64]
    return *known, heat[start + 64 : start + 64 + groups].tolist(), vm.arrays.written.tolist()


def accounts_by(model):
    known = [model.now, model.faults, model.opened, int(model.is_swept), model.patience]
    known += [model.price, model.waited, model.hot_pages, model.warm_pages]
    known += [model.by_faults, model.by_scans, model.own, model.lead, model.stakes]
    known += [model.regret_cold, model.regret_swept, model.is_flushed, int(model.may_be_hot)]
    known += [int(model.is_due)]
    groups = [group.word for group in model.groups]
    return known, model.saved, model.spent, groups, model.written


def lives(seed, npages, parts=40):
    """Yield what each harvest of a guest finds written: parts of memory, and rests."""
    rng = random.Random(seed)
    for _ in range(parts):
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
    "in whole steps": X86_KVM._replace(
        first_write=96.0, page_scan=1.0, page_open=3.0, page_cool=3.0
    ),
    "swept": X86_KVM._replace(page_scan=10.0, page_pass=4.0, page_open=1.5, page_cool=2.5),
    "swept, and flushed where pages cool": X86_KVM._replace(
        page_scan=10.0, page_pass=4.0, page_cool=12.5, cool_tlbie=10.0, flush_all=99.0
    ),
    "flushed where pages cool": X86_KVM._replace(
        page_scan=12.0, page_open=2.0, page_cool=29.0, cool_tlbie=20.0, flush_all=30.0
    ),
    "all cheap": X86_KVM._replace(first_write=30.0, page_scan=0.0, word_read=0.3),
}


SWEPT_IN_BLOCKS = X86_KVM._replace(
    first_write=9000.0, page_scan=10.0, block_sweep=2.0, page_open=1.5, page_cool=2.5
)


COUNTED = ("write_faults", "groups_opened", "pages_opened", "groups_closed", "pages_scanned")
COUNTED += ("pages_passed", "pages_cleared", "pages_rearmed", "bitmap_words_read", "words_taken")
COUNTED += ("blocks_swept", "flushes", "pages_flushed", "whole_flushes")


@pytest.mark.parametrize(("npages", "group"), [(200, 64), (330, 128)])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_that_it_learns_and_chooses_is_what_a_plain_model_does(platform, npages, group):
    live_beside_a_model(PLATFORMS[platform], npages, group, lives(f"{platform} {npages}", npages))


def test_so_it_is_where_the_words_with_hot_pages_are_in_two_words():
    stores = [[5], [4100], [5, 4100], [], [4100, 4101, 4160], *[[]] * 20, [5], [4161]]
    live_beside_a_model(PLATFORMS["groups too soon"], 64 * 64 + 100, 64, stores)


def test_so_it_is_in_a_new_log_of_a_slot_of_one_word():
    vm, tracker, model = build_both(PLATFORMS["groups too soon"], 60, 64)
    vm.store([3], 1)
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    step_both(vm, tracker, model, [])


def test_so_it_is_where_the_hpt_is_swept():
    live_beside_a_model(SWEPT_IN_BLOCKS, 2100, 64, [range(0, 2100, 3)] * 3 + [()] * 8)


@pytest.mark.parametrize(
    ("fault", "page_open", "is_due"), [(999.998, 6.748, True), (1000.061, 6.749, False)]
)
def test_so_it_is_where_regret_is_half_the_price_of_all_or_half_a_picosecond_less(
    fault, page_open, is_due
):
    """127 pages at 13.748 or 13.749 ns: twice a fault less the sweep is that, or 1 ps less."""
    costs = X86_KVM._replace(
        first_write=fault, page_scan=0.0, page_pass=1.0, page_open=page_open, page_cool=7.0
    )
    vm, tracker, model = build_both(costs, 127, 64)
    step_both(vm, tracker, model, [3])
    assert model.is_due == is_due


@pytest.mark.parametrize("free", [("flush",), ("page_scan", "word_read")], ids=str)
def test_so_it_is_where_something_is_free(free):
    costs = PLATFORMS["groups come and go"]._replace(**dict.fromkeys(free, 0.0))
    live_beside_a_model(costs, 100, 64, lives("free", 100, parts=10))


@pytest.mark.parametrize("platform", ["groups too soon", "swept"])
def test_so_it_is_after_many_harvests(platform):
    """Ages of any class, a number of harvests that a group's word cannot hold, full accounts."""
    vm, tracker, model = build_both(PLATFORMS[platform], 200, 64)
    heat, start = vm.arrays.heat, int(vm.arrays.slots[SLOT_HEAT])
    model.now = heat[start + HARVEST] = (1 << 24) - 3
    for k in range(AGES + 2):
        for gfn, age in ((3 * k, 1 << k), (3 * k + 1, (1 << k) + 1)):
            model.written[gfn] = vm.arrays.written[gfn] = model.now - age
    step_both(vm, tracker, model, range(0, 60, 2))
    step_both(vm, tracker, model, range(60))
    for k in range(AGES):
        model.saved[k] = heat[start + SAVED + k] = 10**9 * (k + 2) + 1
        model.spent[k] = heat[start + SPENT + k] = 10**9 * (k * k % 7) + 1
    for _ in range(8):
        step_both(vm, tracker, model, [5, 70, 190])
        step_both(vm, tracker, model, [])


def build_both(costs, npages, group):
    """Return a machine, its tracker, and the model of them."""
    vm, tracker = build(f"adaptive:{group}", npages, unit_costs=costs)
    groups_of_hpt = vm.machine.group_mask + 1
    blocks = groups_of_hpt if groups_of_hpt <= npages else 0
    model = NaiveAdaptive(npages, group, costs, blocks)
    assert accounts_of(vm) == accounts_by(model)
    return vm, tracker, model


def step_both(vm, tracker, model, stores):
    """Store to pages and harvest: all is alike afterwards."""
    before = vm.events()
    for gfn in stores:
        vm.store([gfn], 1)
        model.store(gfn)
    assert harvest(tracker) == model.harvest()
    assert accounts_of(vm) == accounts_by(model)
    seen = changes(vm, before)
    assert {name: seen.get(name, 0) for name in COUNTED} == model.counted(COUNTED)


def live_beside_a_model(costs, npages, group, lives):
    vm, tracker, model = build_both(costs, npages, group)
    rng = random.Random(npages)
    for stores in lives:
        if rng.random() < 0.01:
            gfn = rng.randrange(npages)
            vm.host_store(gfn, 1)
            model.host_store(gfn)
        step_both(vm, tracker, model, stores)
        if rng.random() < 0.01:
            tracker.disable_logging(0)
            vm.store([3], 1)
            tracker.enable_logging(0)
            model = model.anew()


@pytest.mark.parametrize("is_brought", [True, False])
def test_where_c_is_kept_back_a_page_is_noted_once_in_a_harvest(is_brought):
    """It is found at the first look, if C was there, and again when its HPTE is made valid."""
    vm, tracker = build("adaptive", PAGES, delayed_c=True)
    saved = int(vm.arrays.slots[SLOT_HEAT]) + SAVED
    for stamp in range(2):
        vm.store([3], stamp)
        if is_brought:
            protect(vm, hpte_of(vm, 3), RWRW)  # brings C from the TLB
        assert harvest(tracker) == {3}
    assert vm.arrays.heat[saved : saved + AGES].tolist() == [1_228_000, *[0] * (AGES - 1)]


def test_where_c_is_kept_back_cooling_takes_the_permission_and_c_alone():
    costs = UnitCosts("a page cools", 1, 2, 0, 1000, 1000, 0)
    vm, tracker = build("adaptive:64", 64, delayed_c=True, unit_costs=costs)
    vm.store([3], 1)
    index = hpte_of(vm, 3)
    protect(vm, index, RWRW)  # brings C from the TLB
    v, r = hardware(vm, index)
    assert r & C
    assert harvest(tracker) == {3}
    assert harvest(tracker) == set()
    assert hardware(vm, index) == (v, r & ~C & ~RWRW | RXRX)
