"""What the table of mutants says kills one is a check that there is: what has no name fails too."""

import csv
from pathlib import Path

from strategies.contract.hold import CLAUSES
from strategies.explore.session import find

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "mutants" / "table.tsv"


def exists(check):
    """Whether there is a check of that name."""
    kind, *arguments = check.removesuffix(" (for ever, or a crash)").split(" ")
    if kind == "explore":
        tracker, memory, program = arguments
        return tracker in find(program).strategies and memory in ("sc", "tso")
    if kind == "contract":
        return arguments[1] in {clause.check.__name__ for clause in CLAUSES}
    if kind == "lives":
        return arguments[1].isdigit()
    path, _, name = arguments[0].partition("::")
    return f"def {name.partition('[')[0].rpartition('::')[2]}(" in (ROOT / path).read_text()


def test_what_kills_a_mutant_is_a_check_that_there_is():
    with TABLE.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        kills = {row["why"] for row in rows if row["verdict"] == "killed"}
    assert [check for check in sorted(kills) if not exists(check)] == []
