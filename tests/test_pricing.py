"""A replay priced by its own exact counts costs what the model says of the recording."""

import pytest

from analysis.model.evaluate import costs
from analysis.model.pricing import counts_of, price, sums
from analysis.model.profile import CONSTANTS, load_profile
from analysis.model.scenario import Scenario, rows_of, scenario_of_trace
from analysis.model.terms import COUNTED_TERMS, TERMS
from strategies.replay.run import build, replay
from strategies.workloads.synthetic import synthesize

VCPUS = 2
OFFERED_BY = {
    "c_bit_scan_pipelined": ("power8", "power9"),
    "hpt_sweep": ("power8", "power9"),
    "pml": ("x86-kvm", "arm64-dbm"),
}
"""Of the platforms below; all of them offer the other trackers."""
NEED_A_CHANGED_BIT = {"c_bit_scan", "c_bit_scan_batched", *OFFERED_BY}


@pytest.fixture(scope="module", params=TERMS)
def replayed(request):
    """A trace with epochs in which nothing is written, and what a tracker did with it."""
    trace = synthesize("uniform", slot_pages=1024, density=0.0006, epochs=40, stores=1)
    vm, slot = build(trace, vcpus=VCPUS, page_shift=12, mapping="linear")
    return trace, replay(trace, request.param, vm, slot)


@pytest.mark.parametrize("name", ["x86-kvm", "arm64-dbm", "power8", "power9"])
def test_exact_events_cost_what_the_model_says(replayed, name):
    trace, done = replayed
    profile = load_profile(name)
    one = scenario_of_trace(trace, VCPUS)
    placed = profile.at(one)
    rows, weights = rows_of(one)
    modelled = costs([done.strategy], rows, placed.values())[done.strategy]
    priced = price(done, trace, profile, vcpus=VCPUS, mapping="linear")
    if name not in OFFERED_BY.get(done.strategy, (name,)):
        assert priced is None
        return
    for key in ("harvest_ns", "stall_ns", "cpu_ns"):
        mean = (getattr(modelled, key) * weights).sum()
        assert priced[key]["value"] == pytest.approx(mean * trace.epochs)
        assert priced[key]["low"] <= priced[key]["value"] <= priced[key]["high"]


def test_what_a_platform_lacks_has_no_price(replayed):
    trace, done = replayed
    priced = price(done, trace, load_profile("arm64"), vcpus=VCPUS, mapping="linear")
    assert (priced is None) == (done.strategy in NEED_A_CHANGED_BIT)


COUNTED = {
    "harvest_ns": {
        "word_read": "bitmap_words_read",
        "page_scan": ("pages_scanned", "pages_passed"),
        "page_clear": "pages_cleared",
        "flush": "flushes",
    },
    "stall_ns": {
        "exit": "write_faults",
        "fault": "write_faults",
        "page_protect": "pages_opened",
        "set_changed": "changed_bits_set",
    },
}
"""What the machine calls each unit that a replay alone can count."""


@pytest.mark.parametrize(
    ("whose", "unit"), [(whose, unit) for whose, units in COUNTED.items() for unit in units]
)
@pytest.mark.parametrize("strategy", [*COUNTED_TERMS, "dbm_hybrid:4"])
def test_what_no_formula_counts_costs_what_the_replay_did(strategy, whose, unit):
    trace = synthesize("clustered", slot_pages=1024, density=0.01, epochs=20)
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    done = replay(trace, strategy, vm, slot)
    counted = counts_of(done.events, sum(done.reported), trace)
    one = Scenario(trace.slot_pages, 0.0, 1e6)
    constants = dict.fromkeys(CONSTANTS, 0.0) | {"vcore_threads": 1.0, unit: 1.0}
    got = sums(strategy, one, constants, counted)
    named = COUNTED[whose][unit]
    events = (named,) if isinstance(named, str) else named
    assert got[whose] == sum(done.events[event] for event in events) > 0


@pytest.mark.parametrize("strategy", COUNTED_TERMS)
def test_only_a_replay_prices_what_no_formula_counts(strategy):
    profile = load_profile("x86-kvm")
    assert strategy not in profile.strategies()
    assert profile.prices_replays(strategy)
    assert not load_profile("arm64").prices_replays(strategy)
