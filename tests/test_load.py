"""The reader of asv's files against asv's own classes, on recorded files with all kinds of cells.

`tests/data/asv` was written by `asv run`; its `benchmarks.json` has the suite's source.
`tests/data/asv_public` has what public folders have and ours lack: machines and environments,
parameters that are no plain values, a result that is None, sparse `machine.json` files.
"""

import itertools
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from asv.benchmarks import Benchmarks
from asv.results import iter_results

from analysis.derived import origin
from analysis.measured.load import (
    FAILED,
    OK,
    SKIPPED,
    UNKNOWN,
    latest,
    load_machine,
    load_results,
)
from analysis.report.shown import describe
from strategies.errors import InputError

RECORDED = Path(__file__).parent / "data" / "asv"
PUBLIC = Path(__file__).parent / "data" / "asv_public"


@pytest.fixture
def folder(tmp_path):
    """A copy of the recorded files, to be changed."""
    return shutil.copytree(RECORDED, tmp_path / "asv")


def result_file(folder):
    (path,) = folder.glob("*/*-*.json")
    return path


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cells_of_asv(folder):
    """Every cell as asv reads it: (name, params) -> value, statistics, samples."""
    suite = Benchmarks.load(SimpleNamespace(results_dir=str(folder), benchmark_dir=""))
    cells = {}
    for result in iter_results(str(folder)):
        for name in result.get_result_keys(suite):
            params = result.get_result_params(name)
            read = (result.get_result_value, result.get_result_stats, result.get_result_samples)
            columns = [get(name, params) for get in read]
            for combination, *cell in zip(itertools.product(*params), *columns, strict=True):
                cells[name, combination] = cell
    return cells


def params_of(row):
    names = ("strategy", "slot_bytes", "density")
    return () if pd.isna(row["slot_bytes"]) else tuple(row[name] for name in names)


def is_none_or_nan(value):
    return value is None or math.isnan(value)


def test_every_cell_is_as_asv_reads_it():
    expected = cells_of_asv(RECORDED)
    rows = [row for _, row in load_results(RECORDED).iterrows()]
    assert len(rows) == len(expected) == 4 * 8 + 3
    for row in rows:
        params = tuple(map(repr, params_of(row)))
        if params:
            params = (params[0], repr(int(row["slot_bytes"])), params[2])
        value, statistics, samples = expected[row["benchmark"], params]
        status = FAILED if value is None else SKIPPED if math.isnan(value) else OK
        assert row["status"] == status
        assert row["value"] == value or (status != OK and math.isnan(row["value"]))
        assert row["samples"] == samples
        for column, name in (("q25", "q_25"), ("q75", "q_75"), ("ci99_low", "ci_99_a")):
            if statistics:
                assert row[column] == statistics[name]
            else:
                assert is_none_or_nan(row[column])


def test_failed_and_skipped_cells_are_kept_and_kept_apart():
    frame = load_results(RECORDED).set_index("benchmark")
    counts = frame.groupby("benchmark")["status"].value_counts().to_dict()
    assert counts == {
        ("suite.Cells.time_sum", OK): 5,
        ("suite.Cells.time_sum", FAILED): 2,
        ("suite.Cells.time_sum", SKIPPED): 1,
        ("suite.Cells.track_pages", OK): 5,
        ("suite.Cells.track_pages", FAILED): 2,
        ("suite.Cells.track_pages", SKIPPED): 1,
        ("suite.Cells.track_none_passes", FAILED): 7,
        ("suite.Cells.track_none_passes", SKIPPED): 1,
        ("suite.Cells.track_all_skipped", SKIPPED): 8,
        ("suite.time_alone", OK): 1,
        ("suite.track_alone", OK): 1,
        ("suite.track_failing", FAILED): 1,
    }


def test_a_row_names_its_parameters_unit_and_origin():
    frame = load_results(RECORDED)
    pages = frame[(frame["benchmark"] == "suite.Cells.track_pages") & (frame["density"] == 0.01)]
    assert pages["strategy"].tolist() == ["null", "null", "scan", "scan"]  # not a missing value
    assert pages["slot_bytes"].tolist() == [1, 4096, 1, 4096]
    assert set(pages["unit"]) == {"pages"}
    assert set(frame["machine"]) == {"fixture"}
    assert set(frame["environment"]) == {"virtualenv-py3.11"}
    assert set(frame["commit"].str.len()) == {40}


# What public folders have

TEXTS = {
    "path": {"PosixPath('/data/a.csv')", "PosixPath('/data/b.csv')"},
    "param_value": {1, "nan"},
    "dtype": {"<class 'numpy.float64'>", "<class 'numpy.int32'>"},
    "shape": {"(10, 10)"},
    "order": {"C", "None"},
    "n": {10, -1.5, True},
}


