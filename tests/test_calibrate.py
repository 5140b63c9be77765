"""Calibration: constants found in times made of them; a profile that says where each is from."""

import re

import numpy as np
import pytest

from analysis.model import calibrate_command
from analysis.model.calibrate import (
    Measured,
    costs_of_rounds,
    fault,
    fit,
    middles,
    noise,
    profile_text,
)
from analysis.model.full_speed import patience_after, undisturbed
from analysis.model.lanes import COUNTED, LANE_TERMS, cached_pages, columns, names_of, predicted
from analysis.model.profile import CONSTANTS, bundled_text, load_profile
from analysis.model.scenario import scenario_of_trace
from strategies.cli import main
from strategies.errors import InputError
from strategies.lanes.cells import FITTED, HELD_OUT, WARMS_UP, cell_trace
from strategies.lanes.speed import NO_PATIENCE, Patience, Speed


@pytest.mark.parametrize("is_steady", [False, True])
@pytest.mark.parametrize("kinds", [FITTED, HELD_OUT])
def test_a_trace_of_cells_warms_up_and_has_each_cell_as_often(kinds, is_steady):
    trace, order = cell_trace(1 << 14, repetitions=3, kinds=kinds, is_steady=is_steady)
    assert trace.epochs == len(order) == 4 * len(kinds)
    assert np.bincount(order[order != WARMS_UP]).tolist() == [3] * len(kinds)
    if is_steady:
        blocks = order.reshape(len(kinds), 4)
        assert (blocks[:, 0] == WARMS_UP).all()
        assert (blocks[:, 2:] == blocks[:, 1:2]).all()
    else:
        assert (order[: len(kinds)] == WARMS_UP).all()
    for epoch, cell in enumerate(order):
        gfns = trace.stores_of(epoch)
        if cell != WARMS_UP:
            density, run, parts = kinds[cell]
            assert len(gfns) == round((1 << 14) * density / run) * run
            spread = len(set((gfns // ((1 << 14) // parts)).tolist()))
            assert spread <= (1 if parts > 1 else len(gfns))


def test_a_cell_that_is_given_twice_is_visited_twice():
    once, often = FITTED[1], FITTED[-1]
    trace, order = cell_trace(1 << 10, 2, kinds=(once, often, often), is_steady=True)
    visits = order.reshape(3, 3)
    assert (visits[:, 0] == WARMS_UP).all()
    assert sorted(visits[:, 1].tolist()) == [0, 1, 1]
    assert (visits[:, 1] == visits[:, 2]).all()
    assert np.diff(trace.offsets).reshape(3, 3).sum(axis=1).tolist() == [
        3 * round(1024 * (once, often)[cell].density) for cell in visits[:, 1]
    ]


def test_no_cell_is_fitted_and_judged():
    assert not set(FITTED) & set(HELD_OUT)


CACHED = 1 << 15
SLOTS = (1 << 12, 1 << 14, 1 << 17)
"""The largest has more page-table entries than CACHED."""


def names_of_cells(pages):
    trace, _ = cell_trace(pages, 3)
    counted = scenario_of_trace(trace).counted
    return names_of(float(pages), np.diff(trace.offsets).astype(float), counted, CACHED)


@pytest.mark.parametrize("phase", ["harvest", "interval"])
@pytest.mark.parametrize("lane", LANE_TERMS)
def test_unit_costs_are_found_in_times_that_are_made_of_them(lane, phase):
    parts = [names_of_cells(pages) for pages in SLOTS]
    counts = [columns(lane, phase, part) for part in parts]
    joined = {unit: np.concatenate([count[unit] for count in counts]) for unit in counts[0]}
    true = {unit: 100.0 * (at + 1) for at, unit in enumerate(joined)}
    ns = np.concatenate([predicted(lane, phase, part, true) for part in parts])
    has = ns > 0
    found, error = fit({unit: count[has] for unit, count in joined.items()}, ns[has])
    assert error < 1e-6
    for unit, value in true.items():
        assert found[unit].value == pytest.approx(value, rel=1e-4)
        assert found[unit].low <= found[unit].value <= found[unit].high


def test_what_no_cell_tells_of_costs_nothing():
    told = {"call": np.ones(3), "page_scan": np.array([1.0, 10, 100]), "cold_scan": np.zeros(3)}
    found, error = fit(told, 700 + 3 * told["page_scan"])
    assert error < 1e-9
    assert found["cold_scan"] == Measured(0.0, 0.0, 0.0)
    assert found["page_scan"].value == pytest.approx(3)


def test_a_range_holds_what_a_constant_cannot_say():
    columns = {"page_clear": np.array([10.0, 100, 1000, 10_000])}
    found, _ = fit(columns, columns["page_clear"] * np.array([120, 90, 60, 45]))
    one = found["page_clear"]
    assert one.low < 50
    assert one.high > 70


def test_a_cell_has_a_percentile_of_its_times_and_the_mean_of_its_counts():
    samples = {
        "cell": np.array([1, 0, 1, 0, 1, 1, 1]),
        "runs": np.array([1.0, 5, 3, 5, 8, 1, 2]),
        "harvest_ns": np.array([30.0, 2, 90, 2, 20, 10, 9000]),
    }
    got = middles(samples)
    assert got["runs"].tolist() == [5, 3]
    assert got["harvest_ns"].tolist() == [2, 20]
    assert middles(samples, 50)["harvest_ns"].tolist() == [2, 30]


def test_the_l2_cache_tells_how_many_pages_have_their_entries_in_it(tmp_path):
    for index, (level, size) in enumerate([("1", "48K"), ("2", "2048K")]):
        (tmp_path / f"cache/index{index}").mkdir(parents=True)
        (tmp_path / f"cache/index{index}/level").write_text(level + "\n")
        (tmp_path / f"cache/index{index}/size").write_text(size + "\n")
    assert cached_pages(tmp_path) == 2048 * 1024 // 16
    assert cached_pages(tmp_path / "unknown") == 1024 * 1024 // 16


def cells_of(lane):
    """Made-up cells of a lane and what their units cost: all but the CPU's speed."""
    parts = [names_of_cells(pages) for pages in SLOTS]
    true = {term.unit: 100.0 * (at + 1) for at, term in enumerate(LANE_TERMS[lane])}
    cells = {
        name: np.concatenate([part[name] + 0 * part["dirty_pages"] for part in parts])
        for name in ("slot_pages", "dirty_pages", *COUNTED)
    }
    cells["cell"] = np.arange(len(cells["slot_pages"]))
    cells["harvest_ns"], cells["lost_ns"] = (
        np.concatenate([predicted(lane, phase, part, true) for part in parts])
        for phase in ("harvest", "interval")
    )
    return cells, true


def test_costs_are_of_all_rounds_together_and_ranges_as_wide_as_they_differ():
    lane = "uffd_async"
    cells, true = cells_of(lane)
    rounds = [cells | {"harvest_ns": factor * cells["harvest_ns"]} for factor in (0.9, 1.0, 1.2)]
    units, _, error = costs_of_rounds(lane, rounds, CACHED)
    assert error < 1e-6
    for unit in columns(lane, "harvest", names_of_cells(SLOTS[0])):
        assert units[unit].value == pytest.approx(true[unit], rel=1e-4)
        assert units[unit].low <= 0.7001 * true[unit]
        assert units[unit].high >= 1.2999 * true[unit]


@pytest.mark.parametrize(
    ("quick", "factors", "status"),
    [
        (1, (1.0, 1.0, 1.0), 0),
        (2, (1.0,) * 5, 0),
        (2, (1.0,) * 3, 1),
        (1, (0.7, 1.0, 1.3), 1),
    ],
)
def test_a_run_that_is_seldom_at_full_speed_or_deviates_is_not_trusted(
    quick, factors, status, tmp_path, monkeypatch, capsys
):
    """One cell of so many is seen at full speed in each round, of which there are so many."""
    cells, _ = cells_of("uffd_async")
    crowding = np.where(np.arange(len(cells["cell"])) % quick, 1.5, 1.0)
    cells |= {"clock_ns": np.full(len(crowding), 4000.0), "crowding": crowding}
    rounds = [cells | {"harvest_ns": factor * cells["harvest_ns"]} for factor in factors]
    monkeypatch.setattr(calibrate_command, "_samples", lambda _budget: {"uffd_async": rounds})
    out = tmp_path / "host.toml"
    assert main(["calibrate", "--out", str(out)]) == status
    assert out.exists() == (status == 0)
    said = capsys.readouterr()
    seen = f"in {len(factors) / quick:.1f} rounds (mean)"
    assert f"the CPU was at full speed {seen}; only such times count; trusted from 2" in said.out
    assert ("too noisy: no profile written" in said.err) == bool(status)


def test_noise_is_how_much_harvests_of_a_cell_deviate():
    def of(*rounds):
        return noise(
            [{"cell": np.array([0, 1]), "harvest_ns": np.array(ns, float)} for ns in rounds]
        )

    assert of((10, 500), (10, 500), (10, 500)) == 0
    assert of((8, 400), (10, 500), (12, 600)) == pytest.approx(0.2)


def samples_at(clock_ns, harvest_ns, crowding=1.0, cell=0):
    """By one lane's round."""
    known = {"cell": cell, "clock_ns": clock_ns, "crowding": crowding}
    known |= {"harvest_ns": harvest_ns, "lost_ns": harvest_ns}
    known = {name: np.asarray(values, float) for name, values in known.items()}
    return {name: np.broadcast_to(values, len(harvest_ns)) for name, values in known.items()}


def test_times_count_at_a_quick_clock_and_without_a_thread_beside_and_are_of_full_clock():
    """A CPU that is slow throughout one lane's harvests is measured by the other's."""
    clock_ns = [4000, 4400, 4000, 4800, 4000]
    crowding = [1.0, 1.02, 1.4, 1.0, 1.0]
    samples = {
        "a": [samples_at(clock_ns, [10, 13.2, 12, 13, 14], crowding)],
        "b": [samples_at([4400, 4800], [22, 26])],
    }
    kept, _ = undisturbed(samples)
    for name in ("harvest_ns", "lost_ns"):
        assert kept["a"][0][name] == pytest.approx([10, 12, np.nan, np.nan, 14], nan_ok=True)
        assert kept["b"][0][name] == pytest.approx([20, np.nan], nan_ok=True)
    assert middles(kept["a"][0], 50)["harvest_ns"] == pytest.approx([12])
    assert noise(kept["a"]) == pytest.approx(1 / 6)


def test_it_is_told_in_how_many_rounds_a_cell_was_seen_at_full_speed():
    seen = samples_at(4000, [1, 2, 3, 4], cell=[0, 0, 1, 2])
    partly = samples_at([4000, 8000, 8000, 8000], [1, 2, 3, 4], cell=[0, 0, 1, 2])
    kept, rounds = undisturbed({"a": [seen, partly], "b": [seen, seen]})
    assert rounds == pytest.approx(((1 + 1 / 3) + 2) / 2)
    assert np.isnan(middles(kept["a"][1])["harvest_ns"]).tolist() == [False, True, True]


def test_full_speed_is_that_of_the_quickest_round():
    """What percentiles of all rounds together are like hangs on how many of them were slow."""
    assert patience_after({"a": [], "b": []}, 5.0, 3) == NO_PATIENCE
    rounds = [samples_at(ns, [1] * 300, at) for ns, at in ((6000, 1.5), (6000, 1.5), (4000, 2.0))]
    how = patience_after({"a": rounds, "b": rounds}, 5.0, 3)
    assert how == Patience(Speed(pytest.approx(4600), pytest.approx(2.1)), 5.0, 3)


def test_a_lane_that_was_never_at_full_speed_tells_nothing():
    samples = {"a": [samples_at(4000, [1] * 20)], "b": [samples_at([5000, 6000], [7, 8])]}
    with pytest.raises(InputError, match="was slow in all harvests of b; accepted: a machine"):
        undisturbed(samples)


def test_a_cell_without_times_has_none():
    samples = {"cell": np.array([0, 0, 1]), "harvest_ns": np.array([np.nan, np.nan, 5])}
    assert np.isnan(middles(samples)["harvest_ns"]).tolist() == [True, False]


def test_a_fault_is_the_time_lost_per_page():
    one = fault(np.array([0, 2500, 30_000, np.nan]), np.array([0, 1, 10, 10]))
    assert one.value == pytest.approx(2750)


ASYNC = LANE_TERMS["uffd_async"]


@pytest.mark.parametrize(
    ("lines", "saying"),
    [
        ("[lanes.hope]", "lanes must be tables: [lanes.NAME]; accepted: uffd_async"),
        ("[lanes.uffd_async]\ncall = [1, 1, 1]", "lanes.uffd_async must have call, page_scan"),
        ("[lanes.uffd_async]\n{all} = 1", "must be a list: value, low, high"),
        ("[lanes.uffd_async]\n{all} = [-1, 0, 1]", "must be at most 1e+12 and 0 or more"),
    ],
)
def test_lanes_of_a_profile_are_checked(tmp_path, lines, saying):
    head, _, row = lines.partition("\n{all}")
    rows = [f"{term.unit}{row}" for term in ASYNC] if row else []
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([bundled_text("x86-kvm"), head, *rows]))
    with pytest.raises(InputError, match=re.escape(saying)):
        load_profile(path)


def test_the_profile_says_what_was_measured_and_what_transferred(tmp_path):
    measured = {"page_scan": Measured(1.5, 1.0, 2.0), "fault": Measured(2500.0, 2300.0, 3100.0)}
    lane = {term.unit: Measured(at + 2.0, 1.0, 9.0) for at, term in enumerate(ASYNC)}
    path = tmp_path / "mine.toml"
    names = {"base": "x86-kvm", "name": "mine", "title": "a host", "source": "a test"}
    path.write_text(profile_text(measured, {"uffd_async": lane}, **names))
    profile, base = load_profile(path), load_profile("x86-kvm")
    assert profile.settings == base.settings
    assert profile.lanes == {"uffd_async": {unit: one.value for unit, one in lane.items()}}
    assert base.lanes == {}
    for key in CONSTANTS:
        constant = profile.constants[key]
        if key in measured or key == "exit":
            assert constant.kind == "measured"
        else:
            assert constant.kind == "transferred"
            assert constant.value == base.constants[key].value
            assert constant.source.startswith("from x86-kvm: ")
    assert profile.constants["page_scan"].high == 2.0
    assert profile.constants["exit"].value == 0
    scenario = ["--slot", "1GiB", "--density", "1%", "--interval", "100ms"]
    assert main(["advise", *scenario, "--profile", str(path)]) == 0


PERF_TEST = """Test iterations: 2
Testing guest mode: PA-bits:ANY, VA-bits:48,  4K pages
guest physical test memory: [0x10000000, 0x410000000)
Populate memory time: 0.300000000s
Enabling dirty logging time: 0.004000000s

Iteration 1 dirty memory time: 0.150000000s
Iteration 1 get dirty log time: 0.000020000s
Iteration 1 clear dirty log time: 0.008000000s
Iteration 2 dirty memory time: 0.170000000s
Iteration 2 get dirty log time: 0.000030000s
Iteration 2 clear dirty log time: 0.010000000s
Disabling dirty logging time: 0.001000000s
Get dirty log over 2 iterations took 0.000050000s. (Avg 0.000025000s/iteration)
"""


def test_the_kernels_own_test_gives_constants(tmp_path):
    path, out = tmp_path / "perf.txt", tmp_path / "mine.toml"
    path.write_text(PERF_TEST)
    assert main(["calibrate", "--perf-test", str(path), "--vcpus", "4", "--out", str(out)]) == 0
    found = load_profile(out).constants
    pages = 0x400000000 / 4096
    for name, value, per in [
        ("page_rearm", 9e6, pages),
        ("word_read", 25e3, pages / 64),
        ("page_protect", 4e6, pages),
        ("fault", 160e6, pages / 4),
    ]:
        assert found[name].kind == "measured"
        assert found[name].value == pytest.approx(value / per)
    assert found["page_scan"].kind == "transferred"


def test_the_memory_is_asked_for_where_the_test_does_not_tell(tmp_path, capsys):
    path, out = tmp_path / "perf.txt", tmp_path / "mine.toml"
    path.write_text("Iteration 1 get dirty log time: 0.001s\n")
    command = ["calibrate", "--perf-test", str(path), "--out", str(out)]
    assert main(command) == 2
    assert "accepted: with --slot" in capsys.readouterr().err
    assert main([*command, "--slot", "1GiB"]) == 0
    assert load_profile(out).constants["page_rearm"].value == pytest.approx(1e6 / 2**18)


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("nothing\n", "has no 'Iteration 1 get dirty log time'"),
        ("x\nIteration 1 get dirty log time: soon\n", "line 2: 'soon' is no time"),
        ("guest physical test memory: [0x2000, 0x1000)\n", "line 1: memory that ends before it"),
        (
            "guest physical test memory: [0x1000, 0x2000)\n"
            "Iteration 1 get dirty log time: 999999999.0s\n",
            "page_rearm must be at most 1e+12",
        ),
    ],
)
def test_a_malformed_output_is_one_line(tmp_path, capsys, text, saying):
    path, out = tmp_path / "perf.txt", tmp_path / "mine.toml"
    path.write_text(text)
    assert main(["calibrate", "--perf-test", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert saying in error
    assert not out.exists()


def test_what_cannot_be_calibrated_is_one_line(tmp_path, capsys):
    out = tmp_path / "mine.toml"
    out.write_text("mine")
    for arguments, saying in [
        ([], "exists; give another"),
        (["--base", "z80"], "no profile 'z80'"),
    ]:
        assert main(["calibrate", "--out", str(out), *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert saying in error
    assert out.read_text() == "mine"
