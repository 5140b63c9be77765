"""Break-evens of the model, against what is worked out by hand."""

import numpy as np
import pytest

from analysis.model.break_even import break_even, crossings, summary
from analysis.model.profile import bundled, load_profile
from analysis.model.scenario import Scenario

PAGES = 1 << 20


def test_break_even_of_scan_and_faults_solves_the_equation():
    profile = load_profile("power9").at(Scenario(PAGES, 0, 1.0))
    costs = {name: np.array([value]) for name, value in profile.values().items()}
    (density,) = break_even(Scenario(PAGES, 0, 1.0), profile, costs)
    c = profile.values()
    dirty = density * PAGES
    scan = PAGES * c["page_scan"] + dirty * (c["page_clear"] + c["tlbie"] + c["set_changed"])
    words = PAGES / 64
    touched = words * (1 - (1 - density) ** 64)
    protect = words * c["word_read"] + touched * c["word_take"] + dirty * c["page_rearm"]
    faults = dirty * (c["exit"] + c["fault"] + c["fault_tlbies"] * c["tlbie"])
    assert scan == pytest.approx(protect + c["flush"] + faults, rel=2e-3)


def test_crossings_are_where_the_gap_falls_through_0():
    densities = np.array([0.001, 0.01, 0.1])
    gaps = np.array([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0], [-3.0, -1.0, -1.0]])
    found = crossings(gaps, densities)
    assert found[0] == pytest.approx(10**-2.5)
    assert (found[1], found[2]) == (pytest.approx(10**-1.5), pytest.approx(10**-1.5))
    always = crossings(np.array([[-1.0, 1.0], [-1.0, 1.0]]), np.array([0.1, 1.0]))
    assert always.tolist() == [0.0, np.inf]  # the scan from one page on; faults up to all pages


def test_a_range_says_in_how_many_draws_there_is_a_crossing():
    found, share = summary(np.array([0.1, np.inf, 0.3, 0.2]))
    assert share == 0.75
    assert found == {"p5": 0.1, "p50": 0.2, "p95": np.inf}  # a draw without is not left out
    assert summary(np.array([np.inf, 0.0])) == summary(np.array([])) == (None, 0.0)


@pytest.mark.parametrize("name", bundled())
def test_every_profile_has_a_break_even_or_no_scan(name):
    profile = load_profile(name)
    one = Scenario(PAGES, 0, 1.0, page_bytes=profile.page_bytes[0])
    density, share = summary(break_even(one, profile.at(one)))
    if name == "arm64":
        assert (density, share) == (None, 0.0)
    else:
        assert 0 < density["p5"] < density["p50"] < 1
        assert density["p95"] < 1 if share == 1 else share > 0.5


def test_further_vcpus_move_the_break_even_down():
    """Faults wait for each other, a scan does not: published break-evens were for one vCPU."""
    profile = load_profile("arm64-dbm")
    few, many = (
        summary(break_even(Scenario(PAGES, 0, 1.0, vcpus=n), profile))[0]["p50"] for n in (1, 64)
    )
    assert many < few / 3
