"""The one reader of asv's result files: a folder, or one of passes, becomes one tidy DataFrame."""

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

ORIGIN = ("machine", "environment")
"""What must be the same for all rows: times of two machines or versions are no one data set."""


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
        where a benchmark has none of that name), `value` (NaN unless ok), `unit`, `status` (ok,
        failed, skipped; a cell that was not selected counts as skipped), STATISTICS, `started_at`,
        `commit`, `machine`, `environment`, and the versions that the environment fixes (`python`,
        `numpy`, ...). Results of another version of a benchmark than the one in `benchmarks.json`
        are left out, as asv does.

    Raises
    ------
    InputError
        No results, damaged ones, not asv's format 2, of more than one machine or environment, or
        several passes that are not of one commit.
    """
    folder = Path(folder)
    passes = passes_of(folder)
    frame = pd.DataFrame([row for one in passes for row in _rows_of_pass(one)])
    for column in (*ORIGIN, *["commit"] * (len(passes) > 1)):
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


def load_machine(folder):
    """Return asv's description of the machine that a folder of its results is of: a dict."""
    return json.loads(next(passes_of(folder)[0].glob("*/machine.json")).read_text())


def latest(frame):
    """Return the rows of the commit that was measured last."""
    last = frame.loc[frame["started_at"].idxmax(), "commit"]
    return frame[frame["commit"] == last].reset_index(drop=True)


def _read(path, folder):
    """Return the content of one of asv's files."""
    try:
        content = json.loads(path.read_text())
        version = content["version"]
    except FileNotFoundError:
        raise InputError(
            f"no asv results in {str(folder)!r}: accepted is a folder that "
            "`make study` or `make bench` wrote"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is no file of asv's: {error}") from error
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
        **file["requirements"],
    }
    if not all(isinstance(value, str) for value in origin.values()):
        raise TypeError("commit, machine, environment and versions are not texts")
    for name, values in file["results"].items():
        # asv cuts off what is None at the end of a row.
        result = dict(zip(file["result_columns"], values, strict=False))
        benchmark = suite.get(name)
        if benchmark is None or result.get("version") not in (None, benchmark["version"]):
            continue
        for cell in _rows_of_benchmark(result, benchmark):
            yield {"benchmark": name, **cell, **origin}


def _rows_of_benchmark(result, benchmark):
    """Yield the cells of one benchmark; a column that is None for all cells is one None."""
    for number, params in enumerate(product(*result["params"])):
        columns = {key: result.get(column) for key, column in STATISTICS.items()}
        value = None if result["result"] is None else result["result"][number]
        yield {
            **dict(zip(benchmark["param_names"], map(ast.literal_eval, params), strict=True)),
            "value": math.nan if value is None else float(value),
            "unit": benchmark["unit"],
            "status": _status(value),
            **{key: None if cells is None else cells[number] for key, cells in columns.items()},
            "started_at": pd.Timestamp(float(result["started_at"]), unit="ms"),
        }


def _status(value):
    """Return what asv means by a value: None is failed, NaN is skipped."""
    if value is None:
        return FAILED
    return SKIPPED if math.isnan(value) else OK
