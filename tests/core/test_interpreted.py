"""The same kernels as plain Python: what the contract demands holds with the JIT disabled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import strategies

TESTS = Path(__file__).resolve().parents[1]
LEFT_OUT = "not (full_groups or any_size or at_random or large)"
"""Thousands of pages are too many for plain Python."""


@pytest.mark.slow
def test_contract_with_the_jit_disabled():
    environment = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": str(Path(strategies.__file__).parents[1]),
    }
    # Of an outer parallel run only.
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-k", LEFT_OUT, str(TESTS / "contract"), "-o", "addopts="],
        cwd=TESTS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
