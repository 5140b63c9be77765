"""A replay priced by its own exact counts costs what the model says of the recording."""

import pytest

from analysis.model.evaluate import costs
from analysis.model.pricing import price
from analysis.model.profile import load_profile
from analysis.model.scenario import rows_of, scenario_of_trace
from analysis.model.terms import TERMS
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
