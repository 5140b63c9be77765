"""The slow checks, of what survives the fast ones: the compiled tests of the machine, on a copy."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from operators import ROOT

KIND = "compiled"
"""Begins the name of such a check in the table; the fast run does not repeat it."""

TESTS = (
    *("core", "contract", "conformance", "test_ioctl.py", "test_hpt_sweep.py", "test_groups.py"),
    *(
        "test_manual_protect.py",
        "test_summary.py",
        "test_stateful.py",
        "test_concurrency.py",
        "test_catalogue.py",
    ),
)
LIMIT_SECONDS = 900


def judge(mutant):
    """Return ("killed", by what), or ("survived", ""), after minutes.

    Parameters
    ----------
    mutant : Mutant
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("strategies", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        (copy / mutant.file).write_text(mutant.source())
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        command += [f"tests/{name}" for name in TESTS]
        try:
            done = subprocess.run(
                command,
                cwd=copy,
                env=os.environ
                | {
                    "NUMBA_DISABLE_JIT": "0",
                    "NUMBA_CACHE_DIR": f"{copy}/cache",
                    "PYTHONPATH": folder,
                },
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return "killed", f"{KIND} (for ever)"
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return ("killed", f"{KIND} {failed[0]}") if failed else ("survived", "")
