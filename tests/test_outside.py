"""Trackers from outside, by file or by an installed package, wherever a strategy is named."""

import json
import re
from pathlib import Path

import pytest

from strategies import outside, registry
from strategies.cli import main
from strategies.contract import score
from strategies.styles import style_of

SLICED = Path(__file__).parent / "data" / "trackers" / "sliced.py"

FORGETFUL = """
from strategies.fault.write_protect import WriteProtect

class Forgetful(WriteProtect):
    def _harvest(self, slot, out):
        took = super()._harvest(slot, out)
        out[0] &= ~out.dtype.type(1)  # page 0 is never reported
        return took
"""

WRONG = {
    "nothing.py:A": (None, "no such file"),
    "syntax.py:A": ("def", "SyntaxError: "),
    "raises.py:A": ("1 / 0", "ZeroDivisionError: division by zero"),
    "lines.py:A": ("raise ValueError('one\\ntwo')", "ValueError: one two"),
    "lacks.py:B": ("A = 1", "accepted is a subclass of strategies.base.DirtyTracker"),
    "no_class.py:": ("A = 1", "accepted is a subclass of strategies.base.DirtyTracker"),
    "number.py:A": ("A = 1", "accepted is a subclass of strategies.base.DirtyTracker"),
    "unfinished.py:A": (
        "from strategies.base import DirtyTracker\nclass A(DirtyTracker): pass",
        "lacks _disable, _enable, _harvest",
    ),
    "parameter.py:A": (
        "from strategies.null import Null\nclass A(Null): parameter = 4",
        "parameter must be a strategies.parameter.Parameter",
    ),
}


