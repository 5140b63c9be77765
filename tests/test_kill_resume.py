"""What is killed leaves files that can be read, and the same command goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from platformdirs import user_cache_dir

from analysis.measured.harvests import read_replays
from analysis.measured.load import load_results
from benchmarks import study
from benchmarks.snapshot import identify
from strategies import registry
from strategies.cli import main
from strategies.replay.figure import read_harvests
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import save_trace

ROOT = Path(__file__).resolve().parent.parent
RECORDED = Path(__file__).parent / "data" / "asv"
ENDED_BY_SIGKILL = -signal.SIGKILL


# The suite


def wait_for_group(process):
    """Wait until a process has started one that leads a group of its own; return that one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for child in map(int, children.read_text().split()):
            with suppress(ProcessLookupError):
                if os.getpgid(child) == child:
                    return child
        time.sleep(0.01)
    raise AssertionError("it ended without one")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_killed_suite_goes_on_where_it_was(tmp_path):
    """One group is measured; in the middle of the next one the command is killed."""
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.setdefault("NUMBA_CACHE_DIR", user_cache_dir("dirtylog"))
    results = tmp_path / "killed" / "raw"
    command = [sys.executable, "-u", "-m", "benchmarks.study", "--groups", "cost|guest"]
    command += ["--results", str(results)]
    options = {"cwd": ROOT, "env": environment, "text": True, "stdout": subprocess.PIPE}

    with subprocess.Popen(command, **options) as process:
        for line in process.stdout:
            if line.startswith("cost of a call: 1 cells"):
                asv = wait_for_group(process)
                process.kill()
                os.killpg(asv, signal.SIGKILL)
        assert process.wait() == ENDED_BY_SIGKILL
    assert load_results(results)["status"].tolist() == ["ok"]

    done = subprocess.run(command, **options, check=True)
    assert "1 of 2 groups were measured before" in done.stdout
    assert (load_results(results)["status"] == "ok").sum() == 7


@pytest.mark.parametrize("torn", ["fixture/81a72e45-virtualenv-py3.11.json", "benchmarks.json"])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_torn_file_of_the_suite_is_measured_again(tmp_path, monkeypatch, capsys, torn, share):
    """The suite begins as without it, and keeps what is whole."""
    results = shutil.copytree(RECORDED, tmp_path / "raw")
    _, commit, _ = identify()
    whole = results / "fixture" / f"{commit[:8]}-whole.json"
    whole.write_text('{"version": 2, "results": {}}')
    text = (results / torn).read_text()
    (results / torn).write_text(text[: int(len(text) * share)])

    def interrupted(command, log, advance):
        config = json.loads(Path(command[command.index("--config") + 1]).read_text())
        assert Path(config["results_dir"], "fixture", whole.name).exists()
        assert not Path(config["results_dir"], torn).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_asv", interrupted)
    assert study.main(["--groups", "cost", "--results", str(results)]) == 130
    assert "the same command goes on" in capsys.readouterr().out
    assert whole.exists()


@pytest.mark.parametrize(
    ("pattern", "said"), [("[", "is no regular expression"), ("nope", "no group matches 'nope'")]
)
def test_groups_that_there_are_not_are_one_line(pattern, said, tmp_path, capsys):
    assert study.main(["--groups", pattern, "--results", str(tmp_path / "raw")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert list(tmp_path.iterdir()) == []


def test_a_kill_between_two_files_leaves_each_old_or_new(tmp_path, monkeypatch):
    stage = shutil.copytree(RECORDED, tmp_path / "stage")
    results = shutil.copytree(RECORDED, tmp_path / "results")
    files = [path.relative_to(stage) for path in stage.rglob("*.json")]
    for path in files:
        content = json.loads((stage / path).read_text())
        (stage / path).write_text(json.dumps(content | {"date": 7}))

    def half(source, target):
        Path(target).write_text(Path(source).read_text()[:50])
        raise KeyboardInterrupt

    before = {path: (results / path).read_text() for path in files}
    monkeypatch.setattr(shutil, "copy", half)
    with pytest.raises(KeyboardInterrupt):
        study.publish(stage, results)
    assert {path: (results / path).read_text() for path in files} == before
    assert not load_results(results).empty
    monkeypatch.undo()
    study.publish(stage, results)
    assert {(results / path).read_text() for path in files} == {
        (stage / path).read_text() for path in files
    }


# The replays

EPOCHS = 3000
TRACES = ("first", "second", "third")
STUDY = """
from pathlib import Path
import strategies.workloads.trace
from benchmarks.steps import Stamps, replay_all
strategies.workloads.trace._recordings = Path
raise SystemExit(replay_all(Path("out"), Stamps(Path())))
"""
"""The replays of the study, of three short recordings; the bundled ones take half a minute."""


def check_whole(out):
    """Every file that has its name is complete."""
    for path in out.glob("*.harvests.csv"):
        counts = read_harvests(path)["strategy"].value_counts()
        assert counts.to_dict() == dict.fromkeys(registry.names(), EPOCHS)
    for path in out.glob("*.summary.csv"):
        assert pd.read_csv(path).shape[0] == len(registry.names())
    for path in out.glob("*.png"):
        assert imread(path).shape[0] > 600


@pytest.mark.slow
def test_a_killed_study_of_recordings_goes_on(tmp_path):
    """It is killed while the second recording is replayed, then while the third one is."""
    for seed, name in enumerate(TRACES):
        trace = synthesize("uniform", slot_pages=768, density=0.02, epochs=EPOCHS, seed=seed)
        save_trace(trace, tmp_path / f"{name}.npz")
    out = tmp_path / "out"
    command = [sys.executable, "-c", STUDY]
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    for name in TRACES[:2]:
        with subprocess.Popen(command, **options, stdout=subprocess.DEVNULL) as process:
            while not (out / f"{name}.png").exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
            assert process.wait() == ENDED_BY_SIGKILL
        check_whole(out)
        assert not read_replays(out).empty

    done = subprocess.run(command, **options, check=True, capture_output=True, text=True)
    assert "first was replayed before and is kept" in done.stdout
    check_whole(out)
    assert {path.name for path in out.iterdir()} == {
        f"{name}.{suffix}" for name in TRACES for suffix in ("harvests.csv", "summary.csv", "png")
    }
    assert len(read_replays(out)) == len(TRACES) * (len(registry.names()) - 1)


def test_what_a_killed_replay_left_half_written_is_replaced(tmp_path):
    trace = synthesize("uniform", slot_pages=100, density=0.1, epochs=3)
    save_trace(trace, tmp_path / "toy.npz")
    out = tmp_path / "out"
    out.mkdir()
    names = {"toy.harvests.csv", "toy.summary.csv", "toy.png"}
    with subprocess.Popen(["true"]) as process:
        killed = process.pid
    for name in names:
        (out / f".{name}.{killed}.tmp").write_text("half")
        (out / name).write_text("half")
    assert main(["replay", str(tmp_path / "toy.npz"), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == names
    assert np.isfinite(read_replays(out)["harvest_ns_median"]).all()
