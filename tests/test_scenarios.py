"""The written deployments of the report, and exact counts of replays priced."""

import pytest

from analysis.advice.scenarios import DEPLOYMENTS, advice_table
from analysis.model.pricing import counts_of, price, price_counts
from analysis.model.profile import bundled, load_profile
from strategies.registry import choices
from strategies.replay.output import row_of, summary_rows
from strategies.replay.run import build, replay
from strategies.workloads.synthetic import synthesize


@pytest.fixture(scope="module")
def advised():
    return advice_table()


def test_deployments_are_of_all_platforms_pages_and_aims(advised):
    assert len(advised) >= 15
    assert set(advised["profile"]) == set(bundled())
    assert set(advised["pages"]) == {"4 KiB", "64 KiB", "2 MiB", "16 MiB"}
    assert {1, 64} <= set(advised["vCPUs"])
    assert advised["least"].nunique() > 2
    assert set(advised["strategy"]) <= set(choices())  # history is no advice


def test_the_last_round_on_an_hpt_is_not_the_scans(advised):
    last = advised[advised["least"] == "last harvest, vCPUs stopped"]
    hpt = last[last["profile"] == "power9"]
    assert len(hpt) == 2
    assert not hpt["strategy"].eq("c_bit_scan").any()
    assert (hpt["a kernel there has"] == "c_bit_scan").all()


def test_each_deployment_is_one_that_the_command_line_takes(advised):
    assert [one.text for one in DEPLOYMENTS] == list(advised["deployment"])


@pytest.fixture(scope="module")
def trace():
    return synthesize("uniform", slot_pages=1000, density=0.03, epochs=5)


@pytest.mark.parametrize("strategy", ["c_bit_scan", "write_protect", "double_buffer"])
def test_a_summary_is_priced_as_its_replay(trace, strategy):
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    one = replay(trace, strategy, vm, slot)
    profile = load_profile("power9")
    setting = {"vcpus": 1, "mapping": "linear"}
    doc = {"trace": {"name": "t"}, "rows": [row_of(one)]}
    head, values = summary_rows(doc)
    row = dict(zip(head, values, strict=True))
    counted = counts_of(row, row["pages_reported"], trace)
    got = price_counts(row["strategy"], counted, trace, profile)
    assert got == price(one, trace, profile, **setting)
    assert 0 < got["cpu_ns"]["low"] < got["cpu_ns"]["value"] < got["cpu_ns"]["high"]
