"""What adaptive has chosen, by the events that it counts."""

import numpy as np
import pytest
from conftest import build, changes, harvest

from analysis.model.pricing import unit_costs_of
from analysis.model.profile import load_profile
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


def test_a_page_cools_at_once_until_waiting_would_have_saved_a_fault():
    vm, tracker = build("adaptive", PAGES)
    assert rounds(vm, tracker, 1, [70])["pages_rearmed"] == 1
    assert rounds(vm, tracker, 2, [70])["write_faults"] == 2
    seen = rounds(vm, tracker, 20, [70])
    assert "write_faults" not in seen
    assert seen["pages_scanned"] == 20


def test_a_page_that_is_written_no_more_cools_and_costs_a_look_at_the_summary():
    vm, tracker = build("adaptive", PAGES)
    rounds(vm, tracker, 3, [70])
    assert rounds(vm, tracker, 900)["pages_rearmed"] == 1
    assert rounds(vm, tracker, 10) == {"bitmap_words_read": 10}
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
