"""The fit of walk costs: known costs are found again, their errors cover, left-out cells judge."""

import numpy as np
import pandas as pd
import pytest

from analysis.measured import fit
from analysis.measured.walks import (
    ENABLING,
    IN_AND_BEYOND,
    KNOT_BYTES,
    MADE_OF,
    REGION_PAGES,
    RISING,
    TABLE_BYTES,
    Cost,
    counts,
    harvest_ns,
)
from strategies.errors import InputError

KNOWN_NS = {"clock": 20.0, "tlbie": 7.0}
SIZES = [1 << shift for shift in range(12, 23)]
DENSITIES = [(0.0, 0.01, 0.0001, 0.1), (0.0, 0.01, 0.001, 1.0)]
NOISE = 0.1

KNOTS = [knot // TABLE_BYTES[4096] for knot in KNOT_BYTES]
IN_CACHE_AND_BEYOND = {
    "page_scan": (5.0, 30.0),
    "page_clear": (6.0, 40.0),
    "page_rearm": (15.0, 45.0),
    "tlbie_wait": (3.0, 25.0),
    "page_protect": (15.0, 50.0),
}
SAME_IN_ALL = {**KNOWN_NS, "word_read": 0.4, "region_enter": 90.0, "word_clear": 0.05}


def true_cost(slot_pages, ns):
    return Cost(np.array(slot_pages), np.array(ns), np.zeros(len(ns)))


TRUE = {
    **{name: true_cost(KNOTS, pair) for name, pair in IN_CACHE_AND_BEYOND.items()},
    "word_take": true_cost([SIZES[0], SIZES[-1]], (10.0, 100.0)),
    **{name: true_cost([1], [ns]) for name, ns in SAME_IN_ALL.items()},
}
BY_SIZE = (*IN_AND_BEYOND, *RISING)


def cells_of(seed, noise=NOISE, densities=DENSITIES):
    """Harvests of the true costs, each off by a random factor."""
    rows = [
        (strategy, size, 0.0 if strategy == ENABLING else density)
        for strategy in MADE_OF
        for number, size in enumerate(SIZES)
        for density in densities[number % len(densities)]
    ]
    cells = pd.DataFrame(rows, columns=["strategy", "slot_pages", "density"]).drop_duplicates()
    cells["dirty_pages"] = (cells["slot_pages"] * cells["density"]).round()
    cells = cells[(cells["density"] == 0) | (cells["dirty_pages"] > 0)].reset_index(drop=True)
    random = np.random.default_rng(seed)
    cells["lowest_ns"] = [
        harvest_ns(TRUE, cell.strategy, cell.slot_pages, cell.dirty_pages)
        for cell in cells.itertuples()
    ] * np.exp(noise * random.standard_normal(len(cells)))
    return cells.assign(
        page_bytes=4096, mapping="linear", slot_bytes=cells["slot_pages"] * 4096, lowest_spread=0.0
    )


def deviations(costs):
    """By how many of its errors each fitted cost is off, at its knots."""
    for name in BY_SIZE:
        cost = costs[name]
        off = np.log(cost.ns / TRUE[name].at(cost.slot_pages)[0])
        yield from off / cost.error


# What a harvest is made of


def test_a_harvest_is_the_sum_of_its_walks():
    found = counts("write_protect", 6400.0, 64.0)
    assert found["word_read"] == 100
    assert found["page_rearm"] == found["tlbie"] == found["tlbie_wait"] == 64
    assert found["word_take"] == pytest.approx(100 * (1 - 0.99**64))
    assert found["clock"] == 1
    total = sum(count * TRUE[name].at(6400)[0] for name, count in found.items())
    assert harvest_ns(TRUE, "write_protect", 6400, 64) == pytest.approx(total)


@pytest.mark.parametrize(("walk", "span"), [("word_take", 64), ("region_enter", REGION_PAGES)])
def test_what_is_touched_is_what_random_pages_touch(walk, span):
    random, slot_pages = np.random.default_rng(1), 20 * REGION_PAGES
    drawn = [random.permutation(slot_pages)[:40] // span for _ in range(200)]
    touched = np.mean([np.unique(spans).size for spans in drawn])
    assert counts("write_protect", slot_pages, 40)[walk] == pytest.approx(touched, rel=0.02)


def test_a_clean_log_of_two_bitmaps_is_not_read():
    clean, dirty = (counts("double_buffer", 6400, pages) for pages in (0, 1))
    assert (clean["word_clear"], clean["word_read"]) == (100, 0)
    assert (dirty["word_clear"], dirty["word_read"]) == (0, 100)


def test_harvests_of_arrays_are_those_of_their_elements():
    sizes, dirty = np.array([4096, 1 << 20]), np.array([0, 5000])
    for strategy in MADE_OF:
        together = harvest_ns(TRUE, strategy, sizes, dirty)
        alone = [harvest_ns(TRUE, strategy, *pair) for pair in zip(sizes, dirty, strict=True)]
        assert together == pytest.approx(alone)


def test_a_cost_is_geometric_between_its_knots_and_constant_beyond():
    cost = Cost(np.array([100.0, 10000.0]), np.array([2.0, 8.0]), np.array([0.1, 0.3]))
    assert cost.at(1000) == (pytest.approx(4.0), pytest.approx(0.2))
    assert cost.at(1) == (pytest.approx(2.0), pytest.approx(0.1))
    assert cost.at(1e9) == (pytest.approx(8.0), pytest.approx(0.3))


# The fit


def test_without_noise_the_costs_are_found():
    costs = fit.fit_costs(cells_of(seed=0, noise=0.0), KNOWN_NS)
    for name in BY_SIZE:
        assert costs[name].ns == pytest.approx(TRUE[name].at(costs[name].slot_pages)[0], rel=0.05)
    for name, ns in SAME_IN_ALL.items():
        assert costs[name].ns == pytest.approx([ns], rel=0.05)


def test_the_errors_cover_what_the_fit_is_off_by():
    off = np.abs(
        [d for seed in range(20) for d in deviations(fit.fit_costs(cells_of(seed), KNOWN_NS))]
    )
    assert np.mean(off < 1) > 0.6  # of a normal distribution 68 %
    assert np.mean(off < 2) > 0.9  # 95 %


def test_less_noise_is_less_error():
    few, more = (fit.fit_costs(cells_of(3, noise), KNOWN_NS) for noise in (0.02, 0.2))
    for name in ("page_scan", "page_rearm", "word_take"):
        assert (few[name].error < more[name].error / 4).all()


def test_a_cost_that_hides_in_the_noise_of_another_has_a_large_error():
    costs = fit.fit_costs(cells_of(4, densities=[(0.0, 0.001, 0.01)]), KNOWN_NS)
    assert costs["page_scan"].error.max() < 0.2
    assert costs["page_clear"].error.max() > 1


def knots_of(sizes):
    """The knots of a walk along the tables and of one to a random place, of a grid of sizes."""
    cells = cells_of(5)
    costs = fit.fit_costs(cells[cells["slot_pages"].isin(sizes)], KNOWN_NS)
    return costs["page_scan"].slot_pages.tolist(), costs["word_take"].slot_pages.tolist()


def test_a_grid_of_few_sizes_has_as_few_knots():
    assert knots_of(SIZES) == (KNOTS, [SIZES[0], *KNOTS, SIZES[-1]])
    assert knots_of(SIZES[::4]) == (KNOTS, SIZES[::4])
    assert knots_of(SIZES[4:5]) == ([SIZES[4]], [SIZES[4]])


def test_a_grid_of_one_side_has_one_cost_along_the_tables():
    assert knots_of(SIZES[:4])[0] == [SIZES[3]]
    assert knots_of(SIZES[-3:])[0] == [SIZES[-1]]


def test_a_small_grid_says_what_it_cannot_tell():
    """Four sizes, no slot dirty all over, as of `make study`; no fit of a part of it fails."""
    cells = cells_of(13, densities=[(0.0, 0.001, 0.01, 0.1)])
    cells = cells[cells["slot_pages"].isin([SIZES[k] for k in (0, 4, 8, 10)])]
    costs = fit.fit_costs(cells, KNOWN_NS)
    assert costs["page_scan"].error.max() < 0.2 < costs["page_clear"].error.max()
    assert np.isfinite(fit.held_out(cells, KNOWN_NS)["error"]).all()


def test_a_walk_that_no_cell_has_told_apart_is_no_singular_matrix():
    """Clean slots alone: nothing of a dirty page can be known, but the scan can."""
    cells = cells_of(14)
    costs = fit.fit_costs(cells[cells["density"] == 0], KNOWN_NS)
    assert costs["page_scan"].error.max() < 0.2
    assert costs["page_clear"].error.min() > 1


def test_times_that_the_clock_cannot_tell_have_no_part():
    cells = cells_of(6)
    below = cells["lowest_ns"] < fit.CLOCK_LIMIT_NS
    assert below.any()
    wrong = cells.assign(lowest_ns=cells["lowest_ns"].where(~below, 1.0))
    for name, cost in fit.fit_costs(cells, KNOWN_NS).items():
        assert (fit.fit_costs(wrong, KNOWN_NS)[name].ns == cost.ns).all()


def test_the_table_has_a_row_for_each_knot():
    table = fit.fit_walks(cells_of(7), KNOWN_NS)
    assert list(table) == ["page_bytes", "mapping", "walk", "slot_pages", "ns", "error"]
    assert set(table["walk"]) == TRUE.keys()
    assert not table.drop(columns="error").isna().any(axis=None)
    assert (table["error"].isna() == table["walk"].isin(KNOWN_NS)).all()


def test_passes_that_differ_in_a_walk_make_its_error_larger():
    """The scan of one pass is disturbed, all of it: no residual of the fit shows that."""
    cells = cells_of(11, noise=0.02)
    is_scan = cells["strategy"] == "c_bit_scan"
    slow = cells.assign(lowest_ns=cells["lowest_ns"].where(~is_scan, cells["lowest_ns"] * 2))
    quiet = fit.fit_walks(cells, KNOWN_NS)
    found = fit.with_scatter(quiet, [quiet, quiet, fit.fit_walks(slow, KNOWN_NS)])
    scan, rearm = (found["walk"] == name for name in ("page_scan", "page_rearm"))
    jackknife = np.log(2) * np.sqrt(2 / 9) * np.sqrt(2)
    assert found.loc[scan, "error"].to_numpy() == pytest.approx(jackknife, rel=0.05)
    assert found.loc[rearm, "error"].to_numpy() == pytest.approx(quiet.loc[rearm, "error"])
    assert (found["ns"] == quiet["ns"]).all()


def test_one_pass_has_no_scatter():
    quiet = fit.fit_walks(cells_of(12), KNOWN_NS)
    assert fit.with_scatter(quiet, []) is quiet


# Left-out cells


def test_left_out_cells_are_predicted_as_well_as_their_noise_allows():
    judged = fit.held_out(cells_of(8), KNOWN_NS)
    assert set(judged["left_out"]) == {"slot_bytes", "density"}
    assert set(judged["strategy"]) == MADE_OF.keys() - {ENABLING}
    found = fit.summary(judged)
    assert 0.05 < found["median"] < 0.1
    assert found["p90"] < 0.25
    assert found["within_limit"] > 0.95


def test_what_a_fit_cannot_know_is_an_error_unless_passes_differ_as_much():
    cells = cells_of(9, noise=0.01)
    is_odd = cells["slot_pages"] == SIZES[5]
    cells.loc[is_odd, "lowest_ns"] *= 2
    for spread, holds in ((0.0, False), (1.0, True)):
        cells.loc[is_odd, "lowest_spread"] = spread
        judged = fit.held_out(cells, KNOWN_NS)
        of_size = judged[(judged["slot_pages"] == SIZES[5]) & (judged["left_out"] == "slot_bytes")]
        assert of_size["error"].median() == pytest.approx(-0.5, abs=0.05)
        assert (of_size["holds"] == holds).all()


def test_two_sizes_and_two_densities_leave_nothing_out():
    cells = cells_of(10, densities=[(0.0, 0.01)])
    with pytest.raises(InputError, match="three are needed"):
        fit.held_out(cells[cells["slot_pages"].isin(SIZES[:2])], KNOWN_NS)
