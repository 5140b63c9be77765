"""The reference results: derived from the raw ones, and what advice takes from them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import results
from analysis.derived import HARVESTS, HELD_OUT, write_derived
from analysis.measured.fit import MOST_ERROR, SPREADS
from analysis.measured.reference import COSTS, ORIGIN, WALKS, Reference, load_reference
from analysis.measured.walks import ENABLING, MADE_OF, Cost
from strategies.errors import InputError

REFERENCE = Path(results.__file__).parent / "reference"
DERIVED = REFERENCE / "derived"
VARIANTS = [(4096, "linear"), (4096, "scattered"), (65536, "linear"), (65536, "scattered")]
TRACKERS = sorted(MADE_OF.keys() - {ENABLING})


def cost(*ns):
    return Cost(np.array([1000.0, 4000.0]), np.array(ns), np.array([0.1, 0.2]))


@pytest.fixture
def small():
    """A reference of one page size, of slots of 1000 to 4000 pages."""
    names = (*WALKS, "region_enter", "word_clear", "tlbie_wait", "clock", "tlbie")
    costs = {name: cost(number, 4.0 * number) for number, name in enumerate(names, 1)}
    grid = {
        "page_bytes": 4096,
        "mapping": "linear",
        "slot_bytes": [1000 * 4096, 4000 * 4096],
        "densities": [0.01, 0.1],
    }
    return Reference({(4096, "linear"): costs}, {"grid": [grid]})


def test_walks_have_a_cost_and_its_error_at_each_size(small):
    assert tuple(small.walks(1000)) == WALKS
    assert small.walks(1000)["page_clear"] == (pytest.approx(2.0), pytest.approx(0.1))
    assert small.walks(2000)["page_clear"] == (pytest.approx(4.0), pytest.approx(0.15))
    assert small.walks(1)["page_clear"] == small.walks(1000)["page_clear"]
    assert small.walks(1 << 40)["page_clear"] == small.walks(4000)["page_clear"]


def test_walks_of_many_sizes_at_once(small):
    ns, errors = small.walks(np.array([1000, 2000]))["page_scan"]
    assert ns == pytest.approx([1.0, 2.0])
    assert errors == pytest.approx([0.1, 0.15])


def test_a_harvest_has_its_simulated_tlbies(small):
    walk = {name: ns for name, (ns, _) in small.walks(1000).items()}
    clock_ns, tlbie_ns = 10.0, 11.0
    expected = clock_ns + 1000 * walk["page_scan"] + 5 * (walk["page_clear"] + tlbie_ns)
    assert small.harvest_ns("c_bit_scan", 1000, 5) == pytest.approx(expected)
    both = small.harvest_ns("c_bit_scan", 1000, np.array([0, 5]))
    assert both == pytest.approx([clock_ns + 1000 * walk["page_scan"], expected])


def test_the_grid_has_bounds(small):
    assert small.covers(1000, 0.1)
    assert small.covers(4000, 0.0)
    assert not small.covers(999, 0.1)
    assert not small.covers(1000, 0.2)
    assert not small.covers(1000, 0.1, 65536, "linear")
    assert small.covers(np.array([999, 1000]), 0.1).tolist() == [False, True]


def test_a_page_size_that_was_not_measured_is_refused(small):
    for ask in (small.walks, lambda *at: small.harvest_ns("c_bit_scan", 1000, *at)):
        with pytest.raises(InputError, match="accepted are 4096 linear"):
            ask(1000, 65536, "scattered")


# What is committed


@pytest.mark.parametrize("name", ["reference", "second"])
def test_the_committed_derived_files_follow_from_the_raw_results(name, tmp_path):
    derived = REFERENCE.with_name(name) / "derived"
    write_derived(derived.parent, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in derived.iterdir()}
    for path in tmp_path.glob("*.csv"):
        again, there = (pd.read_csv(p, keep_default_na=False) for p in (path, derived / path.name))
        pd.testing.assert_frame_equal(again, there, rtol=1e-4)
    again, there = (json.loads((p / ORIGIN).read_text()) for p in (tmp_path, derived))
    assert again == there


def test_the_reference_is_of_one_named_machine_and_has_no_path_of_it():
    origin = load_reference().origin
    assert origin["failed"] == 0
    for key in ("machine", "cpu", "date", "commit", "python", "numpy", "numba"):
        assert origin[key]
    for path in REFERENCE.glob("raw/**/*.json"):
        assert re.search(r'"/\w+/', path.read_text()) is None


def test_there_are_three_whole_passes_one_after_the_other():
    starts = pd.to_datetime(load_reference().origin["passes"])
    assert len(starts) >= 3
    assert (starts[1:] - starts[:-1]).min() >= pd.Timedelta(minutes=10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_walk_has_a_cost_and_an_error(variant):
    reference = load_reference()
    for ns, error in reference.walks(np.array([4096, 1 << 20]), *variant).values():
        assert (ns > 0).all()
        assert (error > 0).all()
    for strategy in TRACKERS:
        times = reference.harvest_ns(strategy, 1 << 18, np.array([0, 100, 1 << 18]), *variant)
        assert (np.diff(times) > 0).all()


def test_pages_of_64_kib_have_walks_of_their_own():
    """Their entries share no cache lines, so a cache holds those of fewer pages."""
    scan = {size: load_reference().walks(1 << 16, size)["page_scan"][0] for size in (4096, 65536)}
    assert scan[65536] > 1.3 * scan[4096]


def test_the_reference_covers_every_cell_that_was_measured():
    cells = pd.read_csv(DERIVED / HARVESTS, keep_default_na=False)
    for cell in cells[cells["strategy"].isin(TRACKERS)].itertuples():
        at = cell.slot_pages, cell.density, cell.page_bytes, cell.mapping
        assert load_reference().covers(*at)
    assert not load_reference().covers(1 << 30, 0.01)


def test_cells_left_out_are_judged_one_by_one():
    judged = pd.read_csv(DERIVED / HELD_OUT)
    assert set(judged["page_bytes"]) == {4096, 65536}
    assert set(judged["strategy"]) == set(TRACKERS)
    assert (judged["holds"] == (judged["error"].abs() <= judged["limit"])).all()
    assert (judged["limit"] >= MOST_ERROR).all()
    cells = pd.read_csv(DERIVED / HARVESTS, keep_default_na=False)
    spread = dict(zip(key_of(cells), pd.to_numeric(cells["lowest_spread"]), strict=True))
    for key, limit in zip(key_of(judged), judged["limit"], strict=True):
        assert limit == pytest.approx(max(MOST_ERROR, SPREADS * spread[key]), rel=1e-4)


def key_of(cells):
    return list(zip(*(cells[name] for name in HELD_OUT_KEY), strict=True))


HELD_OUT_KEY = ("strategy", "page_bytes", "mapping", "slot_bytes", "density")


def test_the_fit_predicts_cells_that_were_left_out():
    """Nine in ten to 30 % or, where that is more, to 1.5 times what passes differ by.

    The median error is within 10 %; for nine in ten it is 34 or 35 %, not 30 %, without that.
    """
    found = load_reference().origin["held_out"]
    assert found["within_limit"] >= 0.9
    assert found["median"] <= 0.1
    assert found["p90"] <= 0.37


def test_derivation_needs_results(tmp_path):
    with pytest.raises(InputError, match="no asv results"):
        write_derived(tmp_path, tmp_path / "derived")
    assert not (tmp_path / "derived").exists()


def test_advice_reads_what_derivation_wrote():
    with (DERIVED / COSTS).open() as file:
        assert file.readline() == "page_bytes,mapping,walk,slot_pages,ns,error\n"


def test_five_calibrations_of_one_machine_predict_the_same_harvests_within_10_percent():
    """What the README says of them."""
    found = pd.read_csv(REFERENCE / "lanes" / "calibrations.csv")
    by_cell = found.groupby(["lane", "slot_mib", "density"])["harvest_ns"]
    assert len(by_cell) == 80
    assert (by_cell.size() == 5).all()
    assert (by_cell.max() / by_cell.min()).max() <= 1.1
