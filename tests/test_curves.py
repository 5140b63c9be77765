"""What the model says over densities and platforms: no case is lost, and each range is a range."""

import numpy as np
import pytest

from analysis.measured.reference import load_reference
from analysis.model import curves
from analysis.model.break_even import SCAN
from analysis.model.evaluate import names_at
from analysis.model.profile import bundled, load_profile
from analysis.model.scenario import Scenario
from analysis.report.platforms import TODAY

GIB = 1 << 30
SLOT = 4 * GIB
DENSITIES = [1e-4, 1e-3, 1e-2, 1e-1]


@pytest.fixture(scope="module")
def crossings():
    return curves.break_evens(SLOT).set_index(["platform", "vcpus"])


@pytest.fixture(scope="module")
def last():
    return curves.last_rounds(64 * GIB, 0.001).set_index(["platform", "strategy"])


def test_every_profile_with_a_scan_is_a_platform_and_power_has_both_pages():
    with_scan = {name for name in bundled() if SCAN in load_profile(name).strategies()}
    assert {one.profile for one in curves.PLATFORMS} == with_scan
    assert set(TODAY) == set(bundled())
    for name in ("power8", "power9", "power9-radix"):
        pages = [one.page_bytes for one in curves.PLATFORMS if one.profile == name]
        assert pages == [65536, 4096]


def test_break_evens_are_ranges_and_draws_without_one_are_counted(crossings):
    shares = crossings[["share", "always_scan", "always_faults"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1)
    assert (crossings["p5"] < crossings["p50"]).all()
    assert (crossings["p50"] < crossings["p95"]).all()
    radix = crossings.loc["POWER9 radix, 64 KiB", 1]
    assert radix["share"] < 0.9
    assert radix["always_faults"] > 0.1  # a tlbie for each page dearer than a fault


@pytest.mark.parametrize("platform", [one.label for one in curves.PLATFORMS])
def test_more_vcpus_move_the_median_break_even_down(crossings, platform):
    assert crossings.loc[(platform, 64), "p50"] < crossings.loc[(platform, 1), "p50"] / 1.5


def test_a_page_size_has_walks_of_its_own():
    platform = next(one for one in curves.PLATFORMS if one.label == "POWER9 HPT, 64 KiB")
    scenario, profile = platform.at(SLOT)
    own, other = (
        load_reference().walks(scenario.slot_pages, size)["page_scan"][0] for size in (65536, 4096)
    )
    assert profile.constants["page_scan"].value == pytest.approx(own)
    assert own != pytest.approx(other)


def test_x86_has_a_wide_range(crossings):
    x86 = crossings.loc["x86, 4 KiB", 1]
    assert x86["p95"] > 10 * x86["p5"]


def test_shares_follow_from_the_break_evens(crossings):
    shares = curves.scan_shares(SLOT, DENSITIES).pivot(
        index="platform", columns="density", values="share"
    )
    assert (np.diff(shares.to_numpy(), axis=1) >= 0).all()
    for platform, row in shares.iterrows():
        median = crossings.loc[(platform, 1), "p50"]
        for density, share in row.items():
            assert density > median or share < 0.55
            assert density < median or share > 0.45 * crossings.loc[(platform, 1), "share"]


def test_the_page_size_turns_the_verdict_on_scattered_writes():
    rows = curves.scattered_writes(SLOT, 1000).set_index("platform")
    assert rows.loc["POWER9 HPT, 4 KiB", "share"] < 1 / 3
    assert rows.loc["POWER9 HPT, 64 KiB", "share"] > 2 / 3


def test_the_last_scan_of_an_hpt_invalidates_each_writable_entry(last):
    for pages, label in ((1 << 24, "4 KiB"), (1 << 20, "64 KiB")):
        for power in ("POWER8 HPT", "POWER9 HPT"):
            assert last.loc[(f"{power}, {label}", SCAN), "p5"] > pages * 200  # the lowest tlbie
    radix = last.loc[("POWER9 radix, 64 KiB", SCAN), "p95"]
    assert radix < last.loc[("POWER9 HPT, 64 KiB", SCAN), "p5"]


def test_the_last_get_with_manual_protect_costs_no_more_than_its_words(last):
    profile = load_profile("x86-kvm").constants
    words = (64 * GIB >> 12) / 64
    most = words * (profile["word_read"].high + profile["word_take"].high)
    assert last.loc[("x86, 4 KiB", "write_protect_batched"), "p95"] < most


def test_one_bit_for_many_pages_reports_them_all():
    share = curves.reported_share(0.001, 256)
    assert share == 1 - 0.999**256
    scenario = Scenario(1 << 20, 1 << 20, 1e9, page_bytes=65536, entry_pages=256)
    profile = load_profile("power9")
    names = names_at(scenario.at_density(0.001), profile.values())
    assert names["reported_pages"] / names["slot_pages"] == pytest.approx(share)


def test_what_is_offered_is_what_kernels_have():
    rows = curves.cpu_curves(SLOT, DENSITIES).groupby(["platform", "side"])["offered"].first()
    for one in curves.PLATFORMS:
        is_power = one.profile.startswith("power")
        assert rows[one.label, "scan"] == is_power
        assert rows[one.label, "faults"] != is_power


def test_a_dearer_fault_never_favours_faults():
    frame = curves.fault_map(SLOT, DENSITIES, [300, 3000, 30000])
    for _, rows in frame.groupby(["platform", "density"]):
        assert (np.diff(rows["share"]) >= 0).all()


def test_what_the_verdict_hangs_on_adds_up():
    frame = curves.verdict_drivers(SLOT)
    assert frame.groupby("platform")["share"].sum().to_numpy() == pytest.approx(1)


def test_a_harvest_by_scan_is_longer_where_little_is_written():
    ratios = curves.harvest_ratios(SLOT, [1e-4, 1e-2]).set_index(["platform", "density"])
    for one in curves.PLATFORMS:
        assert ratios.loc[(one.label, 1e-4), "p5"] > 1
    assert ratios.loc[("x86, 4 KiB", 1e-2), "p5"] < 1  # "at least 18.6 times" is not so
