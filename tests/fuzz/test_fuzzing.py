"""The fuzzing itself: there is enough of it, and what it looks for is found."""

import sys
import warnings
from pathlib import Path

import click
import fuzzing
import pytest
from fuzzing import INPUTS, QUICK, fuzz, judge, refusal_of
from hypothesis import strategies as st

from strategies.errors import InputError


def test_ten_thousand_inputs_are_fuzzed():
    """Every test fails if it generates fewer than are counted here."""
    assert sum(INPUTS.values()) >= 10_000


def test_a_short_part_is_of_a_test_that_there_is_and_shorter():
    assert all(QUICK[name] < INPUTS[name] for name in QUICK)


def test_too_few_inputs_are_a_failure(monkeypatch):
    monkeypatch.setitem(INPUTS, "two", 2)
    seen = []
    fuzz("two", st.integers())(seen.append)(2)
    assert len(seen) >= 2
    with pytest.raises(AssertionError, match="only 1 inputs"):
        fuzz("two", st.just(7))(seen.append)(2)


def two_lines():
    error = InputError("one")
    error.args = ("one\ntwo",)
    raise error


def spin():
    while True:
        pass


WRONG = {
    "another error": lambda: [][0],
    "two lines": two_lines,
    "a warning": lambda: warnings.warn("careful", stacklevel=1),
    "no end": spin,
}


@pytest.mark.parametrize("load", WRONG.values(), ids=WRONG)
def test_a_loader_that_does_otherwise_is_found(monkeypatch, load):
    monkeypatch.setattr(fuzzing, "CPU_SECONDS", 0.05)
    with pytest.raises((AssertionError, IndexError)):
        refusal_of(load)


def writes(_):
    Path("left").write_text("")
    print("dirtylog: error: x", file=sys.stderr)
    return 2


def prints(_):
    click.echo("a table")
    print("dirtylog: error: x", file=sys.stderr)
    return 2


def says_two_lines(_):
    print("dirtylog: error: x\nand y", file=sys.stderr)
    return 2


def raises(_):
    raise KeyError("x")


def prints_what_is_no_text(_):
    print("\udcff")
    return 0


@pytest.mark.parametrize(
    "command", [writes, prints, says_two_lines, raises, prints_what_is_no_text, lambda _: 1]
)
def test_a_command_that_does_otherwise_is_found(monkeypatch, tmp_path, command):
    monkeypatch.setattr(fuzzing, "main", command)
    with pytest.raises((AssertionError, KeyError, UnicodeEncodeError)):
        judge([], tmp_path)


def test_a_refusal_as_it_should_be_is_none_of_these(monkeypatch, tmp_path):
    monkeypatch.setattr(fuzzing, "main", lambda _: click.echo("dirtylog: error: x", err=True) or 2)
    assert judge([], tmp_path) == (2, "")
