"""The machine answers as QEMU does, and a machine with a defect does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import check
import compare
import mutants
import numpy as np
import on_qemu
import pytest

import strategies
from strategies import registry

HERE = Path(__file__).resolve().parent
ASSEMBLER = "powerpc64-linux-gnu-gcc"

LOGGED_OPS = 80_000
"""Enough for each tracker with both page sizes."""

needs_qemu = pytest.mark.skipif(not on_qemu.is_installed(), reason=on_qemu.MISSING)


def python(*arguments, **environment):
    """Run Python here in a process of its own."""
    package = {"PYTHONPATH": str(Path(strategies.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=HERE,
        env=os.environ | package | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


HYPERCALL_CASES = {
    "H_ENTER": {"H_SUCCESS", "H_PTEG_FULL", "H_PARAMETER"},
    "H_ENTER exact": {"H_SUCCESS", "H_PTEG_FULL", "H_PARAMETER"},
    "H_ENTER large": {"H_SUCCESS", "H_PTEG_FULL", "H_PARAMETER"},
    "H_ENTER exact large": {"H_SUCCESS", "H_PTEG_FULL", "H_PARAMETER"},
    "H_REMOVE": {"H_SUCCESS", "H_NOT_FOUND", "H_PARAMETER"},
    "H_REMOVE avpn": {"H_SUCCESS", "H_NOT_FOUND", "H_PARAMETER"},
    "H_REMOVE andcond": {"H_SUCCESS", "H_NOT_FOUND", "H_PARAMETER"},
    "H_REMOVE avpn andcond": {"H_NOT_FOUND", "H_PARAMETER"},
    "H_PROTECT": {"H_SUCCESS", "H_NOT_FOUND", "H_PARAMETER"},
    "H_PROTECT avpn": {"H_SUCCESS", "H_NOT_FOUND", "H_PARAMETER"},
    "H_PROTECT andcond": {"H_SUCCESS", "H_NOT_FOUND", "H_PARAMETER"},
    "H_PROTECT avpn andcond": {"H_SUCCESS", "H_NOT_FOUND", "H_PARAMETER"},
    "H_READ": {"H_SUCCESS", "H_PARAMETER"},
    "H_READ of 4": {"H_SUCCESS", "H_PARAMETER"},
    "H_BULK_REMOVE": {"H_SUCCESS", "H_PARAMETER"},
    "H_BULK_REMOVE request": {
        *("removed", "removed, R", "removed, C", "removed, R and C"),
        *("not found", "malformed", "end mark"),
    },
}
LOADS = {"done", "DSISR 0x40000000"}
STORES = {"done", "DSISR 0x42000000", "DSISR 0x0a000000"}
SIZES = ("4 KiB", "64 KiB", "16 MiB")
CASES = (
    HYPERCALL_CASES
    | {f"load {size}": LOADS for size in SIZES}
    | {f"store {size}": STORES for size in SIZES}
)


def fail_if_it_differs(found):
    """Fail with the shortest sequence that differs."""
    if found.comparison.differs:
        shortest = compare.shortest(found.comparison, *found.run[1:])
        pytest.fail("\n".join(compare.tell(shortest)))


def outcomes(cases):
    """The outcomes of each operation."""
    return {operation: {o for n, o in cases if n == operation} for operation, _ in cases}


@needs_qemu
def test_the_machine_answers_as_qemu_does():
    found = check.search(seed=1, ops=8_000)
    fail_if_it_differs(found)
    assert found.compared == 8_000
    seen = outcomes(found.cases)
    assert seen.keys() == CASES.keys()
    assert all(seen[operation] <= CASES[operation] for operation in seen)


@pytest.mark.slow
@needs_qemu
def test_the_machine_answers_as_qemu_does_in_every_case():
    found = check.search(seed=1, ops=40_000)
    fail_if_it_differs(found)
    assert found.compared == 40_000
    assert outcomes(found.cases) == CASES


@needs_qemu
@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_a_defect_is_caught(name):
    done = python(
        "-c",
        f"import check, mutants; mutants.MUTANTS[{name!r}]()\n"
        "found = check.search(1, 20_000)\n"
        "print(found.comparison.differs, found.compared)",
        NUMBA_DISABLE_JIT="1",
    )
    assert done.returncode == 0, done.stderr
    differs, compared = done.stdout.split()
    assert differs == "True"
    assert int(compared) < 20_000


@needs_qemu
def test_the_machine_answers_as_qemu_does_while_some_trackers_log():
    found = check.search(seed=1, ops=8_000, strategies=("c_bit_scan", "write_protect"))
    fail_if_it_differs(found)
    assert found.compared == 8_000
    assert found.judged


@pytest.mark.slow
@needs_qemu
def test_the_machine_answers_as_qemu_does_while_every_tracker_logs():
    strategies = registry.judged()
    found = check.search(seed=1, ops=LOGGED_OPS, strategies=strategies)
    fail_if_it_differs(found)
    assert found.compared == LOGGED_OPS
    logged = {"H_ENTER", "H_REMOVE", "H_PROTECT", "harvest", "logging off or on"}
    assert logged < outcomes(found.cases).keys()
    assert min(found.judged.values()) > 100


@pytest.mark.slow
def test_each_tracker_logs_with_both_page_sizes():
    strategies = registry.judged()
    pairs = {run[1:] for run in check.runs(1, LOGGED_OPS, strategies)}
    assert pairs == {(shift, name) for shift in (12, 16) for name in strategies}


@needs_qemu
@pytest.mark.parametrize("name", mutants.LOGGED_MUTANTS)
def test_a_defect_under_logging_is_caught(name):
    done = python(
        "-c",
        f"import check, mutants; mutate, strategy = mutants.LOGGED_MUTANTS[{name!r}]; mutate()\n"
        "print(check.search(1, 20_000, (strategy,)).comparison.differs)",
        NUMBA_DISABLE_JIT="1",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"


@needs_qemu
def test_a_defect_is_shown_by_a_short_sequence():
    done = python("mutants.py", "protect-clears-c", NUMBA_DISABLE_JIT="1")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.partition("shrunk to:\n")[2].splitlines()
    commands = [line.split(". ")[1] for line in lines if ". " in line]
    assert len(commands) < 10
    assert commands[-1].startswith("H_PROTECT")


@needs_qemu
def test_the_command_tells_the_version_and_what_is_not_compared():
    done = python("check.py", "--ops", "100", NUMBA_DISABLE_JIT="1")
    assert done.stdout.startswith("QEMU emulator version ")
    assert done.stdout.count("\nmasked: ") == len(compare.MASKED)
    assert done.stdout.count("\nleft out: ") == len(compare.NOT_GENERATED)


def test_without_qemu_the_command_says_how_to_get_it():
    done = python("check.py", PATH="")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "conformance: needs qemu-system-ppc64: apt-get install qemu-system-ppc\n"
    )


def test_sequences_are_the_same_for_a_seed():
    first, again, other = (next(check.runs(seed, 500)).commands for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shrinking_leaves_only_what_matters():
    commands = np.arange(1000).reshape(-1, 1)
    calls = []

    def differs(shorter):
        calls.append(len(shorter))
        return {17, 18, 900} <= set(shorter.ravel())

    assert compare.shrink(commands, differs).ravel().tolist() == [17, 18, 900]
    assert len(calls) < 120


@pytest.mark.skipif(not shutil.which(ASSEMBLER), reason=f"needs {ASSEMBLER}")
def test_the_guests_bytes_are_those_of_its_source(tmp_path):
    subprocess.run([ASSEMBLER, "-c", "-o", "guest.o", HERE / "guest.S"], cwd=tmp_path, check=True)
    copy = ["powerpc64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", "guest.o", "guest.bin"]
    subprocess.run(copy, cwd=tmp_path, check=True)
    built = (tmp_path / "guest.bin").read_bytes()
    assert bytes.fromhex(on_qemu.GUEST.read_text()) == built