def run(capsys, line, *more):
    status = main([*line.split(), *more])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def replayed(capsys, *strategies):
    chosen = [word for one in strategies for word in ("--strategy", one)]
    status, out, _ = run(capsys, "replay vga_desktop --format json", *chosen)
    assert status == 0
    return {row["strategy"]: row for row in json.loads(out)["rows"]}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that brings the tracker `sliced`."""
    (tmp_path / "sliced_tracker.py").write_text(SLICED.read_text())
    info = tmp_path / "their_trackers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-trackers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dirtylog.trackers]\nsliced = sliced_tracker:Sliced\n")
    monkeypatch.syspath_prepend(tmp_path)
    outside.load.cache_clear()


def test_a_file_is_replayed_under_its_full_text(capsys):
    four, own, sixteen = f"{SLICED}:Sliced:4", f"{SLICED}:Sliced", f"{SLICED}:Sliced:16"
    rows = replayed(capsys, four, own, sixteen, "write_protect_batched")
    assert list(rows) == [four, own, sixteen, "write_protect_batched"]
    assert all((row["pages_reported"], row["lost"]) == (76119, 0) for row in rows.values())
    flushes = [row["events"]["flushes"] for row in rows.values()]
    assert flushes[0] > flushes[1] == flushes[2] >= flushes[3]


def test_a_relative_file_is_the_same(capsys, monkeypatch):
    monkeypatch.chdir(SLICED.parent)
    assert list(replayed(capsys, "sliced.py:Sliced:4")) == ["sliced.py:Sliced:4"]


def test_it_is_not_priced_and_has_looks(capsys):
    line = f"replay vga_desktop --format json --profile power9 --strategy {SLICED}:Sliced"
    status, out, _ = run(capsys, line)
    (row,) = json.loads(out)["rows"]
    assert (status, row["modelled"]) == (0, None)
    four, eight = style_of(f"{SLICED}:Sliced:4"), style_of(f"{SLICED}:Sliced:8")
    assert four["color"] == eight["color"]
    assert four["marker"] != eight["marker"]


def test_the_model_says_that_it_has_no_terms_for_it(capsys):
    status, out, _ = run(capsys, f"model --strategy {SLICED}:Sliced --strategy adaptive")
    assert status == 0
    assert f"{SLICED}:Sliced is not priced: the model has no terms for it" in out.splitlines()
    assert "adaptive is not priced: its costs depend on all that was written before" in out


def test_a_package_brings_one_by_name(capsys, package):
    rows = replayed(capsys, "sliced", "sliced:4")
    assert list(rows) == ["sliced", "sliced:4"]
    status, out, _ = run(capsys, "strategies --format json")
    last = json.loads(out)[-1]
    assert (status, last["name"], last["family"]) == (0, "sliced", "outside")
    assert (last["year"], last["place"]) == (None, "their-trackers")
    assert last["parameter"]["default"] == 16
    assert "sliced" not in registry.names()
    assert "sliced  " in run(capsys, "strategies")[1]
    status, _, err = run(capsys, "replay vga_desktop --strategy slice")
    assert (status, "null, sliced, FILE.py:CLASS" in err) == (2, True)


def test_a_package_that_does_not_import_is_named(capsys, package, tmp_path):
    (tmp_path / "their_trackers-1.0.dist-info" / "entry_points.txt").write_text(
        "[dirtylog.trackers]\nbroken = there_is_none:A\n"
    )
    status, _, err = run(capsys, "replay vga_desktop --strategy broken")
    assert (status, err.count("\n")) == (2, 1)
    assert "'broken': ModuleNotFoundError: No module named 'there_is_none'" in err


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("command", ["replay vga_desktop --strategy", "contract"])
def test_what_is_wrong_with_a_file_is_one_line(capsys, tmp_path, monkeypatch, command, name):
    text, said = WRONG[name]
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name.partition(":")[0]).write_text(text)
    status, out, err = run(capsys, command, name)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (f"{SLICED}:Sliced:0", "slice_words must be a number from 1 to 1048576, not '0'"),
        (f"{SLICED}:Sliced:4:4", "not '4:4'"),
        (f"{SLICED}", "unknown strategy"),
        (f"{SLICED.parent}/no:such.py:Sliced", "no such file"),
    ],
)
def test_a_wrong_number_is_one_line(capsys, strategy, said):
    status, _, err = run(capsys, "replay vga_desktop --strategy", strategy)
    assert (status, err.count("\n")) == (2, 1)
    assert said in err


# The contract


@pytest.fixture
def one_recording(monkeypatch):
    monkeypatch.setattr(score, "bundled", lambda: ("vga_desktop",))


def test_a_tracker_that_keeps_the_contract_passes_each_clause(capsys, one_recording):
    status, out, _ = run(capsys, "contract", f"{SLICED}:Sliced:4")
    clauses, table = out.split("\n\n", 1)
    assert status == 0
    assert {line.split("  ")[0] for line in clauses.splitlines()} == {"passed"}
    assert f"{SLICED}:Sliced:4: " in table
    shown = [line.split()[1] for line in table.splitlines() if line.startswith("vga_desktop")]
    assert shown == [f"{SLICED}:Sliced:4", *registry.choices()]


def test_a_tracker_that_forgets_fails_and_says_where(capsys, one_recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("forgetful.py").write_text(FORGETFUL)
    status, out, _ = run(capsys, "contract forgetful.py:Forgetful --format json")
    document = json.loads(out)
    why = {one["clause"]: one["why"] for one in document["clauses"]}
    assert status == 1
    assert why["get clears"].startswith("exact_sets.py:")
    assert (
        "expect(harvest(tracker), set(WRITTEN)): of 5 expected: 1 missing (0)" in why["get clears"]
    )
    assert why["slot of any size"].endswith("1 missing (0) [npages 1, base_gfn 0, delayed_c False]")
    assert why["the host stores"] is None
    assert document["replays"] == []  # what is wrong has no times


def test_what_raises_is_a_clause_that_fails(capsys, one_recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = FORGETFUL.replace("took =", "[][slot]; took =")
    Path("raising.py").write_text(source)
    _, out, _ = run(capsys, "contract raising.py:Forgetful --format json")
    why = {one["clause"]: one["why"] for one in json.loads(out)["clauses"]}
    said = re.search(r"IndexError: list index out of range \(raising.py:(\d+)\)", why["get clears"])
    assert "[][slot]" in Path("raising.py").read_text().splitlines()[int(said[1]) - 1]
    assert why["slot that is not logged costs nothing"].startswith("slots.py:")


def test_what_the_machine_raises_is_told_with_the_line_of_the_tracker(
    capsys, one_recording, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    source = FORGETFUL.replace("took = super", "self.vm.hypercall(None); took = super")
    Path("calling.py").write_text(source)
    _, out, _ = run(capsys, "contract calling.py:Forgetful --format json")
    why = {one["clause"]: one["why"] for one in json.loads(out)["clauses"]}
    assert "TypeError: 'NoneType' object is not callable (calling.py:6)" in why["get clears"]


def test_a_harvest_without_its_time_is_a_clause_that_fails(
    capsys, one_recording, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("timeless.py").write_text(
        "from strategies.fault.write_protect import WriteProtect\n\n\n"
        "class Timeless(WriteProtect):\n"
        "    def _harvest(self, slot, out):\n"
        "        super()._harvest(slot, out)\n"
    )
    status, out, _ = run(capsys, "contract timeless.py:Timeless --format json")
    why = {one["clause"]: one["why"] for one in json.loads(out)["clauses"]}
    assert status == 1
    assert "a harvest returned None, not the nanoseconds that it took" in why["get clears"]


def test_the_baseline_cannot_be_held_to_it(capsys):
    status, _, err = run(capsys, "contract null")
    assert (status, "'null' tracks nothing; accepted: a strategy that logs" in err) == (2, True)
