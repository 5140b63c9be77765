"""The model multiplies the events that the machine really counts."""

import pytest
from analysis.model.estimate import MODELS, Scenario, available, estimate
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.model.profile import CONSTANTS, Constant, Profile, bundled, load_profile
from strategies.registry import BASELINE, names
from strategies.replay.run import build, replay
from strategies.workloads.synthetic import synthesize

PAGES, DIRTY, READS, EPOCHS = 2048, 100, 60, 4
SCENARIO = Scenario(PAGES, DIRTY, 1e6, read_pages=READS)

HARVEST_EVENTS = {"tlbie": "tlbies", "flush": "flushes", "word_read": "bitmap_words_read"}


@pytest.fixture(scope="module", params=MODELS)
def counted(request):
    """A tracker's name and its exact events per interval of SCENARIO."""
    trace = synthesize(
        "uniform", slot_pages=PAGES, density=DIRTY / PAGES, epochs=EPOCHS, reads=READS
    )
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    events = replay(trace, request.param, vm, slot).events
    events["tlbies"] -= events["write_faults"]  # which have one each: the guest's, not a harvest's
    return request.param, {name: count / EPOCHS for name, count in events.items()}


def only(constant):
    return dict.fromkeys(CONSTANTS, 0.0) | {constant: 1.0}


def test_every_tracker_but_the_baseline_has_a_model():
    assert tuple(MODELS) == tuple(name for name in names() if name != BASELINE)


@pytest.mark.parametrize("constant", HARVEST_EVENTS)
def test_a_harvest_costs_its_counted_events(counted, constant):
    name, events = counted
    modelled = MODELS[name](only(constant), SCENARIO).harvest_ns
    exact = events[HARVEST_EVENTS[constant]]
    if (name, constant) == ("pte_flush", "word_read"):
        assert exact <= modelled <= 2 * exact  # it stops looking at the first dirty word
    else:
        assert modelled == exact


def test_the_guest_stalls_once_for_each_counted_fault(counted):
    name, events = counted
    faults = MODELS[name](only("fault"), SCENARIO).stall_ns
    assert faults == events["write_faults"] + events["map_faults"]


def test_what_walks_the_slot_walks_every_page(counted):
    name, events = counted
    constant = {"c_bit_scan": "page_scan", "pte_flush": "page_unmap"}.get(name)
    modelled = MODELS[name](only(constant), SCENARIO).harvest_ns if constant else DIRTY
    assert events["rmap_steps"] == modelled


@pytest.mark.parametrize("name", MODELS)
def test_nothing_written_costs_no_fault_no_tlbie_and_no_flush(name):
    clean = Scenario(PAGES, 0, 1e6)
    costs = dict.fromkeys(CONSTANTS, 0.0) | {"fault": 1.0, "tlbie": 1.0, "flush": 1.0}
    assert MODELS[name](costs, clean).cpu_ns == 0


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.sampled_from(tuple(MODELS)),
    st.sampled_from(bundled()),
    st.integers(1, 1 << 30),
    st.floats(0, 1),
    st.floats(1e3, 1e10),
    st.integers(1, 256),
)
def test_the_value_lies_in_its_range(name, profile, pages, density, interval_ns, vcpus):
    got = estimate(
        name, load_profile(profile), Scenario(pages, pages * density, interval_ns, vcpus)
    )
    for quantity in (got.harvest_ns, got.stall_fraction, got.cpu_ns):
        assert 0 <= quantity.low <= quantity.value <= quantity.high


def test_stall_is_a_fraction_of_all_vcpus_time():
    constants = {
        name: Constant(cost, cost, cost, "ns", "cited", "") for name, cost in only("fault").items()
    }
    profile = Profile("one", "one", ("c_bit_scan",), constants)
    got = estimate("write_protect", profile, Scenario(100, 50, 1000.0, vcpus=2))
    assert got.stall_fraction.value == 50 / (2 * 1000.0)
    assert "c_bit_scan" not in available(profile)
