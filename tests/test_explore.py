"""The explorer: its own tests, which need a process without the JIT, and its command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import strategies
from strategies.cli import main

TESTS = Path(__file__).parent
FILES = sorted((TESTS / "explore").glob("test_*.py"))
SLICED = f"{TESTS / 'data' / 'trackers' / 'sliced.py'}:Sliced"
LIMIT_SECONDS = 600


def environment(**more):
    """The environment of a process of its own: nothing of an outer pytest."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    inherited.pop("NUMBA_DISABLE_JIT", None)
    return inherited | {"PYTHONPATH": str(Path(strategies.__file__).parents[1])} | more


def run(*command, **more):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", *command],
        cwd=TESTS,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


def explore(*arguments):
    """Run the command; return its status, the lines of its output, and of its errors."""
    done = run("strategies.cli", "explore", *arguments)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_with_the_jit_disabled(file):
    options = ("-q", "-p", "no:cacheprovider", "-o", "addopts=")
    done = run("pytest", *options, str(file), NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_tracker_from_outside_runs_the_programs_of_all():
    status, lines, errors = explore("store-harvest", "--strategy", f"{SLICED}:4")
    assert (status, errors) == (0, [])
    assert lines[1].split()[:2] == ["store-harvest", f"{SLICED}:4"]


def test_it_counts_the_schedules_of_correct_code():
    status, lines, errors = explore("store-harvest", "--strategy", "write_protect")
    assert (status, errors) == (0, [])
    header, row, _, total = (line.split() for line in lines)
    assert header[:5] == ["program", "strategy", "threads", "bound", "schedules"]
    assert row[:4] == ["store-harvest", "write_protect", "2", "2"]
    assert total[:4] == [row[4], "schedules", "run,", row[5]]
    assert "0 findings" in lines[-1]
    assert "sequentially consistent" in lines[-1]


def test_a_higher_bound_runs_more_schedules():
    counts = []
    for bound in range(3):
        _, lines, _ = explore("stores-harvests", "--strategy", "c_bit_scan", "--bound", str(bound))
        counts.append(int(lines[1].split()[4]))
    assert counts == sorted(set(counts))


def test_one_schedule_can_be_replayed():
    arguments = ("store-harvest", "--strategy", "c_bit_scan", "--replay", "A3 B* A*")
    status, lines, _ = explore(*arguments)
    assert status == 0
    assert lines[-1] == "nothing is wrong under this schedule"
    assert [line for line in lines if line[:1].isalpha()][:3] == [
        "A: start",
        "A: store(0)",
        "B: harvest",
    ]


GENERATED = ("--generated", "pairs", "--strategy", "c_bit_scan", "--part")


def test_a_part_of_the_generated_programs_is_gone_on_with(tmp_path):
    out = tmp_path / "done"
    first = explore(*GENERATED, "1/100", "--out", str(out))
    assert first[0] == 0
    assert "0 findings" in first[1][-1]
    whole = out.read_text().splitlines()
    out.write_text("\n".join(whole[:-3]) + "\n")
    again = explore(*GENERATED, "1/100", "--out", str(out))
    assert "3 of them run now" in again[1][0]
    assert sorted(out.read_text().splitlines()[:-3]) == sorted(whole[:-3])
    assert [line.split()[:4] for line in again[1][1:]] == [
        line.split()[:4] for line in first[1][1:]
    ]


def test_what_other_sources_made_is_not_gone_on_with(tmp_path):
    out = tmp_path / "done"
    out.write_text('{"sources": "others"}\n')
    status, lines, errors = explore(*GENERATED, "1/100", "--out", str(out))
    assert (status, lines) == (2, [])
    assert "made by other sources" in errors[0]


def test_a_generated_program_is_explored_by_its_name():
    status, lines, _ = explore("store,harvest@clean", "--strategy", "write_protect")
    assert (status, lines[1].split()[0]) == (0, "store,harvest@clean")


def test_programs_are_listed():
    status, lines, _ = explore("--list")
    assert status == 0
    assert lines[0].split()[:3] == ["program", "threads", "bound"]
    assert len(lines) > 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "unknown program 'nothing'; accepted:"),
        (["store-harvest", "--strategy", "nothing"], "unknown strategy 'nothing'"),
        (["store-harvest", "--strategy", "null"], "'null' tracks nothing"),
        (["--generated", "all", "--part", "3/3"], "accepted is K/N"),
        (["--defect", "nothing"], "unknown defect 'nothing'; accepted:"),
        (["--replay", "A*"], "--replay needs a PROGRAM"),
        (["store-harvest", "--replay", "A*"], "need one --strategy"),
        (["store-harvest", "--strategy", "c_bit_scan", "--replay", "Z1"], "does not fit"),
        (["store-harvest", "--strategy", "c_bit_scan", "--replay", "?"], "accepted is one like"),
        (["delayed-c-harvest", "--strategy", "pte_flush"], "accepted: c_bit_scan"),
        (["delayed-c-harvest", "--strategy", SLICED], "accepted: c_bit_scan"),
        (["store-harvest", "--strategy", f"{SLICED}:0"], "must be a number from 1"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    status, lines, errors = explore(*arguments)
    assert (status, lines, len(errors)) == (2, [], 1)
    assert message in errors[0]


def test_it_refuses_a_process_in_which_kernels_are_compiled(capsys):
    import numba

    assert not numba.config.DISABLE_JIT
    assert main(["explore"]) == 2
    assert "a process of its own" in capsys.readouterr().err


def has_workers(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return not children.exists() or children.read_text().strip()


def test_an_interrupt_ends_it_at_once():
    command = [sys.executable, "-m", "strategies.cli", "explore", "--long"]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + LIMIT_SECONDS
    while not has_workers(process) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)  # so that they have begun
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, output) == (130, "")
    assert errors.split("\n") == ["", "dirtylog: interrupted", ""]
