"""The two worker processes, one for each revision, and how jobs reach them."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from strategies.errors import InputError

WORKER = Path(__file__).with_name("worker.py")


class Side:
    """A worker that runs the code of a revision.

    Parameters
    ----------
    revision : checkouts.Revision
    """

    def __init__(self, revision):
        self.revision = revision
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by close()
        path = os.pathsep.join(map(str, revision.folders))
        environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            cwd=revision.folders[0],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def ask(self, job):
        """Send a job."""
        with contextlib.suppress(BrokenPipeError):  # its last words come with `answer`
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()

    def answer(self):
        """Return the result of the job; raises InputError where the worker failed."""
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        lines = [text for text in self.errors.read().splitlines() if text != "a child failed"]
        raise InputError(
            f"{self.revision.name} cannot be measured: {(lines or ['no message'])[-1]}"
        )

    def close(self):
        """End the worker."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@contextlib.contextmanager
def both(revisions):
    """Give the sides of two revisions for a while."""
    with contextlib.ExitStack() as stack:
        sides = [Side(revision) for revision in revisions]
        for side in sides:
            stack.callback(side.close)
        yield sides


def ask_both(sides, jobs):
    """Let both sides do a job each, at once; return both results."""
    for side, job in zip(sides, jobs, strict=True):
        side.ask(job)
    return [side.answer() for side in sides]
