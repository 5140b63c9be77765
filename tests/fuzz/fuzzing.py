"""How much is fuzzed, and how it is judged: an input succeeds, or is refused in one clear line.

In time, with no warning, and with nothing written that was not there before.
"""

import contextlib
import io
import os
import signal
import tempfile
import warnings
from functools import wraps
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies.cli import main
from strategies.errors import InputError

CPU_SECONDS = 2.0
"""An input may take this long, in processor time: a busy machine is no hang."""

INPUTS = {
    "damaged archives": 2000,
    "damaged members": 1200,
    "wrong members": 1500,
    "files of random bytes": 400,
    "mutated profiles": 1200,
    "damaged profiles": 600,
    "advice from mutated profiles": 30,
    "option values": 1500,
    "advise": 40,
    "model": 40,
    "synth": 600,
    "trace": 300,
    "replay": 200,
    "other commands": 100,
    "mutated results": 600,
    "damaged results": 300,
    "mutated replays": 500,
}
"""How many inputs each test generates, when it has time: then it is marked slow."""

QUICK = {
    "damaged members": 400,
    "wrong members": 500,
    "files of random bytes": 150,
    "damaged profiles": 200,
    "advice from mutated profiles": 10,
    "option values": 500,
    "advise": 15,
    "model": 15,
    "synth": 200,
    "trace": 100,
    "replay": 70,
    "other commands": 40,
    "damaged results": 100,
}
"""How many otherwise; the rest have one of their kind among these."""


class TooLongError(BaseException):
    """No Exception: what is to be tested must not take it for a damaged file."""


def fuzz(name, *strategies):
    """Run a test on as many inputs as QUICK and INPUTS have for `name`, always the same."""

    def decorate(test):
        @pytest.mark.parametrize(
            "inputs",
            [
                *([QUICK[name]] if name in QUICK else []),
                pytest.param(INPUTS[name], marks=pytest.mark.slow),
            ],
        )
        @wraps(test)
        def run(inputs):
            ran = 0

            @settings(
                max_examples=inputs,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(st.tuples(*strategies))
            def judged(values):
                nonlocal ran
                ran += 1
                test(*values)

            judged()
            assert ran >= inputs, f"only {ran} inputs"

        del run.__wrapped__  # pytest would take its parameters for fixtures
        return run

    return decorate


@contextlib.contextmanager
def watched():
    """Fail on a warning, and after CPU_SECONDS of processor time."""

    def stop(*_):
        raise TooLongError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            yield
        assert not seen, f"warned: {seen[0].message}"
    except TooLongError:
        raise AssertionError(f"took more than {CPU_SECONDS} s") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def refusal_of(load):
    """Load something; return the message that refuses it, None if it is accepted."""
    try:
        with watched():
            load()
    except InputError as error:
        message = str(error)
        assert message
        assert message.splitlines() == [message]
        return message
    return None


def run(argv, folder):
    """Run `dirtylog` in a folder as a process would; return status, stdout and stderr."""
    # As the interpreter opens them: what cannot be encoded fails on the one, not on the other.
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    kept = os.dup(1)  # the command gives its stdout away when the system fails
    try:
        with (
            contextlib.chdir(folder),
            watched(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = main(argv)
            out.flush()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    err.flush()
    return status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


def contents(folder):
    """Everything under a folder: path -> bytes, None for a folder."""
    return {p: None if p.is_dir() else p.read_bytes() for p in Path(folder).rglob("*")}


def judge(argv, folder, accepted=(0, 2)):
    """Run `dirtylog` and judge how it ends; return the exit status and stdout."""
    before = contents(folder)
    status, out, err = run(argv, folder)
    assert status in accepted, f"status {status}: {err}"
    if status == 2:
        assert err.startswith("dirtylog: error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert out == ""
        assert contents(folder) == before
    else:
        assert out
        assert err == "" or err.startswith("wrote ")
    return status, out


@contextlib.contextmanager
def file_of(content, name="input"):
    """A file with the given bytes, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        yield path
