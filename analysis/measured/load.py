"""The one reader of asv's result files: a folder, or one of passes, becomes one tidy DataFrame.

Any project's folder can be read: several machines, environments and commits are kept apart.
"""

import ast
import json
import math
from itertools import product
from pathlib import Path

import pandas as pd

from strategies.errors import InputError

FORMAT_VERSION = 2
SUITE = "benchmarks.json"
OK, FAILED, SKIPPED = "ok", "failed", "skipped"

STATISTICS = {
    "q25": "stats_q_25",
    "q75": "stats_q_75",
    "ci99_low": "stats_ci_99_a",
    "ci99_high": "stats_ci_99_b",
    "repeats": "stats_repeat",
    "samples": "samples",
}
"""Columns, and what asv calls them; None where a benchmark has no samples."""

ORIGIN = ["machine", "environment", "commit"]
"""Times that differ in one of these are no one data set."""

COLUMNS = {
    "pass",
    "benchmark",
    "value",
    "unit",
    "status",
    "started_at",
    "python",
    *STATISTICS,
    *ORIGIN,
}

UNKNOWN = "unknown"
MACHINE = ("cpu", "num_cpu", "os", "arch", "ram")
"""What asv notes of a machine, if it can."""


def load_results(folder):
    """Return a row for each cell of every benchmark that a folder of asv's results holds.

    Parameters
    ----------
    folder : str or Path
        What asv calls `results_dir`, or a folder of several of them: passes, the same grid measured
        at different hours.

    Returns
    -------
    DataFrame
        `pass` (the name of the pass's folder), `benchmark`, a column per parameter name (missing
        where a benchmark has none of that name; `param_NAME` if NAME is one of the columns here),
        `value` (NaN unless ok), `unit`, `status` (ok, failed, skipped; a cell that was not selected
        counts as skipped), STATISTICS, `started_at`, `commit`, `machine`, `environment`, and the
        versions that the environment fixes (`python`, `numpy`, ...). A parameter is a number, a
        truth value or a text; of any other kind, asv's own text for it. Results of another version
        of a benchmark than the one in `benchmarks.json` are left out, as asv does.

    Raises
    ------
    InputError
        No results, damaged ones, not asv's format 2, or several passes that are not of one machine,
        environment and commit.
    """
    folder = Path(folder)
    passes = passes_of(folder)
    frame = pd.DataFrame([row for one in passes for row in _rows_of_pass(one)])
    for column in ORIGIN if len(passes) > 1 else ():
        found = frame[column].unique()
        if len(found) > 1:
            names = ", ".join(sorted(found))
            raise InputError(f"{str(folder)!r} mixes results: {column} must be one, not {names}")
    return frame


def passes_of(folder):
    """Return the folders of the passes that a folder holds, sorted: itself if it is asv's."""
    found = sorted(path.parent for path in Path(folder).glob(f"*/{SUITE}"))
    return found if found and not Path(folder, SUITE).exists() else [Path(folder)]


def _rows_of_pass(folder):
    """Return the rows of one of asv's folders."""
    suite = _read(folder / SUITE, folder)
    files = sorted(path for path in folder.glob("*/*.json") if path.name != "machine.json")
    rows = []
    for path in files:
        content = _read(path, folder)
        try:
            rows += [{"pass": folder.name, **row} for row in _rows_of_file(content, suite)]
        # What was damaged, or edited, makes this raise half a dozen unrelated types.
        except Exception as error:
            raise InputError(
                f"{str(path)!r} is no file of asv's, or {SUITE} is not its: {error!r}"
            ) from error
    if not rows:
        raise InputError(f"no results in {str(folder)!r}: accepted is a folder that asv wrote")
    return rows


def load_machine(folder, name):
    """Return asv's description of a machine, by the name that rows have in their `machine` column.

    Returns
    -------
    dict
        `machine` (the name) and MACHINE, all texts; UNKNOWN where asv did not find out.
    """
    found = {}
    for path in sorted(passes_of(folder)[0].glob("*/machine.json")):
        content = _read_json(path)
        if isinstance(content, dict) and content.get("machine") == name:
            found = content
    known = {field: str(found.get(field) or UNKNOWN) for field in MACHINE}
    return {"machine": name, **known}


def latest(frame):
    """Return the rows of what was measured last: one machine, environment and commit."""
    last = frame.loc[frame["started_at"].fillna(pd.Timestamp(0)).idxmax(), ORIGIN]
    return frame[(frame[ORIGIN] == last).all(axis=1)].reset_index(drop=True)


def _read_json(path):
    """Return the content of a JSON file."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is no file of asv's: {error}") from error


def _read(path, folder):
    """Return the content of the suite's file or of one with results."""
    if not path.exists():
        raise InputError(
            f"no asv results in {str(folder)!r}: accepted is a folder that "
            "`make study` or `make bench` wrote"
        )
    content = _read_json(path)
    version = content.get("version") if isinstance(content, dict) else None
    if version is None:
        raise InputError(f"{str(path)!r} is no file of asv's: it has no version")
    if version != FORMAT_VERSION:
        raise InputError(f"{str(path)!r} has format {version!r}: accepted is {FORMAT_VERSION}")
    return content


def _rows_of_file(file, suite):
    """Yield the rows of one commit in one environment."""
    origin = {
        "commit": file["commit_hash"],
        "machine": file["params"]["machine"],
        "environment": file["env_name"],
        "python": file["python"],
    }
    if not all(isinstance(value, str) for value in origin.values()):
        raise TypeError("commit, machine, environment and python are not texts")
    origin |= {name: version or "" for name, version in file["requirements"].items()}
    for name, values in file["results"].items():
        # asv cuts off what is None at the end of a row.
        result = dict(zip(file["result_columns"], values, strict=False))
        benchmark = suite.get(name)
        if benchmark is None or result.get("version") not in (None, benchmark["version"]):
            continue
        if len(result.get("params") or ()) != len(benchmark["param_names"]):
            continue  # of a version that had other parameters
        names = [
            f"param_{n}" if n in COLUMNS | origin.keys() else n for n in benchmark["param_names"]
        ]
        for cell in _rows_of_benchmark(result, names, benchmark["unit"]):
            yield {"benchmark": name, **cell, **origin}


def _rows_of_benchmark(result, names, unit):
    """Yield the cells of one benchmark; a column that is None for all cells is one None."""
    started_at = result.get("started_at")
    columns = {key: result.get(column) for key, column in STATISTICS.items()}
    for number, params in enumerate(product(*(result.get("params") or ()))):
        value = None if result["result"] is None else result["result"][number]
        yield {
            **dict(zip(names, map(_parameter, params), strict=True)),
            "value": math.nan if value is None else float(value),
            "unit": unit,
            "status": _status(value),
            **{key: None if cells is None else cells[number] for key, cells in columns.items()},
            "started_at": pd.NaT
            if started_at is None
            else pd.Timestamp(float(started_at), unit="ms"),
        }


def _parameter(text):
    """Return a parameter from its repr, which asv keeps; what is no plain value stays that text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, str | int | float) else text


def _status(value):
    """Return what asv means by a value: None is failed, NaN is skipped."""
    if value is None:
        return FAILED
    return SKIPPED if math.isnan(value) else OK
