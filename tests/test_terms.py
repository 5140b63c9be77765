"""The table of terms: its counts are those of the machine, its evaluator adds them up."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import build, build_large, changes, harvest

from analysis.model.evaluate import costs, named, names_at, terms_of, value_of
from analysis.model.profile import CONSTANTS, COSTS, MECHANISMS
from analysis.model.scenario import Scenario, rows_of, scenario_of_trace
from analysis.model.terms import COUNTED_TERMS, COUNTS, PAYERS, PHASES, TERMS
from strategies.core.guest import VIEW_LARGE
from strategies.core.machine import SET_ASIDE
from strategies.registry import JUDGED_TOO
from strategies.workloads.synthetic import synthesize

PAGES, DIRTY, VCPUS = 500, 40, 3

MACHINE = {
    "tlbie_each": 1,
    "fault_tlbies": 1,
    "definitive_tlbies": 1,
    "manual_protect": 0,
    "initially_all_set": 0,
    "enable_clears": 1,
    "toggle_unmaps": 0,
    "vcore_threads": 1,
    "uncontended_vcpus": 1,
    "splits": 0,
}
"""What the simulated machine does, as a profile says it."""


HOST = {
    "page_scan": "pages_scanned",
    "page_pass": "pages_passed",
    "block_sweep": "blocks_swept",
    "page_clear": "pages_cleared",
    "word_read": "bitmap_words_read",
    "word_take": "words_taken",
    "page_rearm": "pages_rearmed",
    "grace": "grace_periods",
    "tlbie": "tlbies",
    "tlbie_shared": "shared_tlbies",
    "shared_wait": "shared_waits",
    "flush": "flushes",
}
EVENTS = {
    "enable": HOST | {"page_protect": "pages_protected"},
    "harvest": HOST,
    "last": HOST,
    "interval": {
        "exit": "write_faults",
        "fault": "write_faults",
        "tlbie": "tlbies",
        "log_push": "log_pushes",
    },
    "disable": {"page_protect": "rmap_steps"},
}
"""What the machine calls each unit of a phase."""


def expected(strategy, phase, scenario):
    """The counts of the table by unit, one vCPU's worth: further ones make none of their own."""
    keeps_c_back = {"definitive_tlbies": int(phase == "last")}  # as the machine of that test
    names = names_at(scenario, MACHINE | keeps_c_back | dict.fromkeys(COSTS, 1.0))
    names = named(strategy, names)
    found = dict.fromkeys(EVENTS[phase], 0.0)
    for term in terms_of(strategy):
        if term.phase == phase and term.unit in found:
            found[term.unit] += float(value_of(term.count, names))
    return found


def counted(vm, phase, step):
    """The machine's counts by unit, of the vCPUs between harvests and of the host elsewhere."""
    who = "guest" if phase == "interval" else "host"
    before = vm.events(who)
    step()
    after = changes(vm, before, who)
    return {unit: after.get(event, 0) for unit, event in EVENTS[phase].items()}


