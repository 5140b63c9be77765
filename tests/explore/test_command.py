"""The command `dirtylog explore`, in this process: the JIT is disabled here as the command does."""

import shlex
from pathlib import Path

import pytest

from strategies.cli import main

SLICED = f"{Path(__file__).parents[1] / 'data' / 'trackers' / 'sliced.py'}:Sliced"


RAISING = """
from strategies.core.protect import change_dirty_pages
from strategies.fault.write_protect import WriteProtect

class InHarvest(WriteProtect):
    def _harvest(self, slot, out):
        took = super()._harvest(slot, out)
        return took + [0][int(out[0])]

class InEnable(WriteProtect):
    def _enable(self, slot):
        change_dirty_pages(self.vm.machine, slot, None, 1, 1)

class Locked(WriteProtect):
    def _enable(self, slot):
        super()._enable(slot)
        self.vm.slots_lock.__enter__()
"""


@pytest.fixture
def raising(tmp_path):
    """A file of trackers."""
    path = tmp_path / "raising.py"
    path.write_text(RAISING)
    return path


@pytest.fixture
def explore(capsys):
    """Run the command; return its status, the lines of its output, and of its errors."""

    def run(*arguments):
        status = main(["explore", *arguments])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return run


def test_a_tracker_from_outside_runs_the_programs_of_all(explore):
    status, lines, errors = explore("store-harvest", "--strategy", f"{SLICED}:4")
    assert (status, errors) == (0, [])
    assert lines[1].split()[:2] == ["store-harvest", f"{SLICED}:4"]


def replay_line(lines):
    (line,) = (line for line in lines if line.startswith("dirtylog explore"))
    return shlex.split(line)[2:]


def test_what_a_tracker_raises_is_a_finding_with_its_line(explore, raising):
    said = "error: IndexError: list index out of range (raising.py:8)"
    status, lines, errors = explore("store-harvest", "--strategy", f"{raising}:InHarvest")
    assert (status, errors) == (1, [])
    assert lines[1].split()[-1] == "error"
    assert f"store-harvest under {raising}:InHarvest: {said}" in lines
    status, lines, errors = explore(*replay_line(lines))
    assert (status, lines[-1], errors) == (1, said, [])
    assert "B: harvest" in lines


@pytest.mark.parametrize(
    ("tracker", "said"),
    [
        ("InEnable", "error: TypeError: unsupported operand type(s) for *: 'NoneType' and 'int'"),
        ("Locked", "livelock: a spin loop with all threads stopped"),
    ],
)
def test_so_is_what_goes_wrong_before_the_first_step(explore, raising, tracker, said):
    status, lines, errors = explore("store-harvest", "--strategy", f"{raising}:{tracker}")
    assert (status, errors) == (1, [])
    (found,) = (line for line in lines if line.startswith("store-harvest under"))
    assert said in found
    assert "found before the first step of all schedules" in lines
    status, lines, errors = explore(*replay_line(lines))
    assert (status, lines[0], errors) == (1, "before the first step", [])
    assert found.endswith(lines[-1])


def test_so_is_what_the_generated_programs_raise_until_the_tracker_is_mended(explore, raising):
    arguments = ("--generated", "pairs", "--part", "3/400", "--out", str(raising.with_name("done")))
    arguments += ("--strategy", f"{raising}:InEnable")
    status, lines, _ = explore(*arguments)
    assert (status, "1 finding." in lines[-1]) == (1, True)
    assert any("TypeError" in line and "(raising.py:12)" in line for line in lines)
    status, lines, _ = explore(*arguments)
    assert (status, "0 of them run now" in lines[0]) == (1, True)
    raising.write_text(RAISING + "\n")
    status, lines, errors = explore(*arguments)
    assert (status, lines) == (2, [])
    assert "made by other sources" in errors[0]


def test_a_higher_bound_runs_more_schedules(explore):
    counts = []
    for bound in (0, 2):
        _, lines, _ = explore("store-harvest", "--strategy", "c_bit_scan", "--bound", str(bound))
        counts.append(int(lines[1].split()[4]))
    assert counts == sorted(set(counts))


def test_one_schedule_can_be_replayed(explore):
    arguments = ("store-harvest", "--strategy", "c_bit_scan", "--replay", "A3 B* A*")
    status, lines, _ = explore(*arguments)
    assert status == 0
    assert lines[-1] == "nothing is wrong under this schedule"
    assert [line for line in lines if line[:1].isalpha()][:3] == [
        "A: start",
        "A: store(0)",
        "B: harvest",
    ]


