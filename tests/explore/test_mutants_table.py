"""What the table of mutants says kills one is a check that there is: what has no name fails too."""

import csv
import re
from collections import Counter
from pathlib import Path

from strategies.contract.hold import CLAUSES
from strategies.explore.session import find

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "mutants" / "table.tsv"

COUNTS = (
    r"(?P<judged>[\d,]+) were judged \([\d-]+\): (?P<killed>[\d,]+) killed, "
    r"(?P<equivalent>\d+) equivalent, (?P<survived>\d+) survives, so that of those that are not "
    r"equivalent (?P<share>[\d.]+) % are killed: (?P<lives>\d+) by a random life of a guest, "
    r"(?P<test>\d+) by a test, (?P<explore>\d+) by the explorer, "
    r"(?P<contract>\d+) by a clause of the contract"
)
"""What CORRECTNESS says of the table, in words."""


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


def rows():
    """Return the rows of the table."""
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_the_text_has_the_counts_of_the_table():
    verdicts = Counter(row["verdict"] for row in rows())
    kinds = Counter(row["why"].split()[0] for row in rows() if row["verdict"] == "killed")
    text = (ROOT / "strategies" / "CORRECTNESS.md").read_text()
    found = re.search(COUNTS, " ".join(text.split()))
    numbers = {name: float(n.replace(",", "")) for name, n in found.groupdict().items()}
    share = verdicts["killed"] / (verdicts["killed"] + verdicts["survived"])
    assert numbers == {
        "judged": verdicts.total(),
        **verdicts,
        "share": round(100 * share, 1),
        **kinds,
    }


def test_what_kills_a_mutant_is_a_check_that_there_is():
    kills = {row["why"] for row in rows() if row["verdict"] == "killed"}
    assert [check for check in sorted(kills) if not exists(check)] == []
