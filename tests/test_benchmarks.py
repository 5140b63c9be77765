"""Every benchmark runs once, at its smallest parameters, and refuses a wrong harvest.

Slow is asv itself, interrupted; what the next run keeps, `test_kill_resume.py` tells without asv.
"""

import itertools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from platformdirs import user_cache_dir

from analysis.measured.load import load_results
from analysis.measured.walks import ENABLING, MADE_OF
from benchmarks import common, contention, get_dirty_log, groups, study
from strategies import registry
from strategies.fault.write_protect import WriteProtect

ROOT = Path(__file__).resolve().parent.parent


def suites():
    """Each class, the smallest cell of each tracker and its smallest sparse one, the methods there.

    A method that takes a time has a setup of its own; all that track something share one.
    """
    found = {}
    for suite, method in benchmarks():
        skip = getattr(getattr(suite, method), "skip_params", getattr(suite, "skip_params", ()))
        run = [cell for cell in itertools.product(*suite.params) if cell not in skip]
        first = {(cell[0], is_sparse(suite, cell)): cell for cell in reversed(run)}
        what = "track" if method.startswith("track_") else method
        for cell in first.values():
            found.setdefault((suite, what, cell), []).append(method)
    for (suite, what, cell), methods in found.items():
        name = "-".join(map(str, (suite.__name__, what, *cell)))
        yield pytest.param(suite, methods, cell, id=name)


def is_sparse(suite, cell):
    return 0 < dict(zip(suite.param_names, cell, strict=True)).get("density", 0) < 1


def benchmarks():
    """The class and method of each benchmark."""
    for name in sorted({name for name, _, _ in groups.suite_cells()}):
        module, suite, method = name.split(".")
        yield getattr(sys.modules[f"benchmarks.{module}"], suite), method


@pytest.fixture(autouse=True)
def no_cell_is_left_open():
    yield
    common.close_cell()


def run_once(benchmark, method, cell):
    """Do as asv does; return the time that asv would read, or the value."""
    start = benchmark.timer() if hasattr(benchmark, "timer") else 0
    value = getattr(benchmark, method)(*cell)
    return benchmark.timer() - start if hasattr(benchmark, "timer") and value is None else value


@pytest.mark.parametrize(("suite", "methods", "cell"), list(suites()))
def test_a_benchmark_runs(suite, methods, cell):
    assert isinstance(suite.version, str)
    assert len(suite.param_names) == len(suite.params)
    benchmark = suite()
    benchmark.setup(*cell)
    for method in methods:
        value = run_once(benchmark, method, cell)
        if method.startswith("track_"):
            assert type(value) in (int, float)  # a numpy number would not be JSON
            assert getattr(suite, method).unit
        elif issubclass(suite, common.OwnClock):
            assert 0 < value < 60 or (value == 0 and cell[0] == registry.BASELINE)


def test_the_full_grid_has_the_trackers_that_are_fitted():
    assert set(common.FITTED) == MADE_OF.keys() - {ENABLING}


def test_parameters_are_python_literals():
    for _, params, _ in groups.suite_cells():
        for text in params:
            assert "np." not in text


# What makes a time count


class Forgetful(WriteProtect):
    """Loses the first word of its log."""

    name = "forgetful"

    def _harvest(self, slot, out):
        nanoseconds = super()._harvest(slot, out)
        out[0] = 0
        return nanoseconds


class Excessive(WriteProtect):
    """Reports every page."""

    name = "excessive"

    def _harvest(self, slot, out):
        nanoseconds = super()._harvest(slot, out)
        out.fill(~np.uint64(0))
        return nanoseconds


@pytest.mark.parametrize("tracker", [Forgetful, Excessive])
def test_a_wrong_harvest_fails_and_has_no_time(monkeypatch, tracker):
    cell = ("write_protect", 16 * common.MIB, 0.1, common.PAGE_4K, "linear")
    benchmark = get_dirty_log.GetDirtyLog()
    benchmark.setup(*cell)
    monkeypatch.setattr(benchmark.cell.tracker, "__class__", tracker)
    with pytest.raises(common.WrongHarvestError, match=r"lost|in excess"):
        benchmark.time_get_dirty_log(*cell)
    assert benchmark.timer() == 0


def test_a_storm_that_loses_a_page_fails(monkeypatch):
    cell = common.open_cell("write_protect", 16 * common.MIB, common.PAGE_4K, "linear", 2)
    monkeypatch.setattr(cell.tracker, "__class__", Forgetful)
    with pytest.raises(common.WrongHarvestError, match=r"write_protect: \d+ pages lost"):
        contention.Contention().setup("write_protect", 2)


def test_every_sample_has_a_fresh_pattern_of_the_exact_density():
    cell = common.open_cell("null", 16 * common.MIB)
    patterns = []
    for _ in range(3):
        cell.dirty(0.01)
        patterns.append(frozenset(cell.gfns.tolist()))
        assert cell.gfns.size == len(patterns[-1]) == 41
    assert len(set(patterns)) == 3


# The command


def test_the_study_has_every_tracker_and_at_most_20_cells_of_each():
    code = (
        "import json; from benchmarks.groups import groups_of;"
        "print(json.dumps([[*map(list, g.cells)] for g in groups_of(False)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    groups = json.loads(done.stdout)
    assert all(groups)
    assert sum(map(len, groups)) <= 20 * len(registry.names())
    strategies = {params[0] for cells in groups for _, params, _ in cells if len(params) > 1}
    assert strategies == set(map(repr, registry.names()))


@pytest.mark.slow
def test_an_interrupted_study_goes_on_where_it_was(tmp_path):
    """One group is measured, the next one interrupted, then completed.

    Other projects' machines, which asv keeps in HOME, are in nobody's way.
    """
    strangers = {"version": 1, "laptop": {"machine": "laptop"}, "server": {"machine": "server"}}
    (tmp_path / ".asv-machine.json").write_text(json.dumps(strangers))
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.setdefault("NUMBA_CACHE_DIR", user_cache_dir("dirtylog"))
    results = tmp_path / "interrupted"
    command = [sys.executable, "-u", "-m", "benchmarks.study", "--groups", "cost|guest"]
    command += ["--results", str(results)]
    options = {"cwd": ROOT, "env": environment, "text": True, "stdout": subprocess.PIPE}

    with subprocess.Popen(command, **options) as process:
        for line in process.stdout:
            if line.startswith("cost of a call: 1 cells"):
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert set(load_results(results)["status"]) == {"ok"}

    done = subprocess.run(command, **options, check=True)
    assert "1 of 2 groups were measured before" in done.stdout
    assert "guest interval: 6 cells" in done.stdout
    frame = load_results(results)
    assert (frame["status"] == "ok").sum() == 7
    assert set(frame["machine"]) == {platform.node()}


def test_an_unknown_group_is_refused_in_one_line(capsys):
    assert study.main(["--groups", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "enable and disable" in error


def test_a_tree_that_is_no_checkout_is_named_by_its_sources(tmp_path):
    for name in ("strategies", "analysis", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("asv.conf.json", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    code = "from benchmarks.snapshot import identify; print(*identify(), sep='\\n')"

    def identified():
        command = [sys.executable, "-B", "-c", code]
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True}
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, env=environment, **options).stdout.splitlines()

    first = identified()
    assert "not a git checkout" in first[2]
    assert identified() == first
    (tmp_path / "strategies" / "null.py").write_text("")
    assert identified()[1] != first[1]
