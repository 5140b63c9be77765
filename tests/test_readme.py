"""What the README shows of results is what the tools print."""

import re
import shlex
from pathlib import Path

import pytest

from strategies.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_answer_is_that_of_the_reference_report():
    shown = re.search(r"<!-- (\S+answer\.md) -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert shown[2] == (ROOT / shown[1]).read_text()


def test_pictures_and_files_that_it_names_are_there():
    paths = re.findall(r"\]\(([^)]+)\)", README)
    paths += re.findall(
        r"`((?:analysis|benchmarks|results/reference|strategies)/[\w/.-]+)`", README
    )
    assert len(paths) > 5
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == ["strategies/fault/my_tracker.py"]  # which the reader is to write


def test_what_is_asked_of_contributors_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:analysis|benchmarks|strategies|\.ci)/[\w/.-]+)`", text)
    assert len(paths) > 8
    assert [path for path in paths if not (ROOT / path).exists()] == []
    commands = re.findall(r"`\.venv/bin/dirtylog (\w+)", text)
    assert set(commands) <= COMMANDS.keys()


@pytest.mark.parametrize(
    ("command", "shown"),
    re.findall(r"    \.venv/bin/dirtylog (advise [^\n]*)\n\n```text\n(.*?)```", README, re.DOTALL),
)
def test_advice_is_shown_as_it_is_printed(command, shown, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == shown
