"""Hold a tracker to the contract, clause by clause."""

import linecache
import traceback
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from strategies.contract.clause import CLAUSES
from strategies.errors import told
from strategies.registry import file_of

FOLDER = Path(__file__).parent
FILES = (
    "exact_sets",
    "guest_changes",
    "aliases",
    "large_pages",
    "full_groups",
    "slots",
    "enable_disable",
    "guest_view",
    "counts",
)
for name in FILES:
    import_module(f"strategies.contract.{name}")  # which declares its clauses


class Verdict(NamedTuple):
    """How a tracker stood to a clause: `why` is None where it passed in all cases."""

    clause: str
    cases: int
    why: str | None


def hold(strategy, progress=None):
    """Yield the verdict on each clause; a clause ends with its first case that fails.

    Parameters
    ----------
    strategy : str
    progress : callable, optional
        Called with 1 after each clause.
    """
    for one in CLAUSES:
        yield Verdict(one.name, len(one.cases), _failure(one, strategy))
        if progress:
            progress(1)


def _failure(one, strategy):
    """Return in a line why a clause does not hold, or None."""
    for case in one.cases:
        try:
            one.check(strategy, **case)
        except Exception as error:  # of the tracker's own code, too
            where = ", ".join(f"{name} {value}" for name, value in case.items())
            reason = _reason(error, strategy)
            return f"{_place(error)}: {reason}" + (f" [{where}]" if where else "")
    return None


def _reason(error, strategy):
    """Return in words why; of what the tracker raised also the line."""
    if isinstance(error, AssertionError):
        return " ".join(str(error).split())
    return told(error, file_of(strategy))


def _place(error):
    """Return the line of the clause at which it failed: file, number and text."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if Path(f.filename).parent == FOLDER and f.name != "expect"]
    last = [f for f in inside if Path(f.filename).name not in ("bench.py", "hold.py")][-1]
    text = " ".join(linecache.getline(last.filename, last.lineno).split())
    return f"{Path(last.filename).name}:{last.lineno} {text}"
