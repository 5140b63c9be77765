"""Adaptive beside its rivals, as the report says it."""

import pandas as pd
import pytest

from analysis.report import rivals


@pytest.fixture
def found(tmp_path):
    (tmp_path / "rivals").mkdir()
    rows = [("x86-kvm", 10.0, 0.9, 1.2, 5.0, 1.5), ("x86-kvm", 30.0, 1.01, 2.0, 10.0, 6.0)]
    columns = ["profile", "cpu_us", "ratio", "times_better_than_2011", "least_cpu_us"]
    frame = pd.DataFrame(rows, columns=[*columns, "times_possible_than_2011"])
    frame.to_csv(tmp_path / "rivals" / "recordings.csv", index=False)
    return rivals.load_rivals(tmp_path)


def test_a_platform_has_least_and_greatest(found):
    (row,) = rivals.by_platform(found).to_dict("records")
    assert row["platform"] == "x86-kvm"
    assert row["of the least possible"] == "2 to 3"
    assert row["times that are possible"] == "1.5 to 6"


def test_the_sentence_has_both_ends(found):
    text = rivals.said(found)
    assert "at best 1.5 to 6 times less" in text
    assert "1.2 to 2 times less than that, and 2 to 3 times the bound" in text


def test_what_costs_less_than_is_possible_is_not_reported(found):
    with pytest.raises(AssertionError):
        rivals.said(found.assign(over_least=0.9))


def test_a_folder_without_them_says_nothing(tmp_path):
    assert rivals.load_rivals(tmp_path) is None


def test_what_is_left_out_of_the_rivals_is_said_to_be_cheaper_where_it_is():
    found = pd.DataFrame(
        {"trace": ["a", "b"], "profile": "power9", "times_better_than_2011": [2.0, 4.0]}
    )
    rows = [("a", "c_bit_scan", 8.0), ("a", "dbm_hybrid", 1.0), ("b", "c_bit_scan", 8.0)]
    rows += [("b", "dbm_hybrid", 4.0), ("a", "write_protect", 9.0), ("b", "write_protect", 9.0)]
    priced = pd.DataFrame(rows, columns=["trace", "strategy", "cpu"]).assign(profile="power9")
    text = "`dbm_hybrid` takes less in 1 of 2 pairs, at most 4 times less"
    assert rivals.cheaper(found, priced, "dbm_hybrid") == text
