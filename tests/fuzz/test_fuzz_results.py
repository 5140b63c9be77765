"""Result files: asv's and a replay's, with edits of their fields and damage to their bytes."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from fuzzing import fuzz, refusal_of
from hypothesis import strategies as st
from mutation import changed, changes, damaged, damages, json_bytes

from analysis.measured.harvests import SHOWN, read_replays
from analysis.measured.load import latest, load_results

RECORDED = Path(__file__).parent.parent / "data" / "asv"
FILES = {
    str(path.relative_to(RECORDED)): path.read_bytes() for path in sorted(RECORDED.rglob("*.json"))
}
DOCUMENTS = {name: json.loads(content) for name, content in FILES.items()}
names = st.sampled_from(sorted(FILES))


def judge_results(name, content):
    """Read a folder of results, one file of it changed, as the report does."""
    loaded = []
    with TemporaryDirectory() as folder:
        for each, recorded in (FILES | {name: content}).items():
            path = Path(folder, each)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(recorded)
        message = refusal_of(lambda: loaded.append(latest(load_results(folder))))
        assert message is None or folder in message
    for frame in loaded:
        assert frame["value"].dtype == float
        assert set(frame["status"]) <= {"ok", "failed", "skipped"}
    return message


@fuzz("mutated results", names, changes)
def test_a_result_file_with_edited_fields(name, edits):
    judge_results(name, json_bytes(changed(DOCUMENTS[name], edits)))


@fuzz("damaged results", names, damages)
def test_a_damaged_result_file(name, damage):
    judge_results(name, damaged(FILES[name], damage))


def test_a_result_file_that_ends_early_is_refused():
    for name, content in FILES.items():
        if not name.endswith("machine.json"):
            for length in range(0, len(content) - 2, 61):
                assert judge_results(name, content[:length])


SUMMARY = b"""\
trace,strategy,epochs,pages_stored,pages_reported,lost,spurious,harvest_ns_median,state_bytes,stores
toy,c_bit_scan,3,30,30,0,0,3205.0,0,30
toy,write_protect,3,30,30,0,0,30.5,96,30
toy,null,3,30,,,,20.0,0,30
"""
TABLE = [line.split(",") for line in SUMMARY.decode().splitlines()]


def judge_summary(content):
    """Read a folder of replays, one of them changed."""
    loaded = []
    with TemporaryDirectory() as folder:
        Path(folder, "a.summary.csv").write_bytes(SUMMARY)
        Path(folder, "b.summary.csv").write_bytes(content)
        message = refusal_of(lambda: loaded.append(read_replays(folder)))
        assert message is None or "b.summary.csv" in message
    for rows in loaded:
        for column in SHOWN:
            assert pd.api.types.is_numeric_dtype(rows[column])
            assert not rows[column].isna().any()
    return message


def csv_bytes(table):
    return "\n".join(
        ",".join(map(str, row)) if isinstance(row, list) else str(row) for row in table
    ).encode("utf-8", "surrogatepass")


edited = changes.map(lambda edits: csv_bytes(changed(TABLE, edits)))
harmed = damages.map(lambda damage: damaged(SUMMARY, damage))


@fuzz("mutated replays", edited | harmed)
def test_a_summary_with_edited_cells_or_bytes(content):
    judge_summary(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"trace\n", SUMMARY[:-60], SUMMARY.replace(b"trace,", b"", 1), b"\0" * 99],
    ids=["empty", "not UTF-8", "another table", "torn", "a column short", "zeros"],
)
def test_a_summary_that_is_none_is_refused(content):
    assert judge_summary(content)
