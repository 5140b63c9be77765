"""Draws: within each range, half on each side of the value, the same in every run."""

import numpy as np
import pytest

from analysis.model.draws import (
    DRAWS,
    RESOLUTION,
    at_quantile,
    drawn,
    drivers,
    quantiles,
    sobol_points,
)
from analysis.model.profile import CONSTANTS, Constant, bundled, load_profile
from analysis.model.scenario import Scenario


def constant(low, value, high):
    return Constant(value, low, high, "ns", "cited", "")


@pytest.mark.parametrize("name", bundled())
def test_a_draw_lies_in_the_range_and_half_of_them_below_the_value(name):
    profile = load_profile(name).at(Scenario(1 << 20, 0, 1.0))
    for key, values in drawn(profile).items():
        one = profile.constants[key]
        assert np.min(values) >= one.low * (1 - 1e-12)
        assert np.max(values) <= one.high * (1 + 1e-12)
        if one.low < one.value < one.high:
            assert np.mean(values < one.value) == pytest.approx(0.5, abs=0.01)


def test_a_range_is_uniform_in_the_logarithm_unless_it_begins_at_0():
    quarters = np.array([0.25, 0.75])
    assert at_quantile(constant(1, 100, 10000), quarters) == pytest.approx([10, 1000])
    assert at_quantile(constant(0, 100, 300), quarters) == pytest.approx([50, 200])
    assert at_quantile(constant(5, 5, 20), np.array([0.1, 0.75])) == pytest.approx([5, 10])


def test_no_two_constants_move_together():
    table = np.array(list(quantiles().values()))
    assert table.shape == (len(CONSTANTS), DRAWS)
    correlations = np.corrcoef(table) - np.eye(len(CONSTANTS))
    assert np.abs(correlations).max() < 0.1


def test_the_file_holds_what_scipy_draws():
    pytest.importorskip("scipy", reason="needs scipy, of the extra dev")
    kept = np.array(list(quantiles().values())).T * RESOLUTION - 0.5
    assert (sobol_points() == kept.round()).all()


def test_a_verdict_hangs_on_the_constant_that_moves_it():
    profile = load_profile("x86-kvm")
    values = drawn(profile)
    found = drivers(values["fault"] ** 3 * values["exit"] ** 0.1, profile)
    assert next(iter(found)) == "fault"
    assert found["fault"] > 0.9
    assert sum(found.values()) == pytest.approx(1)
    assert drivers(np.ones(DRAWS), profile) == {}
