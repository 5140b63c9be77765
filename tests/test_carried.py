"""Two machines beside each other, on cells that were worked out by hand; and what is committed."""

import re
from pathlib import Path

import pandas as pd
import pytest

import results
from analysis.measured.carried import agreement, joined, load_carried, pairs, spread, versus
from analysis.report import machines
from analysis.report.measured_figures import carried_over

RESULTS = Path(results.__file__).parent
MIB = 1 << 20
REFERENCE = {
    ("c_bit_scan", 0.0): 26_000,
    ("write_protect", 0.0): 60,
    ("double_buffer", 0.0): 30,
    ("c_bit_scan", 0.01): 1_000,
    ("write_protect", 0.01): 800,
    ("double_buffer", 0.01): 820,
    ("pte_flush", 0.01): 500,
    ("null", 0.0): 20,
    ("c_bit_scan", 1.0): 9_000,
}
SECOND = {
    ("c_bit_scan", 0.0): 39_000,
    ("write_protect", 0.0): 150,
    ("double_buffer", 0.0): 40,
    ("c_bit_scan", 0.01): 1_000,
    ("write_protect", 0.01): 2_400,
    ("double_buffer", 0.01): 1_640,
    ("pte_flush", 0.01): 500,
    ("null", 0.0): 20,
}


def machine(times):
    rows = [
        {
            "strategy": strategy,
            "page_bytes": 4096,
            "mapping": "linear",
            "slot_bytes": 16 * MIB,
            "density": density,
            "median_ns": float(ns),
        }
        for (strategy, density), ns in times.items()
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def cells():
    return joined(machine(REFERENCE), machine(SECOND))


def test_cells_are_those_of_both_machines_and_of_trackers_to_choose(cells):
    ratio = cells.set_index(["strategy", "density"])["ratio"]
    assert ratio.dropna().to_dict() == {
        ("c_bit_scan", 0.0): 1.5,
        ("write_protect", 0.0): 1.5,  # 150 over 60, which counts as 100
        ("c_bit_scan", 0.01): 1.0,
        ("write_protect", 0.01): 3.0,
        ("double_buffer", 0.01): 2.0,
    }


def test_a_cell_below_the_limit_on_both_machines_has_no_ratio(cells):
    (missing,) = cells[cells["ratio"].isna()].to_dict("records")
    assert (missing["strategy"], missing["density"]) == ("double_buffer", 0.0)
    assert (missing["reference_ns"], missing["second_ns"]) == (100, 100)


def test_ratios_have_quantiles_and_how_many_are_within_a_factor_of_two(cells):
    found = spread(cells["ratio"])
    assert (found["least"], found["p50"], found["most"]) == (1.0, 1.5, 3.0)
    assert (found["count"], found["within_two"]) == (5, 4)


def test_one_tracker_is_compared_with_another_on_both_machines(cells):
    (row,) = versus(cells[cells["density"] == 0], "c_bit_scan", "write_protect").to_dict("records")
    assert (row["reference"], row["second"], row["ratio"]) == (260, 260, 1)


def test_pairs_that_differ_by_less_than_the_noise_of_a_machine_are_ties(cells):
    found = pairs(cells, (0.1, 0.3)).set_index(["density", "quicker", "slower"])
    assert found["is_tie"].to_dict() == {
        (0.0, "write_protect", "c_bit_scan"): False,
        (0.0, "double_buffer", "c_bit_scan"): False,
        (0.0, "double_buffer", "write_protect"): True,  # 100 and 100 on the reference
        (0.01, "write_protect", "c_bit_scan"): False,
        (0.01, "double_buffer", "c_bit_scan"): False,
        (0.01, "write_protect", "double_buffer"): True,  # 800 and 820
    }
    turned = found.loc[(0.01, "write_protect", "c_bit_scan")]
    assert (turned["reference"], turned["second"]) == (1.25, pytest.approx(1 / 2.4))


def test_the_quicker_is_the_same_or_has_turned(cells):
    assert agreement(pairs(cells, (0.1, 0.3))) == {
        "pairs": 4,
        "same": 2,
        "ties": 2,
        "far": 2,
        "far_same": 2,
        "turned_most": pytest.approx(2.4),
    }


def test_the_figure_has_a_row_for_each_tracker_that_has_a_ratio(cells):
    (panel,) = carried_over(cells).axes
    labels = [label.get_text() for label in panel.get_yticklabels()]
    assert labels == ["c_bit_scan", "write_protect", "double_buffer"]


def test_without_a_second_machine_there_is_nothing_to_compare(tmp_path):
    assert load_carried(RESULTS / "reference/derived", tmp_path) is None


# What is committed


@pytest.fixture(scope="module")
def carried():
    return load_carried(RESULTS / "reference/derived", RESULTS / "second/derived")


def test_the_answer_names_both_machines_and_says_what_they_do_not_tell(carried):
    answer = (RESULTS / "reference/report/answer.md").read_text()
    assert machines.answer(carried) in answer
    for origin in (carried.reference, carried.second):
        assert origin["cpu"] in machines.answer(carried)
    assert "neither is POWER" in machines.answer(carried)


def test_the_report_has_the_figure_and_what_is_said_of_it():
    page = (RESULTS / "reference/report/index.html").read_text()
    assert "On a second machine" in page
    assert re.search(r"<title>Measured: a second machine takes |second_machine", page)
    for name in ("second_machine.svg", "second_machine-dark.svg"):
        assert (RESULTS / "reference/report" / name).is_file()


def test_the_second_machine_is_another_one_and_its_files_have_no_path_of_it(carried):
    assert carried.second["machine"] != carried.reference["machine"]
    assert carried.second["failed"] == 0
    for path in (RESULTS / "second").glob("raw/**/*.json"):
        assert re.search(r'"/\w+/|_venv|\.venv', path.read_text() + path.name) is None
