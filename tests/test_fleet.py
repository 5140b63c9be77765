"""The answer for a fleet, from counts that are checked against a replay and costs made by hand."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonschema import validate

from analysis.fleet.answer import SETTING, Fleet, by_axis, load_fleet, of_each, of_one_choice
from analysis.fleet.cells import Work, cells_of, count_all
from analysis.fleet.dataset import Dataset, read
from analysis.fleet.generate import generate, make_trace
from analysis.fleet.prices import write_rows
from analysis.fleet.recordings import find_sources, look
from analysis.fleet.spec import merge, read_spec
from analysis.model.pricing import price, prices_plain
from analysis.model.profile import load_profile
from strategies.cli import main, run
from strategies.errors import InputError
from strategies.registry import choices
from strategies.replay.run import build, replay
from strategies.workloads.trace import load_trace, save_trace

SCHEMA = Path(__file__).parent / "schemas" / "fleet.json"
PROFILES = tuple(load_profile(name) for name in ("x86-kvm", "power9"))
PRICED = (*choices(), "dirty_ring:128")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A dataset of three generated VMs at two intervals, and of a desktop's first second."""
    folder = tmp_path_factory.mktemp("fleet")
    for vm in range(3):
        save_trace(make_trace(2, vm), folder / f"vm{vm}.npz")
    axes = {"strategy": [*PRICED, "null"]}
    asked = merge(None, [f"{folder}/*.npz"], axes | {"interval": ["10ms", "100ms"]})
    seen = {name: look(source) for name, source in find_sources(asked).items()}
    rows = count_all([Work(one, tuple(cells_of(asked, one))) for one in seen.values()])
    kept = Dataset(str(folder / "ds"))
    kept.add(rows)
    kept.keep_manifest("", [])
    write_rows(kept, seen, PROFILES)
    return folder


def row_of(dataset, strategy, interval_ms=10.0):
    rows = read(dataset / "ds")
    chosen = (rows["trace"] == "vm1") & (rows["interval_ms"] == interval_ms)
    (row,) = rows[chosen & (rows["strategy"] == strategy)].to_dict("records")
    return row


@pytest.mark.parametrize("strategy", PRICED)
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_prices_are_those_of_a_replay(dataset, strategy, profile):
    trace = load_trace(dataset / "vm1.npz")
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    result = replay(trace, strategy, vm, slot)
    expected = price(result, trace, profile, vcpus=1, mapping="linear")
    row = row_of(dataset, strategy)
    assert row["stored"] == sum(result.stored)
    assert {name: row[f"event/{name}"] for name in result.events} == result.events
    for name in ("harvest_ns", "stall_ns", "cpu_ns"):
        priced = expected and prices_plain(profile, strategy)
        value = expected[name]["value"] if priced else np.nan
        assert row[f"{profile.name}/{name}"] == pytest.approx(value, nan_ok=True)


