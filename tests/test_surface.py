"""Costs between measured points: exact at the points, geometric between, constant beyond."""

import math

import pytest

from analysis.measured.surface import Surface

# (slot pages, density, page_ns, dirty_page_ns)
GRID = Surface(
    [
        (100, 0.0, 1.0, math.nan),
        (100, 0.01, 1.0, 40.0),
        (100, 1.0, 1.0, 10.0),
        (10000, 0.0, 4.0, math.nan),
        (10000, 0.0001, 4.0, 160.0),
        (10000, 0.01, 4.0, 160.0),
        (10000, 1.0, 4.0, 40.0),
    ]
)


def test_measured_points_are_returned():
    assert GRID.harvest_ns(10000, 0) == pytest.approx(40_000)
    assert GRID.harvest_ns(10000, 100) == pytest.approx(40_000 + 100 * 160)
    assert GRID.harvest_ns(100, 100) == pytest.approx(100 + 100 * 10)


def test_between_sizes_and_densities_costs_are_geometric():
    assert GRID.page_ns(1000) == pytest.approx(2.0)
    assert GRID.dirty_page_ns(100, 0.1) == pytest.approx(20.0)
    assert GRID.dirty_page_ns(1000, 0.1) == pytest.approx(40.0)


def test_beyond_the_grid_costs_are_those_of_its_edge():
    assert GRID.page_ns(1 << 40) == pytest.approx(4.0)
    assert GRID.page_ns(1) == pytest.approx(1.0)
    assert GRID.dirty_page_ns(10000, 1e-9) == pytest.approx(160.0)


def test_a_size_that_was_measured_at_the_density_comes_before_one_that_was_not():
    assert GRID.dirty_page_ns(100, 0.001) == pytest.approx(160.0)


def test_density_is_clipped_to_the_measured_ones():
    assert [GRID.clipped(d) for d in (0.0, 0.5, 2.0)] == [0.0001, 0.5, 1.0]


def test_without_a_dirty_cell_there_is_no_cost_of_a_dirty_page():
    clean = Surface([(100, 0.0, 1.0, math.nan)])
    assert clean.harvest_ns(100, 0) == pytest.approx(100)
    assert math.isnan(clean.harvest_ns(100, 1))
