"""Break-evens, winners and stalls of the model, against what is worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from analysis.model import compare
from analysis.model.estimate import Scenario
from analysis.report import figures

PAGES = 1 << 20
PROFILES = compare.profiles()


def test_break_even_of_scan_and_faults_solves_the_equation():
    costs = PROFILES["x86-kvm"].costs(Scenario(PAGES, 0, 1.0))
    # P page_scan + d (page_clear + tlbie + set_changed)
    #     = W word_read + d (page_rearm + tlbie + fault)
    clean = PAGES * costs["page_scan"] - PAGES / 64 * costs["word_read"]
    dirty = costs["page_rearm"] + costs["fault"] - costs["page_clear"] - costs["set_changed"]
    table = compare.break_evens(PROFILES["x86-kvm"], PAGES)
    row = table[(table["sparse"] == "write_protect") & (table["dense"] == "c_bit_scan")]
    assert row["density"].tolist() == [pytest.approx(clean / dirty / PAGES, rel=1e-3)]


def test_break_even_range_surrounds_the_value():
    frame = compare.scan_against_faults(PROFILES, PAGES)
    assert "arm64" not in set(frame["profile"])
    assert (frame["low_density"] < frame["density"]).all()
    assert (frame["density"] < frame["high_density"]).all()


@pytest.mark.parametrize(
    ("profile", "density", "winner", "tie"),
    [
        ("arm64-dbm", 0.5, "c_bit_scan", None),
        ("x86-kvm", 0.1, "write_protect_batched", "double_buffer"),
        ("power8", 1e-4, "write_protect", None),
    ],
)
def test_winner_has_least_cost_and_ties_are_within_the_margin(
    profile, density, winner, tie, monkeypatch
):
    monkeypatch.setattr(compare, "tie_margin", lambda: 0.05)
    frame = compare.winner_map(PROFILES[profile], [1 << 32], [density]).set_index("metric")
    assert frame.loc["cpu", "winner"] == winner
    assert frame.loc["cpu", "is_tie"] == (tie is not None)
    assert frame.loc["cpu", "ties"] == (tie or "")


def test_strategies_that_fault_alike_tie_in_stall():
    frame = compare.winner_map(PROFILES["arm64"], [1 << 32], [0.01])
    stall = frame[frame["metric"] == "stall"].iloc[0]
    assert {stall["winner"], *stall["ties"].split(", ")} == {
        "write_protect",
        "write_protect_batched",
        "double_buffer",
        "pte_flush",
    }


def test_trace_stall_is_faults_times_the_cost_of_one():
    row = {"trace": "t", "epochs": 10, "pages_stored": 500, "write_faults": 400, "map_faults": 0}
    rows = pd.DataFrame(
        [{**row, "strategy": "write_protect"}, {**row, "strategy": "c_bit_scan", "write_faults": 0}]
    )
    only = {"power8": PROFILES["power8"]}
    costs = PROFILES["power8"].constants
    stalls = compare.trace_stalls(only, rows, {"t": 20.0}).set_index("strategy")["value"]
    assert stalls["write_protect"] == pytest.approx(400 * costs["fault"].value / 200e6)
    assert stalls["c_bit_scan"] == pytest.approx(500 * costs["set_changed"].value / 200e6)


def test_figures_say_modelled_and_name_units_and_every_winner_by_letter():
    sizes, densities = np.geomspace(1 << 24, 1 << 32, 5), np.geomspace(1e-4, 1, 5)
    maps = {"power8": compare.winner_map(PROFILES["power8"], sizes, densities)}
    figure = figures.winner_maps(maps)
    assert figure.get_suptitle().startswith("Modelled")
    letters = {text.get_text() for panel in figure.axes for text in panel.texts}
    assert letters == {figures.LETTERS[name] for name in maps["power8"]["winner"]}
    curves = {"power8": compare.stall_curve(PROFILES["power8"], Scenario(PAGES, 0, 1e8), densities)}
    stall = figures.guest_stall(curves, "a slot")
    assert stall.get_suptitle().startswith("Modelled")
    assert "share of vCPU time" in stall.get_supylabel()


def test_harvest_figure_says_measured_and_tells_trackers_apart_by_marker():
    rows = [(name, size) for name in figures.LETTERS for size in (1 << 24, 1 << 32)]
    cells = pd.DataFrame(rows, columns=["strategy", "slot_bytes"]).assign(
        density=0.0, median_ns=200.0, q25_ns=190.0, q75_ns=220.0
    )
    figure = figures.harvest_latency(cells)
    assert figure.get_suptitle().startswith("Measured")
    panel = figure.axes[0]
    assert "ns" in panel.get_ylabel()
    markers = {bars.lines[0].get_marker() for bars in panel.containers}
    assert len(markers) == len(figures.LETTERS)
