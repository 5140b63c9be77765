"""A tracker's one number, `name:number`: the same text in commands, rows, figures and the model."""

import json

import pytest
from conftest import STAMP, build, harvest

from analysis.model import terms
from analysis.model.evaluate import costs, named
from analysis.model.profile import CONSTANTS
from analysis.model.scenario import NAMES, Scenario
from strategies import registry
from strategies.cli import main
from strategies.errors import InputError
from strategies.fault import write_protect
from strategies.parameter import Parameter
from strategies.styles import style_of

COPIES = Parameter("copies", "bitmaps that are kept", 4, 1, 64, is_power_of_two=True)


class Copying(write_protect.WriteProtect):
    """Keep as many bitmaps as the parameter says."""

    name = "copying"

    @property
    def state_bytes(self):
        return self.value * super().state_bytes


@pytest.fixture(autouse=True)
def copying(monkeypatch):
    """A tracker with a parameter, in the registry and in the model."""
    line = registry.Tracker("fault", 2026, "here", "fault.write_protect:Copying", COPIES)
    monkeypatch.setattr(write_protect, "Copying", Copying, raising=False)
    monkeypatch.setitem(registry.TRACKERS, "copying", line)
    price = terms.Term("harvest", "host", "words * copies", "word_read")
    monkeypatch.setitem(terms.TERMS, "copying", (price,))


@pytest.mark.parametrize(
    ("strategy", "value"), [("copying", 4), ("copying:1", 1), ("copying:64", 64)]
)
def test_the_tracker_has_the_number_and_the_text_is_its_name(strategy, value):
    vm, tracker = build(strategy, 100)
    assert (tracker.name, tracker.value, tracker.state_bytes) == (strategy, value, value * 16)
    assert registry.get(strategy).__doc__ == Copying.__doc__
    vm.store([3, 99], STAMP)
    assert harvest(tracker) == {3, 99}


def test_a_tracker_without_a_parameter_has_no_number():
    assert registry.split("write_protect") == ("write_protect", None)
    assert registry.get("write_protect") is write_protect.WriteProtect


@pytest.mark.parametrize(
    "text", ["", "0", "3", "128", "-4", "+4", "04", "4.0", "٤", "4 ", "4:4", "9" * 5000]
)
def test_a_number_that_is_not_accepted_is_refused_in_one_line(text):
    line = r"\Astrategy 'copying:.*': copies must be a power of two from 1 to 64, not '.*'\Z"
    with pytest.raises(InputError, match=line):
        registry.get(f"copying:{text}")


@pytest.mark.parametrize(
    ("strategy", "line"),
    [
        ("write_protect:4", "write_protect has no parameter: accepted is write_protect, not "),
        ("null:", "null has no parameter: "),
        (
            "writeprotect:4",
            r"unknown strategy 'writeprotect' \(nearest: write_protect\): accepted ",
        ),
        ("qqq", "unknown strategy 'qqq': accepted are c_bit_scan, "),
    ],
)
def test_who_takes_no_number_and_who_is_unknown_is_said(strategy, line):
    with pytest.raises(InputError, match=rf"\A{line}"):
        registry.get(strategy)


def test_a_range_accepts_all_of_it():
    any_number = Parameter("pages", "pages", 1, 1, 12)
    assert [any_number.parse(text) for text in ("1", "3", "12")] == [1, 3, 12]
    assert any_number.accepted == "a number from 1 to 12"
    with pytest.raises(InputError, match="from 1 to 12, not '13'"):
        any_number.parse("13")


def test_a_replay_runs_it_at_two_values_and_prices_both(capsys):
    chosen = "--strategy copying:2 --strategy copying:8 --profile power9 --format json"
    assert main(["replay", "vga_desktop", *chosen.split()]) == 0
    two, eight = json.loads(capsys.readouterr().out)["rows"]
    assert (two["strategy"], eight["strategy"]) == ("copying:2", "copying:8")
    assert eight["state_bytes"] == 4 * two["state_bytes"]
    times = [row["modelled"]["harvest_ns"]["value"] for row in (two, eight)]
    assert times[1] == pytest.approx(4 * times[0])


def test_the_model_prices_by_the_number():
    one = Scenario(640, 10, 1e6)
    found = costs(("copying", "copying:16"), one, dict.fromkeys(CONSTANTS, 1.0))
    assert [cost.harvest_ns for cost in found.values()] == [10 * 4, 10 * 16]


def test_the_model_prints_the_terms_with_the_number(capsys):
    deployment = "--slot 1GiB --density 1% --interval 1s --format json"
    assert main(["model", "--strategy", "copying:32", *deployment.split()]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["strategy"], row["count_value"]) == ("copying:32", 32 * (1 << 18) / 64)


def test_no_parameter_hides_a_name_of_the_model():
    taken = {*NAMES, *terms.COUNTS, *CONSTANTS, "resend", "weights"}
    lines = registry.TRACKERS.values()
    assert taken.isdisjoint(line.parameter.name for line in lines if line.parameter)
    assert named("write_protect", {"words": 1.0}) == {"words": 1.0}


def test_strategies_shows_it(capsys):
    assert main(["strategies"]) == 0
    name, _, last = capsys.readouterr().out.splitlines()[-1].partition("  ")
    text = "bitmaps that are kept: a power of two from 1 to 64; 4 where none is given"
    assert (name, last.strip()) == ("copying:copies", text)
    assert main(["strategies", "--format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["copying"]["parameter"]["default"] == 4
    assert rows["write_protect"]["parameter"] is None


def test_it_keeps_its_colour_at_each_value():
    looks = [style_of(strategy) for strategy in ("copying", "copying:2", "copying:8")]
    assert len({look["color"] for look in looks}) == 1
    assert len({look["marker"] for look in looks}) == 3