def scenario_of(vm, gfns, tracked=1):
    """The scenario of an interval that wrote some pages, counted."""
    return Scenario(
        vm.guest_pages,
        len(gfns),
        1e6,
        vcpus=1,
        entry_pages=tracked,
        counted={
            "touched_words": len(np.unique(gfns // max(64, tracked))) * max(1, tracked // 64),
            "touched_summaries": len(np.unique(gfns // max(4096, tracked))),
            "dirty_entries": len(np.unique(gfns // tracked)),
        },
    )


@pytest.mark.parametrize("density", [0.0, DIRTY / PAGES, 1.0])
@pytest.mark.parametrize("strategy", [*TERMS, *JUDGED_TOO])
def test_counts_are_those_of_the_machine(strategy, density):
    vm, tracker = build(strategy, PAGES, vcpus=VCPUS)
    gfns = np.random.default_rng(1).choice(PAGES, round(density * PAGES), replace=False)
    one = scenario_of(vm, gfns)
    stores = counted(vm, "interval", lambda: vm.store(gfns, 1, vcpus=VCPUS))
    assert stores == expected(strategy, "interval", one)
    got = counted(vm, "harvest", lambda: harvest(tracker))
    assert got == expected(strategy, "harvest", one)


@pytest.mark.parametrize("pages", [SET_ASIDE, SET_ASIDE + 1])
def test_a_sweep_waits_once_for_as_many_entries_as_the_machine_puts_aside(pages):
    strategy, gfns = "hpt_sweep:1048576", np.arange(pages)
    vm, tracker = build(strategy, pages)
    vm.store(gfns, 1)
    got = counted(vm, "harvest", lambda: harvest(tracker))
    assert got == expected(strategy, "harvest", scenario_of(vm, gfns))


@pytest.mark.parametrize("strategy", [*TERMS, *JUDGED_TOO])
def test_the_last_harvest_counts_as_on_a_machine_that_keeps_c_back(strategy):
    vm, tracker = build(strategy, PAGES, delayed_c=True)
    vm.store(np.arange(PAGES), 1)
    harvest(tracker)
    gfns = np.arange(0, PAGES, 25)
    vm.store(gfns, 2)
    got = counted(vm, "last", lambda: harvest(tracker))
    assert got == expected(strategy, "last", scenario_of(vm, gfns))


@pytest.mark.parametrize("strategy", [*TERMS, *JUDGED_TOO])
def test_enabling_and_disabling_walk_what_they_say(strategy):
    vm, tracker = build(strategy, PAGES, enabled=False)
    vm.store(np.arange(PAGES), 1)  # as of a guest that has run for long
    one = scenario_of(vm, np.arange(PAGES))
    got = counted(vm, "enable", lambda: tracker.enable_logging(0))
    assert got == expected(strategy, "enable", one)
    got = counted(vm, "disable", lambda: tracker.disable_logging(0))
    assert got == expected(strategy, "disable", one)


def test_the_hardware_sets_one_changed_bit_for_each_first_write():
    vm, _ = build("c_bit_scan", PAGES)
    before = vm.events("guest")
    vm.store(np.repeat(np.arange(DIRTY), 3), 1)
    assert changes(vm, before, "guest")["changed_bits_set"] == DIRTY
    names = names_at(scenario_of(vm, np.arange(DIRTY)), MACHINE)
    (term,) = (term for term in TERMS["c_bit_scan"] if term.unit == "set_changed")
    assert value_of(term.count, names) == DIRTY


@pytest.mark.parametrize("strategy", TERMS)
def test_a_large_page_is_one_entry_and_reports_all_its_pages(strategy):
    vm, tracker = build_large(strategy, 16)
    tracked = vm.guest_pages // 2
    gfns = np.array([1, 3, 70])
    one = scenario_of(vm, gfns, tracked)
    vm.store(gfns, 1, view=VIEW_LARGE)
    names = names_at(one, MACHINE)
    assert len(harvest(tracker)) == value_of("reported_pages", names) == tracked


def test_expected_counts_are_means_over_random_pages():
    random = np.random.default_rng(2)
    pages, dirty, tracked = 64 * 500, 900, 16
    samples = [random.choice(pages, dirty, replace=False) for _ in range(40)]
    names = names_at(Scenario(pages, dirty, 1e6, entry_pages=tracked), MACHINE)
    words = np.mean([len(np.unique(sample // 64)) for sample in samples])
    entries = np.mean([len(np.unique(sample // tracked)) for sample in samples])
    assert names["touched_words"] == pytest.approx(words, rel=0.01)
    assert names["dirty_entries"] == pytest.approx(entries, rel=0.01)
    lines, tables = (np.mean([len(np.unique(s // n)) for s in samples]) for n in (8, 512))
    runs, line_runs = (
        np.mean([1 + np.sum(np.diff(np.sort(sample // size)) > 1) for sample in samples])
        for size in (1, 8)
    )
    assert names["touched_lines"] == pytest.approx(lines, rel=0.01)
    assert names["touched_tables"] == pytest.approx(tables, rel=0.01)
    assert names["runs"] == pytest.approx(runs, rel=0.01)
    assert names["line_runs"] == pytest.approx(line_runs, rel=0.01)


def test_a_recording_is_counted_not_expected():
    trace = synthesize("clustered", slot_pages=4096, density=0.02, epochs=20)
    one = scenario_of_trace(trace)
    for epoch in (0, 7, 19):
        gfns = trace.gfns[slice(*trace.offsets[epoch : epoch + 2])]
        assert one.dirty_pages[epoch] == len(gfns)
        assert one.counted["touched_words"][epoch] == len(np.unique(gfns // 64))
        assert one.counted["dirty_entries"][epoch] == len(gfns)
        line_runs = 1 + np.sum(np.diff(gfns.astype(int) // 8) > 1)
        assert one.counted["line_runs"][epoch] == line_runs
        assert one.counted["touched_tables"][epoch] == len(np.unique(gfns // 512))
        assert one.counted["runs"][epoch] == 1 + np.sum(np.diff(gfns.astype(int)) > 1)


UNIT = dict.fromkeys(COSTS, 7.0) | MACHINE


@pytest.mark.parametrize("strategy", TERMS)
def test_four_rows_stand_for_all_intervals_of_a_recording(strategy):
    """Costs are summed epoch by epoch: the weighted rows give exactly that, p99 and worst too."""
    trace = synthesize("zipf", slot_pages=2048, density=0.01, epochs=150, stores=30)
    trace = replace(
        trace,
        offsets=np.insert(trace.offsets, 50, [trace.offsets[50]] * 60),
        meta=trace.meta | {"epochs": 210},
    )  # sixty epochs without a write
    one = scenario_of_trace(trace, vcpus=2)
    every = costs([strategy], one, UNIT)[strategy]
    rows, weights = rows_of(one)
    got = costs([strategy], rows, UNIT)[strategy]
    for of in ("harvest_ns", "stall_ns", "cpu_ns"):
        single = np.broadcast_to(getattr(every, of), trace.epochs)
        assert (getattr(got, of) * weights).sum() == pytest.approx(single.mean())
    order = np.argsort(one.dirty_pages, kind="stable")
    assert rows.dirty_pages[2, 0] == one.dirty_pages[order[207]]
    assert rows.dirty_pages[3, 0] == one.dirty_pages.max()


def test_a_term_is_of_a_known_phase_payer_and_unit():
    for terms in (TERMS | COUNTED_TERMS).values():
        for term in terms:
            assert term.phase in PHASES
            assert term.payer in PAYERS
            assert term.unit in {*COSTS, "resend"}


def test_every_mechanism_occurs_in_a_formula():
    formulas = [*COUNTS.values(), *(term.count for terms in TERMS.values() for term in terms)]
    assert [name for name in MECHANISMS if not any(name in one for one in formulas)] == []


def test_each_payer_pays_its_own():
    """A wait makes a harvest longer and costs no CPU time; `both` costs host and vCPU."""
    one = Scenario(640, 10, 1e6, vcpus=5)
    for unit, harvest_ns, stall_ns, cpu_ns in (
        ("grace", 1, 0, 0),
        ("flush_vcpu", 4, 4, 8),
        ("page_rearm", 10, 0, 10),
        ("fault", 0, 10, 10),
        ("fault_wait", 0, 40, 40),
    ):
        got = costs(["double_buffer"], one, dict.fromkeys(CONSTANTS, 0.0) | MACHINE | {unit: 1.0})
        cost = got["double_buffer"]
        assert (cost.harvest_ns, cost.stall_ns, cost.cpu_ns) == (harvest_ns, stall_ns, cpu_ns), unit


@pytest.mark.parametrize(
    ("uncontended", "waits"), [(1, 63 * 10), (16, 48 * 10), (64, 0)], ids=["linear", "lock", "none"]
)
def test_the_shape_of_contention_is_a_number(uncontended, waits):
    constants = dict.fromkeys(CONSTANTS, 0.0) | MACHINE
    constants |= {"uncontended_vcpus": uncontended, "fault_wait": 1.0}
    got = costs(["write_protect"], Scenario(640, 10, 1e6, vcpus=64), constants)
    assert got["write_protect"].stall_ns == waits


def test_pages_reported_in_excess_cost_what_sending_them_does():
    """One changed bit for 16 MiB: 0.1 % of 4 GiB written at random is most of it to send again."""
    one = Scenario(1 << 16, 66, 1e9, page_bytes=65536, entry_pages=256, resend_ns=100.0)
    names = names_at(one, MACHINE)
    assert 0.2 < float(names["reported_pages"]) / (1 << 16) < 0.25
    got = costs(["c_bit_scan"], one, dict.fromkeys(CONSTANTS, 0.0) | MACHINE)
    assert got["c_bit_scan"].cpu_ns == pytest.approx(100 * (names["reported_pages"] - 66))


@pytest.mark.parametrize("density", [1e-5, 0.001, 0.07, 1 / 3, 1])
def test_no_page_is_reported_in_excess_where_an_entry_is_one_page(density):
    scenario = Scenario(1 << 20, density * (1 << 20), 1e8)
    names = names_at(scenario, MACHINE)
    assert names["reported_pages"] == names["dirty_pages"]


def test_huge_pages_are_split_where_the_platform_does_it():
    one = Scenario(1 << 20, 1000, 1e9, entry_pages=512)
    constants = dict.fromkeys(CONSTANTS, 0.0) | MACHINE | {"split": 1.0, "splits": 1}
    assert costs(["write_protect"], one, constants)["write_protect"].enable_ns == 2048
    assert names_at(one, constants)["reported_pages"] == pytest.approx(1000)


def test_full_rings_are_counted():
    """Entries 10 of 74: vCPUs that write in turn leave the guest 9 times 3 first writes apart."""
    strategy, gfns = "dirty_ring:74", np.arange(PAGES)
    vm, tracker = build(strategy, PAGES, vcpus=VCPUS)
    one = replace(scenario_of(vm, gfns), vcpus=VCPUS)
    names = named(strategy, names_at(one, MACHINE))
    before = vm.events("guest")
    vm.store(gfns, 1, vcpus=VCPUS)
    got = changes(vm, before, "guest")
    exits = names["log_exits"]
    assert exits == -(-PAGES // 27) - 1 == got["log_exits"] == got["flushes"]
    assert got["write_faults"] == got["log_pushes"] == PAGES + exits
    assert got["pages_rearmed"] == exits * (names["exit_entries"] + 1)
    before = vm.events("host")
    assert len(harvest(tracker)) == PAGES
    got = changes(vm, before, "host")
    assert got["pages_rearmed"] == PAGES - exits * names["exit_entries"]
    assert got["bitmap_words_read"] == names["words"]


def test_full_logs_of_the_hardware_are_counted():
    """Each of 3 vCPUs writes a third of the pages; entry 11 of 10 makes it leave the guest."""
    strategy, gfns = "pml:10", np.arange(480)
    vm, tracker = build(strategy, PAGES, vcpus=VCPUS)
    one = replace(scenario_of(vm, gfns), vcpus=VCPUS)
    before = vm.events("guest")
    vm.store(gfns, 1, vcpus=VCPUS)
    got = changes(vm, before, "guest")
    assert got["log_exits"] == named(strategy, names_at(one, MACHINE))["log_exits"] == 3 * 15
    assert got["log_pushes"] == 480
    before = vm.events("host")
    assert len(harvest(tracker)) == 480
    assert changes(vm, before, "host")["spills"] == VCPUS
