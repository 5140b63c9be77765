"""What the README shows of results is what the tools print."""

import json
import re
import shlex
from pathlib import Path

import pytest

from analysis.report.platforms import SLOT_BYTES
from analysis.report.write import folded
from strategies.cli import COMMANDS, main
from strategies.units import duration, parse_size

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_answer_is_that_of_the_reference_report():
    shown = re.search(r"<!-- (\S+answer\.md) -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert shown[2] == folded((ROOT / shown[1]).read_text())


def test_the_answer_in_short_is_that_of_the_table():
    (said,) = re.findall(r"at (\d+) to (\d+) written pages in a thousand", README)
    medians = re.findall(r"^\| (?:POWER|arm64|x86)[^|]*\| ([\d.]+)% \(", README, re.MULTILINE)
    assert len(medians) == 8
    assert said == tuple(f"{10 * end(map(float, medians)):.0f}" for end in (min, max))


def test_clean_slots_of_a_real_kernel_are_those_that_were_measured():
    found = {}
    folder = ROOT / "results/reference/lanes"
    for one in json.loads((folder / "clean_slots.json").read_text()):
        found.setdefault(parse_size(one["slot"]), {})[one["tracker"]] = one["harvest_ns"]["median"]
    rows = re.findall(r"^\| (\d+ [MG]iB) \| (.*) \|$", README, re.MULTILINE)
    assert {parse_size(slot) for slot, _ in rows} == set(found)
    for slot, cells in rows:
        walk, log, ratio, scan, faults, simulated = (cell.strip() for cell in cells.split("|"))
        times = found[parse_size(slot)]
        assert walk == duration(times["uffd_async"])
        assert log == duration(times["kvm_bitmap"])
        assert scan == duration(times["c_bit_scan"])
        assert faults == duration(times["write_protect"])
        assert float(ratio) == round(times["uffd_async"] / times["kvm_bitmap"])
        assert simulated == f"{times['c_bit_scan'] / times['write_protect']:,.0f}"


def test_pictures_and_files_that_it_names_are_there():
    paths = re.findall(r"\]\(([^):]+)\)|(?:src|srcset)=\"([^\"]+)\"", README)
    named = [one or other for one, other in paths]
    headings = re.findall("^## (.+)$", README, re.MULTILINE)
    anchors = {f"#{heading.lower().replace(' ', '-')}" for heading in headings}
    paths = [path for path in named if path not in anchors]
    paths += re.findall(
        r"`((?:analysis|benchmarks|results/reference|strategies)/[\w/.-]+)`", README
    )
    assert len(paths) > 5
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == ["strategies/fault/my_tracker.py"]  # which the reader is to write


def test_each_picture_has_one_for_dark_pages():
    pictures = re.findall(r'<img [^>]*src="([^"]+)\.svg"', README)
    dark = re.findall(r'prefers-color-scheme: dark\)" srcset="([^"]+)-dark\.svg"', README)
    assert pictures == dark
    assert len(pictures) == 3


def test_the_advice_shown_is_of_the_common_case_of_the_figures():
    (command,) = re.findall(r"dirtylog advise (--slot 4.*)", README)
    asked = dict(re.findall(r"--([\w-]+) (\S+)", command))
    assert parse_size(asked["slot"]) == SLOT_BYTES
    assert "vcpus" not in asked  # one
    row = next(line for line in README.splitlines() if line.startswith("| POWER9 HPT, 64 KiB |"))
    middle, low, high = re.search(r"([\d.]+%) \(([\d.]+) to ([\d.]+%)\)", row).groups()
    said = " ".join(README.split())
    assert f"than faults above {middle} written per interval ({low}% to {high};" in said


@pytest.mark.parametrize("number", [0, 1], ids=["results", "a machine"])
def test_python_that_is_shown_runs(number, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    section = README[README.index("## From Python") :]
    blocks = re.findall(r"```python\n(.*?)```", section[: section.index("\n## ", 4)], re.DOTALL)
    assert len(blocks) == 2
    exec(blocks[number], {})
    shown = capsys.readouterr().out
    lines = (r"page_bytes mapping +slot_bytes .*", r"\[ *3 +70 +4096\] [\d.]+ ms")
    assert any(re.fullmatch(lines[number], line) for line in shown.splitlines())


def test_what_is_asked_of_contributors_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:analysis|benchmarks|strategies|\.ci)/[\w/.-]+)`", text)
    assert len(paths) > 8
    assert [path for path in paths if not (ROOT / path).exists()] == []
    commands = re.findall(r"`\.venv/bin/dirtylog (\w+)", text)
    assert set(commands) <= COMMANDS.keys()


@pytest.mark.parametrize(
    ("command", "shown"),
    re.findall(
        r"    \.venv/bin/dirtylog (advise [^\n]*)\n\n<details>[^\n]*\n\n```text\n(.*?)```",
        README,
        re.DOTALL,
    ),
)
def test_advice_is_shown_as_it_is_printed(command, shown, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == shown
