"""The bound for trackers that choose: against all choices, and against all trackers."""

from itertools import product

import numpy as np
import pytest

from analysis.model.adversaries import ADVERSARIES, make
from analysis.model.clairvoyant import PageCosts, least_cpu_ns, page_costs
from analysis.model.profile import load_profile
from analysis.rivals import PROFILES, others
from strategies.workloads.trace import Trace

EPOCHS = 5
COSTS = (
    PageCosts(look=1, written=20, fault=50, opening=3, cooling=4, flush=0),
    PageCosts(look=9, written=20, fault=30, opening=3, cooling=4, flush=7),
    PageCosts(look=9, written=20, fault=25, opening=30, cooling=40, flush=7),
)


def one_page(written):
    """Return the trace of a page that is written in some epochs."""
    offsets = np.cumsum([0, *written])
    meta = {"name": "page", "page_size": 4096, "slot_pages": 1, "epoch_ms": 10.0}
    return Trace(offsets, np.zeros(offsets[-1], np.uint32), meta | {"epochs": len(written)})


def cost_of(is_open, written, costs):
    """Return what a page costs that is open in some epochs, from its first store to its last."""
    total = 0
    for epoch, (now, stored) in enumerate(zip(is_open, written, strict=True)):
        before = is_open[epoch - 1] if epoch else now
        total += (now > before) * costs.opening + (now < before) * costs.cooling
        total += costs.look + stored * costs.written if now else stored * costs.fault
        total += stored * costs.flush
    return total


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("between", list(product((0, 1), repeat=EPOCHS - 2)))
def test_no_choice_of_all_costs_less(between, costs):
    written = 1, *between, 1
    choices = product((0, 1), repeat=EPOCHS)
    least = min(cost_of(is_open, written, costs) for is_open in choices)
    assert least_cpu_ns(one_page(written), costs) == least


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("family", ["cyclic", "sparse", "on_off_groups"])
def test_no_tracker_costs_less(family, name):
    parameters = next(parameters for found, parameters in ADVERSARIES if found == family)
    trace, profile = make(family, parameters), load_profile(name)
    rivals = [cost["cpu_ns"] for cost in others(trace, profile).values()]
    assert 0 < least_cpu_ns(trace, page_costs(profile, trace)) <= min(rivals)
