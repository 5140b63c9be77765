"""The reader of asv's files against asv's own classes, on recorded files with all kinds of cells.

`tests/data/asv` was written by `asv run`; its `benchmarks.json` has the suite's source.
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

from analysis.measured.load import FAILED, OK, SKIPPED, latest, load_machine, load_results
from strategies.errors import InputError

RECORDED = Path(__file__).parent / "data" / "asv"


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


@pytest.mark.parametrize(
    ("column", "values"),
    [("machine", {"params": {"machine": "other"}}), ("environment", {"env_name": "other"})],
)
def test_results_of_two_machines_or_environments_are_refused(folder, column, values):
    path = result_file(folder)
    second = folder / "other" / path.name
    second.parent.mkdir()
    shutil.copy(path, second)
    change(second, **values)
    with pytest.raises(InputError, match=f"mixes results: {column} .*other"):
        load_results(folder)


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
    assert load_machine(passes) == load_machine(folder)


def test_passes_of_two_commits_are_refused(folder, tmp_path):
    for name in ("pass-1", "pass-2"):
        shutil.copytree(folder, tmp_path / "raw" / name)
    change(result_file(tmp_path / "raw" / "pass-2"), commit_hash="f" * 40)
    with pytest.raises(InputError, match=f"mixes results: commit .*{'f' * 40}"):
        load_results(tmp_path / "raw")


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
