"""A tracker that joins the registry is tested by its line there: no test has a table to extend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import strategies

TESTS = Path(__file__).parent
PACKAGE = Path(strategies.__file__).parent
LIMIT_SECONDS = 1800


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("contract", "-k", "newcomer_"), marks=pytest.mark.slow),
        pytest.param(
            ("test_stateful.py", "-m", "slow", "-k", "newcomer_ and many_lives"),
            marks=pytest.mark.slow,
        ),
        ("test_ioctl.py", "test_replay.py", "-k", "ioctl or every_tracker or state_is"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_renamed_copy_of_each_tracker_passes(arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    path = os.pathsep.join(map(str, (PACKAGE.parent, TESTS)))
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "pytest", "-q", "-x", "-o", "addopts="),
            *("-p", "newcomers", "-p", "no:cacheprovider", *arguments),
        ],
        cwd=TESTS,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