GENERATED = ("--generated", "pairs", "--strategy", "c_bit_scan", "--part")


def test_a_part_of_the_generated_programs_is_gone_on_with(explore, tmp_path):
    out = tmp_path / "done"
    first = explore(*GENERATED, "1/100", "--out", str(out))
    assert first[0] == 0
    assert "0 findings" in first[1][-1]
    whole = out.read_text().splitlines()
    out.write_text("\n".join(whole[:-3]) + "\n")
    again = explore(*GENERATED, "1/100", "--out", str(out))
    assert "3 of them run now" in again[1][0]
    assert sorted(out.read_text().splitlines()[:-3]) == sorted(whole[:-3])
    assert [line.split()[:4] for line in again[1][1:]] == [
        line.split()[:4] for line in first[1][1:]
    ]


@pytest.mark.parametrize("torn", ["", '{"jo'])
def test_what_was_killed_while_it_wrote_is_gone_on_with(explore, tmp_path, torn):
    out = tmp_path / "done"
    out.write_text("")
    assert explore(*GENERATED, "1/100", "--out", str(out))[0] == 0
    whole = out.read_text().splitlines()
    out.write_text("\n".join(whole[:-1]) + f"\n{torn}")
    assert "1 of them run now" in explore(*GENERATED, "1/100", "--out", str(out))[1][0]
    assert sorted(line.split('"seconds"')[0] for line in out.read_text().splitlines()) == sorted(
        line.split('"seconds"')[0] for line in whole
    )


@pytest.mark.parametrize("line", ["{}", "[", '{"job": []}', "7"])
def test_a_damaged_file_is_not_gone_on_with(explore, tmp_path, line):
    out = tmp_path / "done"
    explore(*GENERATED, "99/100", "--out", str(out))
    damaged = out.read_text() + line + "\n"
    out.write_text(damaged)
    status, lines, errors = explore(*GENERATED, "99/100", "--out", str(out))
    assert (status, lines, len(errors)) == (2, [], 1)
    assert "damaged" in errors[0]
    assert out.read_text() == damaged


def test_what_other_sources_made_is_not_gone_on_with(explore, tmp_path):
    out = tmp_path / "done"
    out.write_text('{"sources": "others"}\n')
    status, lines, errors = explore(*GENERATED, "1/100", "--out", str(out))
    assert (status, lines) == (2, [])
    assert "made by other sources" in errors[0]


def test_a_generated_program_is_explored_by_its_name(explore):
    status, lines, _ = explore("store,harvest@clean", "--strategy", "write_protect")
    assert (status, lines[1].split()[0]) == (0, "store,harvest@clean")


def test_programs_are_listed(explore):
    status, lines, _ = explore("--list")
    assert status == 0
    assert lines[0].split()[:3] == ["program", "threads", "bound"]
    assert len(lines) > 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "unknown program 'nothing'; accepted:"),
        ([""], "unknown program ''; accepted:"),
        (["--part", "1/2"], "--part says nothing alone; accepted: with --generated"),
        (["--list", "--catalogue"], "--catalogue says nothing beside --list; accepted: one of"),
        (["--generated", "all", "store-harvest"], "PROGRAM says nothing beside --generated"),
        (["--catalogue", "--memory", "tso"], "--memory says nothing beside --catalogue"),
        (["store-harvest", "--strategy", "c_bit_scan", "--replay", ""], "accepted is one like"),
        (["store-harvest", "--strategy", "nothing"], "unknown strategy 'nothing'"),
        (["store-harvest", "--strategy", "null"], "'null' tracks nothing"),
        (["--generated", "all", "--part", "3/3"], "accepted is K/N"),
        (["--defect", "nothing"], "unknown defect 'nothing'; accepted:"),
        (["--replay", "A*"], "--replay needs a PROGRAM"),
        (["store-harvest", "--replay", "A*"], "need one --strategy"),
        (["store-harvest", "--strategy", "c_bit_scan", "--replay", "Z1"], "does not fit"),
        (["store-harvest", "--strategy", "c_bit_scan", "--replay", "?"], "accepted is one like"),
        (["delayed-c-harvest", "--strategy", "pte_flush"], "accepted: c_bit_scan"),
        (["delayed-c-harvest", "--strategy", SLICED], "accepted: c_bit_scan"),
        (["store-harvest", "--strategy", f"{SLICED}:0"], "must be a number from 1"),
    ],
)
def test_bad_input_is_one_line(explore, arguments, message):
    status, lines, errors = explore(*arguments)
    assert (status, lines, len(errors)) == (2, [], 1)
    assert message in errors[0]
