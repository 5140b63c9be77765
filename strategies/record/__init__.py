"""Record which pages a program writes: of any command (`dirtylog record`), or of a block of Python.

What is heavy is imported when a block begins: the command line imports this for its help.
"""

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Recording:
    """What a `with` block recorded: `trace` (a Trace) is None until the block has ended."""

    trace: Any = None


@contextmanager
def recording(out=None, *, interval_ms=10.0, name="block"):
    """Record which pages this process writes while a block runs, by a thread beside it.

    The whole process is recorded: the interpreter's own pages too, and other threads'. So are
    processes that it forks within the block, but for their last interval, and but for programs
    that it starts: for those there is `dirtylog record`.

    Parameters
    ----------
    out : str or Path, optional
        An npz file to write the trace to, also when the block raises.
    interval_ms : float
        Length of an epoch.
    name : str
        Of the trace.

    Yields
    ------
    Recording
        Its `trace` is there when the block has ended.

    Raises
    ------
    InputError
        This process cannot be recorded, or nothing was seen.
    """
    from strategies.record.library import start
    from strategies.record.raw import raw_folder, read_raws, trace_of
    from strategies.workloads.trace import save_trace

    result = Recording()
    interval_ns = int(interval_ms * 1e6)
    with raw_folder() as folder:
        library = start(folder, interval_ns)
        try:
            yield result
        finally:
            library.dirtylog_stop()
            command = [sys.argv[0] or sys.executable, *sys.argv[1:]]
            result.trace = trace_of(
                read_raws(folder), name=name, command=command, interval_ns=interval_ns
            )
            if out is not None:
                save_trace(result.trace, os.fspath(out))
