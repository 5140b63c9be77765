"""The study's steps: what was made before of the same is kept."""

import io
import json

import pytest
from rich.console import Console

from benchmarks import steps
from benchmarks.steps import Stamps, digest_of
from strategies.cli import main
from strategies.errors import InputError


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "a.py").write_text("a")
    return folder


def test_a_digest_is_of_names_and_contents(inputs):
    before = digest_of(inputs)
    assert digest_of(inputs) == before
    (inputs / "a.py").rename(inputs / "b.py")
    renamed = digest_of(inputs)
    (inputs / "b.py").write_text("b")
    changed = digest_of(inputs)
    (inputs / "more").mkdir()
    (inputs / "more" / "c.csv").write_text("c")
    assert len({before, renamed, changed, digest_of(inputs)}) == 4


def test_what_python_compiles_changes_no_digest(inputs):
    before = digest_of(inputs, inputs / "a.py")
    (inputs / "__pycache__").mkdir()
    (inputs / "__pycache__" / "a.pyc").write_text("compiled")
    assert digest_of(inputs, inputs / "a.py") == before


def test_an_output_is_current_while_all_of_it_is_there(tmp_path, inputs):
    outputs = [tmp_path / "made.csv", tmp_path / "made.png"]
    for path in outputs:
        path.write_text("made")
    assert not Stamps(tmp_path).is_current(outputs, digest_of(inputs))
    Stamps(tmp_path).made(outputs, digest_of(inputs))
    assert Stamps(tmp_path).is_current(outputs, digest_of(inputs))
    (inputs / "a.py").write_text("changed")
    assert not Stamps(tmp_path).is_current(outputs, digest_of(inputs))
    Stamps(tmp_path).made(outputs, digest_of(inputs))
    outputs[1].unlink()
    assert not Stamps(tmp_path).is_current(outputs, digest_of(inputs))


def test_stamps_of_others_are_kept(tmp_path):
    stamps = Stamps(tmp_path)
    stamps.made([tmp_path / "one"], "1")
    stamps.made([tmp_path / "two"], "2")
    assert json.loads((tmp_path / "made_from.json").read_text()) == {"one": "1", "two": "2"}


def test_an_interrupted_study_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(_out):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "run_study", interrupted)
    assert main(["study"]) == 130
    assert capsys.readouterr().err == (
        "\ndirtylog: interrupted; the same command goes on from what is there\n"
    )


def test_lanes_are_measured_once_and_what_is_not_here_is_said(tmp_path, monkeypatch, capsys):
    def measure(_plan, out):
        for name in steps.LANES:
            (out / name).write_text("measured")
        return {"kvm_bitmap": "no /dev/kvm"}

    monkeypatch.setattr("benchmarks.by_hand.lanes.measure", measure)
    stamps = Stamps(tmp_path)
    steps.measure_lanes(tmp_path, stamps)
    assert capsys.readouterr().out == "no lane kvm_bitmap: no /dev/kvm\n"
    steps.measure_lanes(tmp_path, stamps)
    assert capsys.readouterr().out == "the lanes were measured before and are kept\n"


def test_lanes_that_fail_do_not_end_the_study(tmp_path, monkeypatch, capsys):
    def measure(_plan, _out):
        raise InputError("a lane holds its slot in real memory")

    monkeypatch.setattr("benchmarks.by_hand.lanes.measure", measure)
    steps.measure_lanes(tmp_path, Stamps(tmp_path))
    assert capsys.readouterr().out == "no lanes: a lane holds its slot in real memory\n"


def test_the_answer_is_printed_without_its_table_and_what_introduces_that(tmp_path):
    path = tmp_path / "answer.md"
    path.write_text("**Both.** So.\n\nThe table:\n\n| a |\n| - |\n\n- More.\n")
    console = Console(file=io.StringIO(), width=80)
    steps.print_answer(console, path)
    said = console.file.getvalue()
    assert "Both. So." in said
    assert "More." in said
    assert "table" not in said
