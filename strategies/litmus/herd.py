"""Runs herd7, which is not part of this project, and reads its verdicts."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from strategies.errors import InputError
from strategies.litmus.text import litmus

PROGRAM = "herd7"
MISSING = f"needs {PROGRAM} on the path, which is built from its sources (herd/herdtools7)"
TIMEOUT_S = 600
RECORDED = Path(__file__).with_name("verdicts.txt")
"""The version that judged, then a line for each test."""


class Verdict(NamedTuple):
    """What a memory model says of a test.

    Attributes
    ----------
    word : {"Never", "Sometimes", "Always"}
        How often a page is lost.
    lost, other : int
        Executions that the model allows and that lose the page, or do not.
    """

    word: str
    lost: int
    other: int

    def line(self, name):
        """Return the line of a test in the file of verdicts."""
        return f"{name} {self.word} {self.lost} {self.other}"


def is_installed():
    """Say whether herd7 is on the path."""
    return shutil.which(PROGRAM) is not None


def version():
    """Return herd7's own words on its version."""
    done = subprocess.run([PROGRAM, "-version"], capture_output=True, text=True, check=True)
    return f"{PROGRAM} {done.stdout.strip()}"


def write(tests, folder):
    """Write each test to a folder that exists; return the paths."""
    paths = [Path(folder) / f"{test.name}.litmus" for test in tests]
    for test, path in zip(tests, paths, strict=True):
        path.write_text(litmus(test))
    return paths


def judge(tests):
    """Let herd7 judge tests.

    Returns
    -------
    dict of str to Verdict
        By name, in the order of the tests.

    Raises
    ------
    InputError
        herd7 is not on the path, or it does not judge them all.
    """
    if not is_installed():
        raise InputError(MISSING)
    with tempfile.TemporaryDirectory(prefix="dirtylog-") as folder:
        paths = write(tests, folder)
        done = subprocess.run(
            [PROGRAM, *map(str, paths)], capture_output=True, text=True, timeout=TIMEOUT_S
        )
    found = re.findall(r"^Observation (\S+) (\w+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    verdicts = {name: Verdict(word, int(lost), int(other)) for name, word, lost, other in found}
    missing = [test.name for test in tests if test.name not in verdicts]
    if missing:
        last = done.stderr.strip().splitlines()[-1:]
        raise InputError(f"{PROGRAM} does not judge {', '.join(missing)}: {' '.join(last)}")
    return verdicts


def recorded():
    """Return the version of herd7 that judged, and its verdicts: str, dict of str to Verdict."""
    judge_version, *lines = RECORDED.read_text().splitlines()
    rows = (line.split() for line in lines)
    return judge_version, {
        name: Verdict(word, int(lost), int(other)) for name, word, lost, other in rows
    }
