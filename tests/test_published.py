"""Published times: none of them is in a constant, and the model stays where it is beside them."""

from dataclasses import replace

import pytest

from analysis.model.profile import CONSTANTS, load_profile
from analysis.model.published import judged, load_cases
from analysis.report.tables import published_widths

CASES = judged()
IDS = [f"{row['case'].text}, {row['case'].source[:20]}" for row in CASES]


def test_there_are_enough_and_of_many_kinds():
    assert len(CASES) >= 12
    used = {name for row in CASES for name in row["case"].counts}
    assert used <= set(CONSTANTS)
    assert {"page_scan", "page_rearm", "page_protect", "word_read", "fault", "split"} <= used


@pytest.mark.parametrize("row", CASES, ids=IDS)
def test_the_model_is_within_the_bound_of_the_case(row):
    assert 1 / row["case"].bound <= row["ratio"] <= row["case"].bound
    assert row["case"].bound <= 10


@pytest.mark.parametrize("row", CASES, ids=IDS)
def test_a_miss_is_explained_and_a_hit_is_not(row):
    assert row["in_range"] != bool(row["case"].miss)
    assert "independence" in row["case"].note


@pytest.mark.parametrize(("times", "inside"), [(1, len(CASES)), (1e6, 0)])
def test_values_within_the_draws_are_counted(times, inside):
    cited = [replace(row["case"], cited=times * row["value"]) for row in CASES]
    cases = [row | {"case": case} for row, case in zip(CASES, cited, strict=True)]
    assert published_widths(cases)["drawn"] == inside


def test_upton_judges_alone():
    """The series of 2022 is in no constant; its rows judge times, not only ratios."""
    upton = [case for case in load_cases() if "Upton" in case.source]
    assert len(upton) == 6
    assert {case.kind for case in upton} == {"time"}
    for one in load_profile("arm64").constants.values():
        assert "Upton" not in one.source