def test_percentiles_are_those_of_single_harvests(dataset):
    """Each epoch's counts by formula: without reads a scan looks at all pages, clears the dirty."""
    trace = load_trace(dataset / "vm1.npz")
    dirty = np.diff(trace.offsets)
    profile = PROFILES[0]
    constant = profile.values()
    ns = trace.slot_pages * constant["page_scan"] + dirty * constant["page_clear"]
    if constant["tlbie_each"]:
        ns = ns + dirty * constant["tlbie"]
    else:
        ns = ns + (dirty > 0) * constant["flush"]
    row = row_of(dataset, "c_bit_scan")
    ranked = np.sort(ns)
    got = [row[f"x86-kvm/harvest_ns_{name}"] for name in ("p50", "p99", "max")]
    expected = [ranked[-(-len(ns) // 2) - 1], ranked[-(-99 * len(ns) // 100) - 1], ranked[-1]]
    assert got == pytest.approx(expected)


def test_shares_of_draws_add_up(dataset):
    rows = read(dataset / "ds")
    for profile in PROFILES:
        shares = rows[[*SETTING, "trace", f"{profile.name}/cpu_share"]]
        sums_of = shares.groupby([*SETTING, "trace"]).sum()[f"{profile.name}/cpu_share"]
        assert (sums_of >= 1.0).all(), "those that cost the same are all the least"
    assert rows[rows["strategy"] == "null"]["x86-kvm/cpu_ns"].isna().all()


def fleet_of(costs, traces=None, **axes):
    costs = np.array(costs, float)
    cases = pd.DataFrame({"trace": traces or [f"vm{at}" for at in range(len(costs))]})
    values = {"page_size": 4096, "mapping": "linear", "vcpus": 1, "interval_ms": 10.0, "seed": 0}
    cases = cases.assign(**(values | axes))
    shares = np.full(costs.shape, 1.0)
    prices = {"cpu": costs, "stall": costs / 10, "harvest": costs / 2}
    offered = np.array([False, True])
    return Fleet(cases, ("c_bit_scan", "write_protect"), prices, shares, offered, "cpu", 0)


def test_one_choice_for_all_against_the_best_for_each():
    fleet = fleet_of([[1, 4], [3, 2], [1, 2]])
    scan, faults, today, best = of_one_choice(fleet).to_dict("records")
    assert (scan["right_for"], faults["right_for"]) == (2, 1)
    assert (scan["cpu"], faults["cpu"], best["cpu"]) == (5, 8, 4)
    assert (scan["regret"], faults["regret"], best["regret"]) == (5 / 4, 2, 1)
    assert (scan["worst"], faults["worst"]) == (1.5, 4)
    assert (scan["is_proposal"], faults["is_proposal"], today["cpu"]) == (True, False, 8)
    assert scan["stall"] == pytest.approx(0.5 / 3)


def test_each_vm_has_its_strategy_its_margin_and_whether_it_is_near_a_flip():
    each = of_each(fleet_of([[1, 4], [2.1, 2], [1, 2]]))
    assert list(each["strategy"]) == ["c_bit_scan", "write_protect", "c_bit_scan"]
    assert list(each["margin"]) == pytest.approx([4, 1.05, 2])
    assert list(each["today"]) == ["write_protect"] * 3
    assert list(each["today_ratio"]) == pytest.approx([4, 1, 2])
    assert list(each["near_flip"]) == [False, True, False]


def test_outliers_lie_beyond_the_fences():
    costs = [[1 + at / 10, 9] for at in range(8)] + [[300, 900]]
    assert list(of_each(fleet_of(costs))["outlier"]) == [False] * 8 + [True]


def test_by_axis_compares_the_same_vms():
    traces = ["vm0", "vm0", "vm1", "vm1", "vm2"]
    axes = {"interval_ms": [10.0, 100.0, 10.0, 100.0, 10.0]}
    table = by_axis(
        fleet_of([[4, 8], [1, 2], [6, 9], [2, 1], [50, 50]], traces, **axes), "interval_ms"
    )
    table = table.set_index(["interval_ms", "strategy"])["cpu"]
    assert (table[10.0, "c_bit_scan"], table[100.0, "c_bit_scan"]) == (10, 3)
    assert (table[10.0, "the best for each"], table[100.0, "the best for each"]) == (10, 2)


def test_a_strategy_that_a_vm_lacks_is_no_choice_for_all():
    table = of_one_choice(fleet_of([[1, np.inf], [1, 2]]))
    assert list(table["strategy"]) == ["c_bit_scan", "the best for each"]


def test_costs_are_per_second(dataset):
    fleet = load_fleet(str(dataset / "ds"), "x86-kvm")
    row = row_of(dataset, "c_bit_scan", 100.0)
    at = fleet.cases.index[(fleet.cases["trace"] == "vm1") & (fleet.cases["interval_ms"] == 100)]
    seconds = row["epochs"] * row["epoch_ms"] / 1000
    expected = row["x86-kvm/cpu_ns"] / 1e9 / seconds
    assert fleet.costs["cpu"][at[0], 0] == pytest.approx(expected)


def test_a_table_and_a_page_are_made(dataset, tmp_path, capsys):
    assert main(["fleet", str(dataset / "ds"), "--report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "One choice for all" in said
    assert "100 ms" in said
    assert "c_bit_scan*" in said
    page = (tmp_path / "index.html").read_text()
    assert "no kernel of the platform has it" in page
    for name in ("distribution", "heat_map", "regret"):
        assert f'id="{name}"' in page
        assert {f"{name}.svg", f"{name}-dark.svg"} <= {path.name for path in tmp_path.iterdir()}


def test_counts_of_a_version_with_fewer_events_are_kept_and_not_shown(dataset, tmp_path):
    shutil.copytree(dataset / "ds", tmp_path / "ds")
    kept = Dataset(str(tmp_path / "ds"))
    for path in (tmp_path / "ds" / "_counts").rglob("*.parquet"):
        table = pq.read_table(path).drop_columns(["epoch/pages_opened", "event/pages_opened"])
        older = table.set_column(
            table.schema.get_field_index("sources"), "sources", pa.array(["older"] * len(table))
        )
        pq.write_table(older, path.with_name("older.parquet"))
    before = read(tmp_path / "ds")
    asked = merge(None, [f"{dataset}/*.npz"], {})
    seen = {name: look(source) for name, source in find_sources(asked).items()}
    write_rows(kept, seen, PROFILES)
    pd.testing.assert_frame_equal(read(tmp_path / "ds"), before)


def test_json_fits_its_schema(dataset, capsys):
    assert main(["fleet", str(dataset / "ds"), "--by", "stall", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    validate(document, json.loads(SCHEMA.read_text()))
    assert len(document["vms"]) == 3
    assert {row["interval_ms"] for row in document["by_interval"]} == {10, 100}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["{}"], "holds no dataset"), (["{}/ds", "--profile", "arm64"], "has no prices of 'arm64'")],
)
def test_what_it_cannot_answer_is_one_line(dataset, arguments, said, capsys):
    assert main(["fleet", *(one.format(dataset) for one in arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "is not TOML"),
        ("size = 3", "has size; accepted: traces, axes, workload"),
        ("[axes]\npages = [1]", "has axes.pages"),
        ("[axes]\nvcpus = [0]", "vcpus: 0: accepted are whole numbers from 1 to 64"),
        ("[axes]\nstrategy = []", "strategy is empty"),
        ("[axes]\nstrategy = ['magic']", "unknown strategy 'magic'"),
        ("[axes]\npage_size = ['16MiB']", "accepted are 4KiB, 64KiB"),
        ("[axes]\ninterval = [10]", "accepted are durations"),
        ("traces = 'x'", "must be a list of paths"),
        ("[[workload]]\nslot = '1GiB'", "lacks its pattern"),
        ("[[workload]]\npattern = 'zipf'\ndensity = 'much'", "not a fraction"),
        ("[[workload]]\npattern = 'zipf'\nslot = '5000'", "multiple of 4KiB"),
        ("[[workload]]\npattern = 'gaussian'", "no pattern 'gaussian'; accepted: uniform"),
        ("[[workload]]\npattern = 'zipf'\nepochs = -1", "whole numbers from 1 to"),
        ("[[workload]]\npattern = 'zipf'\nepochs = true", "whole numbers from 1 to"),
        ("[[workload]]\npattern = 'framebuffer'\ndensity = '50%'", "density of framebuffer must"),
    ],
)
def test_a_wrong_spec_is_one_line(text, said, tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_spec(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_fleet_is_generated_or_one_line_says_why_not(tmp_path, capsys):
    (tmp_path / "taken").write_text("precious")
    room, taken = tmp_path / "room", tmp_path / "taken/below"
    assert run(generate, [str(room), "--vms", "2"], "program") == 0
    assert capsys.readouterr().out == f"wrote 2 recordings to {room}\n"
    assert run(generate, [str(taken), "--vms", "2"], "program") == 2
    assert capsys.readouterr().err == f"program: error: {taken}: Not a directory\n"
    assert load_trace(tmp_path / "room" / "vm0001.npz").name == "vm0001"
