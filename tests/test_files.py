"""Files appear whole or not at all: beside other writers, after an interrupt and after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from strategies.errors import InputError
from strategies.files import completed, output_folder, replaced
from strategies.replay.figure import read_harvests
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import save_trace

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
WRITER = """
import sys
from pathlib import Path
from strategies.files import replaced
with replaced(Path(sys.argv[1])) as temporary:
    temporary.write_text("theirs")
    print("half", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that writes the same file, and has not completed it."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=ENVIRONMENT, text=True, **pipes) as process:
        assert process.stdout.readline() == "half\n"
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, text):
    with replaced(path) as temporary:
        temporary.write_text(text)


def test_two_writers_at_once_both_complete_the_file(tmp_path, other):
    path = tmp_path / "file"
    write(path, "ours")
    assert path.read_text() == "ours"
    other.communicate("go on\n")
    assert (other.returncode, path.read_text()) == (0, "theirs")
    assert names(tmp_path) == ["file"]


def test_an_interrupted_writer_leaves_what_was_there_and_nothing_else(tmp_path, other):
    (tmp_path / "file").write_text("before")
    other.send_signal(signal.SIGINT)
    assert other.wait() != 0
    assert (names(tmp_path), (tmp_path / "file").read_text()) == (["file"], "before")


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path, other):
    other.kill()
    other.wait()
    left = f".file.{other.pid}.tmp"
    assert names(tmp_path) == [left]
    write(tmp_path / "another", "")
    assert names(tmp_path) == [left, "another"]
    write(tmp_path / "file", "ours")
    assert names(tmp_path) == ["another", "file"]


def test_what_cannot_be_written_is_one_line(tmp_path):
    path = tmp_path / "none" / "file"
    refusal = pytest.raises(InputError, match=r"cannot write '.*/none/file' \(No such file")
    with refusal, completed(path) as temporary:
        temporary.write_text("half")


def test_an_output_folder_goes_if_it_is_interrupted_while_it_is_tried(tmp_path, monkeypatch):
    touch = Path.touch

    def interrupted(path):
        touch(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "touch", interrupted)
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "new" / "out", ["file"]):
        pass
    assert names(tmp_path) == []


def test_two_replays_at_once_into_one_folder_both_succeed(tmp_path):
    trace, out = tmp_path / "toy.npz", tmp_path / "out"
    save_trace(synthesize("uniform", slot_pages=100, density=0.1, epochs=3), trace)
    command = [sys.executable, "-m", "strategies.cli", "replay", str(trace), "--out", str(out)]
    command += ["--strategy", "write_protect"]
    both = [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL) for _ in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    assert names(out) == ["toy.harvests.csv", "toy.png", "toy.summary.csv"]
    assert np.isfinite(read_harvests(out / "toy.harvests.csv")["harvest_ns"]).all()
