"""The environment is what is pinned, and what is pinned can be had with the oldest Python."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
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


def everything():
    names = {name for name, _ in needed("dirtylog", PROJECT["optional-dependencies"], set())}
    return sorted(names - {"dirtylog"})


@pytest.mark.parametrize("name", everything())
def test_what_is_installed_is_what_is_pinned(name):
    assert distribution(name).version == PINS[name]


@pytest.mark.parametrize("name", everything())
def test_the_oldest_python_that_is_accepted_can_have_it(name):
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert oldest in SpecifierSet(distribution(name).metadata["Requires-Python"] or "")


def test_nothing_else_is_pinned():
    assert set(PINS) == set(everything())


def test_the_study_installs_nothing_for_tests():
    study = {name for name, _ in needed("dirtylog", ("study",), set())}
    assert {"asv", "nbclient"} <= study
    assert not {"pytest", "hypothesis", "ruff", "scipy"} & study
