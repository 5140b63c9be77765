"""Record a command: run it with the recorder preloaded, and make a trace of what it left."""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager

import click

from strategies.errors import InputError
from strategies.plural import plural
from strategies.record.library import library, start, why_not
from strategies.record.raw import raw_folder, read_raws, trace_of
from strategies.workloads.trace import save_trace, wrote_text

GRACE_S = 5
"""How long a program that is asked to end may take."""


def run_record(command, *, interval_ns, duration_ns, out):
    """Run a command, record it, write its trace, and return its exit status as a shell has it.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    interval_ns : float
    duration_ns : float or None
        After which the program is ended; the status is then 0.
    out : Path

    Raises
    ------
    InputError
        The program is not there, cannot be recorded, or nothing was seen of it.
    """
    if not shutil.which(command[0]):
        raise InputError(f"no program {command[0]!r}; accepted: a path, or a name in PATH")
    interval_ns = int(interval_ns)
    with raw_folder() as folder:
        _try(folder)
    with raw_folder() as folder:
        status = _run(command, folder, interval_ns, duration_ns)
        raws = read_raws(folder)
    _check(raws, command)
    trace = trace_of(raws, name=out.stem, command=command, interval_ns=interval_ns)
    save_trace(trace, out)
    _say(trace, out, sum(raw.failed is not None for raw in raws))
    return status


def _try(folder):
    """Record this process for a moment: what fails here would fail in the program, unseen."""
    start(folder, 10**9).dirtylog_stop()


def _run(command, folder, interval_ns, duration_ns):
    preload = ":".join(filter(None, (str(library()), os.environ.get("LD_PRELOAD"))))
    recorder = {
        "LD_PRELOAD": preload,
        "DIRTYLOG_RECORDING": str(folder),
        "DIRTYLOG_INTERVAL_NS": str(interval_ns),
    }
    with subprocess.Popen(command, env=os.environ | recorder) as process, _signals_to(process):
        try:
            process.wait(duration_ns and duration_ns / 1e9)
        except subprocess.TimeoutExpired:
            _end(process)
            return 0
    code = process.returncode
    return code if code >= 0 else 128 - code


def _end(process):
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def _signals_to(process):
    """Leave an interrupt to the program, which the terminal sends it too; pass SIGTERM on."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(raws, command):
    if any(raw.name is not None for raw in raws):
        return
    for raw in raws:
        if raw.failed is not None:
            raise InputError(why_not(raw.failed))
    raise InputError(
        f"nothing was recorded of {command[0]!r}; accepted: a dynamically linked program that "
        "keeps LD_PRELOAD (a static or set-user-ID one does not)"
    )


def _say(trace, out, failed):
    if failed:
        click.echo(f"dirtylog: not recorded: {plural(failed, 'process', 'es')}", err=True)
    count = len(trace.meta["processes"])
    click.echo(f"{wrote_text(trace, out)}, {plural(count, 'process', 'es')}", err=True)
