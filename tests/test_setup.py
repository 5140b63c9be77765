"""What is installed is what is pinned; the oldest Python can have it; what the package says."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from strategies.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
OLDEST = PROJECT["requires-python"].removeprefix(">=")
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
}


def needed(name, extras, found):
    """Add the names of all that a distribution needs here, extras included, to a set."""
    for text in distribution(name).requires or ():
        one = Requirement(text)
        wanted = [one.marker is None or one.marker.evaluate({"extra": e}) for e in ("", *extras)]
        key = canonicalize_name(one.name), frozenset(one.extras)
        if any(wanted) and key not in found:
            found.add(key)
            needed(one.name, one.extras, found)
    return found


@cache
def everything():
    names = {name for name, _ in needed("dirtylog", PROJECT["optional-dependencies"], set())}
    return sorted(names - {"dirtylog"})


def test_what_is_installed_is_what_is_pinned_and_nothing_else():
    assert {name: distribution(name).version for name in everything()} == PINS


def test_the_oldest_python_that_is_accepted_can_have_it():
    asked = {n: distribution(n).metadata.get("Requires-Python", "") for n in everything()}
    assert {n: text for n, text in asked.items() if OLDEST not in SpecifierSet(text)} == {}


def test_the_study_installs_nothing_for_tests():
    study = {name for name, _ in needed("dirtylog", ("study",), set())}
    assert {"asv", "nbclient"} <= study
    assert not {"pytest", "hypothesis", "ruff", "scipy"} & study


PYTHON_WITHOUT = """#!/bin/sh
exec {python} -c 'import sys; {change}; exec(sys.argv[2])' "$@"
"""
LACKS = {
    "venv": ('sys.modules["ensurepip"] = None', "apt install python3-venv"),
    "age": ("sys.version_info = (3, 11, 1)", f"is older than {OLDEST}"),
}
"""What the first Python of PATH lacks, and what one line then says."""


def make_study(folder, path):
    """Run `make study` in a folder without an environment; return what it says on stderr."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    command = [shutil.which("make"), "study", "PYTHON=python3"]
    options = {"capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, **options)
    assert done.returncode
    assert not (folder / ".venv").exists()
    return [line for line in done.stderr.splitlines() if not line.startswith("make")]


needs_make = pytest.mark.skipif(not shutil.which("make"), reason="needs make: apt install make")


@needs_make
@pytest.mark.parametrize("lack", LACKS)
def test_a_python_that_will_not_do_is_one_line(tmp_path, lack):
    change, said = LACKS[lack]
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(PYTHON_WITHOUT.format(python=sys.executable, change=change))
    python.chmod(0o755)
    (line,) = make_study(tmp_path, f"{python.parent}:{os.environ['PATH']}")
    assert said in line


@needs_make
def test_no_git_is_one_line(tmp_path):
    for name in ("sh", "sed"):
        (tmp_path / name).symlink_to(shutil.which(name))
    assert make_study(tmp_path, str(tmp_path)) == [
        "dirtylog: git is missing; on Debian and Ubuntu: apt install git"
    ]


def test_the_package_has_all_data_that_its_modules_read():
    packaged = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    data = {
        path
        for top in ("strategies", "analysis", "results/reference/derived")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
    }
    assert len(data) > 10
    assert data - packaged == set()


def test_what_a_package_index_shows_names_no_file_of_the_checkout():
    text = PROJECT["readme"]["text"]
    assert re.findall(r"\]\((?!https?://)|<(?:img|a) |(?:src|href)=", text) == []
    named = re.findall(r"^    dirtylog (\w+)", text, re.MULTILINE)
    assert named
    assert set(named) <= COMMANDS.keys()


def test_the_citation_is_of_this_version():
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited[1] == PROJECT["version"]


def test_without_the_checkout_study_says_so(tmp_path):
    """The package alone, as it is after `pip install .`."""
    shutil.copytree(ROOT / "strategies", tmp_path / "strategies")
    done = subprocess.run(
        [sys.executable, "-m", "strategies.cli", "study"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    accepted = "`make study` in a checkout of the project"
    assert done.stderr == f"dirtylog: error: this needs benchmarks; accepted: {accepted}\n"
