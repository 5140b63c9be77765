"""The programs that are run by hand: what they cannot do is one line, before any work."""

import pytest

from benchmarks.by_hand import contention, fleet, harvests, lanes, scale
from strategies.cli import run

REFUSED = {
    (contention, "--threads 100000"): "100000 threads and a harvest want 100001 cores: here are ",
    (contention, "--passes 0"): "0 is not in the range x>=1",
    (contention, "--rounds -1"): "-1 is not in the range x>=1",
    (harvests, "--passes 0"): "0 is not in the range x>=1",
    (harvests, "--most 2m"): "--most 2 MiB; accepted: 16 MiB",
    (harvests, "--most large"): "'large' is not a size",
    (harvests, "--beside ."): "harvests.csv: No such file",
    (lanes, "calibrations --runs 0"): "0 is not in the range x>=1",
    (lanes, "calibrations --runs -2"): "-2 is not in the range x>=1",
    (lanes, "calibrations --budget 2m"): "'2m' is not a duration",
}
"""What is asked of a program that writes into a folder, and what it says."""

ASKED = {
    (scale, "--slot 256KiB"): "--slot 256 KiB; accepted: 100 pages or more",
    (scale, "--slot huge"): "'huge' is not a size",
    (scale, "--slot 1MiB --page-size 5KiB"): "'5KiB' is not one of '4KiB', '64KiB'",
    (scale, "--slot 1MiB --strategy guess"): "unknown strategy 'guess'",
    (fleet, "serial --out ds"): "Missing argument 'TRACES...'",
    (fleet, "same ds"): "Missing argument 'OTHERS...'",
    (fleet, "throughput vga_desktop --times 0"): "0 is not in the range x>=1",
}


def said(capsys, module, *words):
    """Run a program that refuses; return its one line on stderr."""
    assert run(module.main, words, "program") == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(("asked", "answer"), REFUSED.items(), ids=lambda one: str(one)[-30:])
def test_what_is_not_accepted_is_one_line_and_nothing_is_written(asked, answer, tmp_path, capsys):
    module, words = asked
    out = tmp_path / "out"
    line = said(capsys, module, *words.split(), "--out", str(out))
    assert line.startswith("program: error: ")
    assert answer in line
    assert not out.exists()


@pytest.mark.parametrize(("asked", "answer"), ASKED.items(), ids=lambda one: str(one)[-30:])
def test_what_a_program_that_prints_does_not_accept_is_one_line(asked, answer, capsys):
    module, words = asked
    assert answer in said(capsys, module, *words.split())


@pytest.mark.parametrize("before", [None, "run\n"])
def test_calibrations_that_were_all_too_noisy_write_nothing(before, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lanes, "dirtylog", lambda _arguments: lanes.TOO_NOISY)
    out = tmp_path / "out"
    if before:
        out.mkdir()
        (out / "calibrations.csv").write_text(before)
    line = said(capsys, lanes, "calibrations", "--out", str(out), "--runs", "3")
    assert line == "program: error: all 3 calibrations were too noisy: nothing is written"
    left = {path.name: path.read_text() for path in out.glob("*")}
    assert left == ({"calibrations.csv": before} if before else {})
    assert out.exists() == bool(before)
