"""The explorer: the tests of `explore`, in a process without the JIT, and its command as users do.

Slow are the same rules of holders under a second memory model, and more programs that are drawn.
"""

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
LIMIT_SECONDS = 1800


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


@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_with_the_jit_disabled(which):
    options = ("-q", "-m", which, "-p", "no:cacheprovider", "-o", "addopts=")
    done = run("pytest", *options, "explore", NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_it_counts_the_schedules_of_correct_code():
    done = run("strategies.cli", "explore", "store-harvest", "--strategy", "write_protect")
    assert (done.returncode, done.stderr) == (0, "")
    header, row, _, total = (line.split() for line in done.stdout.splitlines())
    assert header[:5] == ["program", "strategy", "threads", "bound", "schedules"]
    assert row[:4] == ["store-harvest", "write_protect", "2", "2"]
    assert total[:4] == [row[4], "schedules", "run,", row[5]]
    assert "0 findings" in done.stdout
    assert "sequentially consistent" in done.stdout


def test_a_row_is_printed_as_soon_as_it_is_known():
    """Into a pipe, too, while most of the programs are still to be run."""
    command = [sys.executable, "-m", "strategies.cli", "explore", "--strategy", "c_bit_scan"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        header, row = (process.stdout.readline().split() for _ in range(2))
        is_running = process.poll() is None
        process.send_signal(signal.SIGINT)
    assert (header[0], row[:2]) == ("program", ["store-harvest", "c_bit_scan"])
    assert is_running


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
    assert process.returncode == 130
    assert "schedules run" not in output
    assert errors.split("\n") == ["", "dirtylog: interrupted", ""]
