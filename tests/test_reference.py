"""The reference results: derived from the raw ones, and what advice takes from them."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from analysis.measured.surface import Surface
from analysis.model.estimate import Scenario

import results
from analysis.derived import write_derived
from analysis.measured.reference import COSTS, ORIGIN, WALKS, Reference, load_reference
from analysis.model.profile import load_profile
from strategies.errors import InputError

REFERENCE = Path(results.__file__).parent / "reference"
NAN = float("nan")


def surface(page_ns, dirty_page_ns):
    return Surface([(1000, 0.0, page_ns, NAN), (1000, 0.1, page_ns, dirty_page_ns)])


@pytest.fixture
def small():
    """A reference of one size and one density, its tlbie 5 ns."""
    costs = {
        "c_bit_scan": (20.0, 65.0),
        "write_protect": (0.25, 90.0),
        "write_protect_batched": (0.5, 80.0),
        "pte_flush": (0.125, 300.0),
    }
    origin = {"tlbie_ns": 5.0, "slot_pages": [1000, 1000], "densities": [0.1, 0.1]}
    return Reference({name: surface(*pair) for name, pair in costs.items()}, origin)


def test_walks_are_the_trackers_costs_per_page(small):
    walk = small.walk_ns(1000, 0.1)
    assert tuple(walk) == WALKS
    assert walk == pytest.approx(
        {
            "page_scan": 20.0,
            "page_clear": 65.0 - 5.0,
            "word_read": 64 * 0.25,
            "page_rearm": 80.0,
            "page_unmap": 300.0 * 0.1,  # of each page of the slot
        }
    )


def test_a_clean_slot_has_the_costs_of_the_sparsest_measured(small):
    assert small.walk_ns(1000, 0.0) == small.walk_ns(1000, 0.1)


def test_the_grid_has_bounds(small):
    assert small.covers(Scenario(1000, 100, 1.0))
    assert small.covers(Scenario(1000, 0, 1.0))
    assert not small.covers(Scenario(1000, 1, 1.0))
    assert not small.covers(Scenario(1001, 100.1, 1.0))


def test_a_profile_in_units_of_the_reference_multiplies_its_walks():
    scenario = Scenario(1 << 18, 1 << 10, 1e8)
    walk = load_reference().walk_ns(scenario.slot_pages, scenario.density)
    profile = load_profile("power8")
    for which in ("low", "value", "high"):
        costs = profile.costs(scenario, which)
        for name in WALKS:
            assert costs[name] == pytest.approx(
                getattr(profile.constants[name], which) * walk[name]
            )
    fault = profile.constants["fault"]
    assert profile.costs(scenario)["fault"] == fault.value


# What is committed


def test_the_committed_derived_files_follow_from_the_raw_results(tmp_path):
    write_derived(REFERENCE, tmp_path)
    committed = REFERENCE / "derived"
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in committed.iterdir()}
    for path in tmp_path.glob("*.csv"):
        again, there = (
            pd.read_csv(p, keep_default_na=False) for p in (path, committed / path.name)
        )
        pd.testing.assert_frame_equal(again, there, rtol=1e-4)
    again, there = (json.loads((p / ORIGIN).read_text()) for p in (tmp_path, committed))
    assert again == there


def test_the_reference_is_of_one_named_machine_and_has_no_path_of_it():
    origin = load_reference().origin
    assert origin["failed"] == 0
    for key in ("machine", "cpu", "date", "commit", "python", "numpy", "numba"):
        assert origin[key]
    for path in REFERENCE.glob("raw/**/*.json"):
        assert re.search(r'"/\w+/', path.read_text()) is None


def test_advice_reads_what_derivation_wrote():
    with (REFERENCE / "derived" / COSTS).open() as file:
        assert file.readline().startswith("strategy,page_bytes,mapping,slot_pages,density,")
    reference = load_reference()
    least, most = reference.origin["slot_pages"]
    harvests = pd.read_csv(REFERENCE / "derived" / "harvests.csv", keep_default_na=False)
    is_base = (harvests["page_bytes"] == 4096) & (harvests["mapping"] == "linear")
    for cell in harvests[is_base & (harvests["density"] == 0)].to_dict("records"):
        if cell["strategy"] != "null":
            at = Scenario(cell["slot_pages"], 0, 1.0)
            assert least <= at.slot_pages <= most
            assert reference.harvest_ns(cell["strategy"], at) == pytest.approx(
                cell["lowest_ns"], rel=1e-4
            )


def test_derivation_needs_results(tmp_path):
    with pytest.raises(InputError, match="no asv results"):
        write_derived(tmp_path, tmp_path / "derived")
    assert not (tmp_path / "derived").exists()
