"""The mutants: which are generated, that they are told apart, and that the runner judges them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import judges
import pytest
from by_hand import by_hand
from operators import files, generate

RUNNER = Path(__file__).with_name("runner.py")
TABLE = RUNNER.with_name("table.tsv")
KILLED = "strategies/core/changed.py:clear_c:wrong:0"


def changes(body, operator):
    """What an operator makes of a function of some lines."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    mutants = generate("a.py", f"def f(machine, gfn):\n{lines}")
    return [mutant.change for mutant in mutants if mutant.operator == operator]


@pytest.mark.parametrize(
    ("operator", "body", "expected"),
    [
        ("split", "atomics.fetch_or(a, i, x)", ["atomics.fetch_or -> _split_fetch_or"]),
        ("drop", "unlock_rmap(rmap, gfn, word)", ["unlock_rmap(rmap, gfn, word) -> pass"]),
        ("drop", "mask &= ~bit", ["mask &= ~bit -> pass"]),
        ("lock", "w = lock_rmap(r, gfn)", ["lock_rmap(r, gfn) -> atomics.load(r, gfn)"]),
        ("lock", "with vm.lock:\n    go()", ["with vm.lock -> if True"]),
        ("lock", "if not try_lock_hpte(h, i, 0): pass", ["try_lock_hpte(h, i, 0) -> True"]),
        ("swap", "mark(a)\nflush(b)", ["mark(a) flush(b) -> flush(b) mark(a)"]),
        ("swap", "v = lock(a)\nunlock(a, v)", []),
        ("swap", "count(a)\nflush(b)", []),
        ("bound", "if a < b: pass", ["a < b -> (a) <= (b)"]),
        ("bound", "for i in range(n): pass", ["n -> n - 1"]),
        ("bound", "for i in range(a, b): pass", ["a -> a + 1", "b -> b - 1"]),
        ("mask", "x = v & HPTE_R_RC", ["v & HPTE_R_RC -> (v)"]),
        ("mask", "x = HPTE_R_R | HPTE_R_C", ["HPTE_R_R | HPTE_R_C -> (HPTE_R_R)"]),
        ("half", "x = bitmap_start(machine, 0, 1)", ["1 -> 0"]),
        ("half", "x = load(hpt, 2 * i)", ["2 * i -> (2 * i + 1)"]),
        ("slot", "x = SLOT_DIRTY + half", ["SLOT_DIRTY + half -> (SLOT_DIRTY)"]),
        ("order", "x = ONE << order", ["ONE << order -> (ONE)"]),
        ("wrong", "x = HPTE_V_VALID", ["HPTE_V_VALID -> HPTE_V_ABSENT"]),
        ("weaken", "if a == b: pass", ["a == b -> (a) != (b)"]),
        ("weaken", "if a and b: pass", ["a and b -> ((b))", "a and b -> ((a))"]),
        ("decide", "if a: pass", ["a -> True", "a -> False"]),
    ],
)
def test_an_operator(operator, body, expected):
    assert changes(body, operator)[: max(1, len(expected))] == expected


def test_hints_messages_and_times_are_no_matter():
    lines = ('"""A text: not a == b."""', "atomics.prefetch(a, 2 * i)", 'raise Error(f"{a + 1}")')
    assert generate("a.py", "\n    ".join(("def f():", *lines))) == []


def test_an_edit_of_one_function_leaves_the_names_of_others():
    two = "def f():\n    go(1 + a)\n\n\ndef g():\n    go(2 + b)\n"
    before = generate("a.py", two)
    after = generate("a.py", two.replace("1 + a", "a | 1"))
    assert [m[:6] for m in before if m.function == "g"] == [m[:6] for m in after[-2:]]
    assert {m.digest for m in before if m.function == "f"}.isdisjoint({m.digest for m in after})


def test_mutants_are_programs_each_with_a_name_of_its_own():
    mutants = [*by_hand(), *(mutant for file in files() for mutant in generate(file))]
    assert len({mutant.name for mutant in mutants}) == len(mutants) > 400
    for mutant in mutants[::40]:
        ast.parse(mutant.source())


def test_the_mistakes_that_kernels_made_are_all_killed():
    rows = [line.split("\t") for line in TABLE.read_text().splitlines()]
    verdicts = {row[0]: row[3] for row in rows}
    assert {verdicts[mutant.name] for mutant in by_hand()} == {"killed"}


def test_of_what_is_judged_98_in_100_are_killed_and_the_others_have_a_reason():
    rows = [line.split("\t") for line in TABLE.read_text().splitlines()[1:]]
    verdicts = [row[3] for row in rows]
    killed, survived = verdicts.count("killed"), verdicts.count("survived")
    assert len(rows) >= 400
    assert killed >= 0.98 * (killed + survived)
    assert all(row[4] for row in rows)


def run(table, *arguments):
    """Run the runner, each mutant for a second; return its status and the lines it prints."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, str(RUNNER), "--each", "1", "--jobs", "2", "--table", str(table)]
    done = subprocess.run(
        [*command, *arguments], env=inherited, capture_output=True, text=True, timeout=1800
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_mutant_is_killed_and_the_table_says_by_what(tmp_path):
    table = tmp_path / "table.tsv"
    status, lines = run(table, "--only", KILLED)
    assert (status, lines[-1].split(",")[0]) == (0, "1 judged now; in the table: 1 killed"), lines
    row = table.read_text().splitlines()[1].split("\t")
    assert (row[0], row[3]) == (KILLED, "killed")
    assert row[4].partition(" ")[0] in judges.KINDS


@pytest.mark.slow
def test_a_survivor_fails_the_run_unless_the_table_has_a_reason(tmp_path):
    table = tmp_path / "table.tsv"
    survivor = "strategies/core/vcpus.py:storing_threads:bound:0"
    status, lines = run(table, "--only", survivor)
    assert (status, lines[-1].split(":")[0]) == (1, f"SURVIVES {survivor.split(':')[0]}"), lines
    argued = table.read_text().replace("survived\t", "equivalent\tthe caller's threads are real")
    table.write_text(argued)
    assert run(table, "--only", survivor)[0] == 0
    assert table.read_text() == argued


@pytest.mark.slow
def test_in_ci_a_mutant_that_was_killed_once_must_be_killed_again(tmp_path):
    table = tmp_path / "table.tsv"
    survivor = "strategies/core/vcpus.py:storing_threads:bound:0"
    run(table, "--only", survivor)
    said = table.read_text().replace("survived\t", "killed\ttest tests/core/test_hpt.py")
    table.write_text(said)
    status, lines = run(table, "--ci", "--only", survivor)
    assert (status, "SURVIVES" in lines[-1]) == (1, True), lines
    assert table.read_text() == said