def test_public_folders_are_read_as_asv_reads_them():
    """Every machine, environment, commit and cell, and no other."""
    suite = Benchmarks.load(SimpleNamespace(results_dir=str(PUBLIC), benchmark_dir=""))
    expected = {}
    for result in iter_results(str(PUBLIC)):
        for name in result.get_result_keys(suite):
            params = suite[name]["params"]
            values = result.get_result_value(name, params)
            if name != "io.time_other_parameters":  # its rows have other ones, so no value at all
                key = (result.params["machine"], result.env_name, result.commit_hash, name)
                expected[key] = values
            else:
                assert values == [None]
    frame = load_results(PUBLIC)
    got = frame.groupby(["machine", "environment", "commit", "benchmark"], sort=False)
    assert set(got.groups) == set(expected)
    for key, rows in got:
        assert rows["value"].tolist() == pytest.approx(
            [math.nan if value is None else value for value in expected[key]], nan_ok=True
        )
        assert [status == FAILED for status in rows["status"]] == [v is None for v in expected[key]]


def test_parameters_that_are_no_plain_values_are_texts():
    frame = load_results(PUBLIC)
    assert {name: set(frame[name].dropna()) for name in TEXTS} == TEXTS


def test_the_latest_is_one_machine_environment_and_commit():
    frame = load_results(PUBLIC)
    assert frame.groupby(["machine", "environment", "commit"]).ngroups == 4
    last = latest(frame)
    assert set(last["machine"]) == {"laptop"}
    assert set(last["environment"]) == {"conda-py3.10-numpy1.23"}
    assert len(last) == len(frame) / 4


@pytest.mark.parametrize(
    ("name", "cpu", "num_cpu", "said"),
    [
        ("workstation", "AMD EPYC", 2, "on AMD EPYC, 2 CPUs, Linux 6, on "),
        ("laptop", UNKNOWN, UNKNOWN, "on CPU unknown, number of CPUs unknown, Linux, on "),
        ("github-actions", UNKNOWN, UNKNOWN, "on github-actions, a machine that asv noted nothing"),
        ("absent", UNKNOWN, UNKNOWN, "on absent, a machine that asv noted nothing of, on "),
    ],
)
def test_a_machine_is_the_one_that_the_rows_name(name, cpu, num_cpu, said):
    machine = load_machine(PUBLIC, name)
    frame = load_results(PUBLIC)
    about = origin(frame, machine)
    assert (about["machine"], about["cpu"], about["num_cpu"]) == (name, cpu, num_cpu)
    assert said in describe(
        SimpleNamespace(frame=frame, machine=machine, is_reference=True, pass_count=1)
    )


def test_a_damaged_machine_file_is_refused_in_one_line(folder):
    (folder / "fixture" / "machine.json").write_text('{"machine": "fix')
    with pytest.raises(InputError, match=r"machine.json' is no file of asv's"):
        load_machine(folder, "fixture")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("machine", {"params": {"machine": "other"}}),
        ("environment", {"env_name": "other"}),
        ("commit", {"commit_hash": "other"}),
    ],
)
def test_passes_of_two_machines_environments_or_commits_are_refused(
    folder, tmp_path, column, values
):
    for name in ("pass-1", "pass-2"):
        shutil.copytree(folder, tmp_path / "raw" / name)
    change(result_file(tmp_path / "raw" / "pass-2"), **values)
    with pytest.raises(InputError, match=f"mixes results: {column} .*other"):
        load_results(tmp_path / "raw")


# Commits and passes


def test_the_latest_commit_is_the_one_measured_last(folder):
    path = result_file(folder)
    content = json.loads(path.read_text())
    started = content["result_columns"].index("started_at")
    for row in content["results"].values():
        row[started] += 1000
    older, newer = content["commit_hash"], "f" * 40
    path.with_name("ffffffff-virtualenv-py3.11.json").write_text(
        json.dumps(content | {"commit_hash": newer})
    )
    frame = load_results(folder)
    assert set(frame["commit"]) == {older, newer}
    assert set(latest(frame)["commit"]) == {newer}


def test_passes_are_read_as_one_and_told_apart(folder, tmp_path):
    passes = tmp_path / "raw"
    for name in ("pass-2", "pass-1"):
        shutil.copytree(folder, passes / name)
    frame = load_results(passes)
    alone = load_results(folder)
    assert set(alone["pass"]) == {folder.name}
    assert frame["pass"].tolist() == ["pass-1"] * len(alone) + ["pass-2"] * len(alone)
    for name, rows in frame.groupby("pass"):
        rows = rows.reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, alone.assign(**{"pass": name}))
    assert load_machine(passes, "fixture") == load_machine(folder, "fixture")


def test_results_of_another_version_of_a_benchmark_are_left_out(folder):
    suite = json.loads((folder / "benchmarks.json").read_text())
    suite["suite.Cells.time_sum"]["version"] = "2"
    (folder / "benchmarks.json").write_text(json.dumps(suite))
    assert "suite.Cells.time_sum" not in set(load_results(folder)["benchmark"])


def test_what_is_no_result_is_refused_in_one_line(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no asv results in"):
        load_results(tmp_path / "empty")
    change(result_file(folder), version=1)
    with pytest.raises(InputError, match="format 1: accepted is 2"):
        load_results(folder)
    result_file(folder).write_text('{"version": 2, "resu')
    with pytest.raises(InputError, match="no file of asv's"):
        load_results(folder)
    result_file(folder).unlink()
    with pytest.raises(InputError, match="no results in"):
        load_results(folder)
