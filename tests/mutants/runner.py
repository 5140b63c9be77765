"""Run the mutants of the machine and its trackers, and keep the table of what killed each.

    python tests/mutants/runner.py [--jobs N] [--all] [--only TEXT] [--seconds N] [--ci] ...

A mutant runs in a child of this process, which has numba and pytest imported already: the child
imports the package anew, the mutated file among it, and runs the fast checks (`judges`) until one
fails. (cosmic-ray, which takes operators of one's own, was tried: it writes the mutant into the
checkout, judges all mutants by one command in a process that imports everything again, and numbers
them by file, so that a table would not outlive an edit.)

What is in the table and unchanged is not run again, so an interrupted run goes on. Exit
status 1: a mutant survives, and the table has no reason for it.
"""

import argparse
import csv
import importlib.abc
import importlib.util
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "conformance"), str(HERE)]
os.environ["NUMBA_DISABLE_JIT"] = "1"

import compiled  # noqa: E402
import hypothesis.stateful  # noqa: E402, F401  (what the children need, once for all)
import judges  # noqa: E402
import numba  # noqa: E402, F401
import numpy as np  # noqa: E402, F401
import pytest  # noqa: E402, F401
import reach  # noqa: E402
from by_hand import by_hand  # noqa: E402
from operators import Mutant, files, generate  # noqa: E402

TABLE = HERE / "table.tsv"
COLUMNS = ("mutant", "digest", "change", "verdict", "why")
FORMAT = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
SECONDS = 12
"""CPU time of a mutant after which no check begins any more."""

CHECK_SECONDS = 4
"""CPU time in which each check ends, with correct code in a fifth of it: longer is for ever."""

WALL_SECONDS = 300
KEEP_SECONDS = 20
ENDLESS = " (for ever, or a crash)"
MEMORY_BYTES = 8 << 30

COUNTS = "test tests/contract/test_exact_counts.py"
"""The check that an event left uncounted fails first."""

CONTROL_SECONDS = 5
CONTROL = Mutant("strategies/base.py", "<control>", "none", 0, "", "nothing", (0, 0, ""))
"""Is no mutant: all checks must pass it, or none of them means anything."""


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of the package from a mutant's source."""

    def __init__(self, mutant):
        self._name = mutant.file.removesuffix(".py").replace("/", ".")
        self._path = str(ROOT / mutant.file)
        self._source = mutant.source()

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self._name:
            return importlib.util.spec_from_file_location(fullname, self._path, loader=self)
        return None

    def exec_module(self, module):
        exec(compile(self._source, self._path, "exec"), vars(module))


class Child:
    """A process that judges a mutant, and the pipe through which it tells.

    Attributes
    ----------
    mutant : Mutant
    verdict : tuple of (str, str) or None
        "killed" or "survived", and by what; when it has ended.
    """

    def __init__(self, mutant, first, seconds):
        self.mutant = mutant
        self.verdict = None
        self._begun = time.monotonic()
        self._said = ""
        trackers = reach.trackers_of(mutant)
        self._pipe, write = os.pipe()
        os.set_blocking(self._pipe, False)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            _judge(mutant, trackers, first, seconds, write)
        os.close(write)

    def has_ended(self):
        """Say whether it has; end it if it hangs."""
        if time.monotonic() - self._begun > WALL_SECONDS:
            os.kill(self.pid, signal.SIGKILL)
        self._listen()
        if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            return False
        self._listen()
        os.close(self._pipe)
        last = self._said.splitlines()[-1] if self._said else "import"
        if last.startswith(("killed\t", "survived\t")):
            self.verdict = tuple(last.split("\t"))
        else:
            self.verdict = "killed", last + ENDLESS
        return True

    def _listen(self):
        with suppress(BlockingIOError):
            while said := os.read(self._pipe, 1 << 16):
                self._said = self._said[-2000:] + said.decode()

    def stop(self):
        """End it, judged or not."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._pipe)


def _judge(mutant, trackers, first, seconds, write):
    """Judge a mutant in this process, tell by a file descriptor, and end the process."""

    def say(text):
        os.write(write, f"{text}\n".encode())

    def begin(check):
        signal.setitimer(signal.ITIMER_PROF, CHECK_SECONDS)
        say(check)

    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        for name in [each for each in sys.modules if each.partition(".")[0] == "strategies"]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Importer(mutant))
        os.chdir(ROOT)
        begin("import")
        for check in first:
            judges.run(check, begin)
        judges.run_all(trackers, seconds, begin)
        say("survived\t")
    except judges.KilledError as killed:
        say(f"killed\t{killed}")
    except BaseException as error:
        say(f"killed\timport: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    finally:
        os._exit(0)


def read_table(path):
    """Return the rows of a table by the mutants' names; none where there is no table."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["mutant"]: row for row in csv.DictReader(file, **FORMAT)}


def write_table(path, rows):
    """Write a table, in one go."""
    beside = path.with_suffix(".new")
    with beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", **FORMAT)
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(path)


def shuffled(mutants, seed):
    """Return mutants in an order that a seed gives: a run that is cut short is a fair sample."""
    return random.Random(seed).sample(mutants, len(mutants))


class Run:
    """A run over mutants: which are due, what became of them, and the table.

    Parameters
    ----------
    mutants : list of Mutant
        All there are.
    rows : dict
        The table.
    each : float
        CPU time of a mutant after which no check begins any more, in seconds.
    first : sequence of str
        Checks that all begin with.
    """

    def __init__(self, mutants, rows, each, first=()):
        self.mutants = mutants
        self.each = each
        self.first = first
        names = {mutant.name: mutant for mutant in mutants}
        self.rows = {
            name: row
            for name, row in rows.items()
            if name in names and row["change"] == names[name].change
        }
        self.survivors = []
        self.judged = 0
        self._killers = {}

    def due(self):
        """Return the mutants that are new, survive, or of which the function has changed."""
        return [mutant for mutant in self.mutants if self._is_due(mutant)]

    def changed(self):
        """Return the mutants of functions that the table knows as they were before an edit."""
        digests = {(mutant.file, mutant.function): mutant.digest for mutant in self.mutants}
        edited = {
            place
            for name, row in self.rows.items()
            if digests.get(place := tuple(name.split(":")[:2])) != row["digest"]
        }
        return [mutant for mutant in self.mutants if (mutant.file, mutant.function) in edited]

    def _is_due(self, mutant):
        row = self.rows.get(mutant.name)
        return not row or row["digest"] != mutant.digest or not row["why"]

    def killed_before(self):
        """Return the mutants of changed functions that were killed before the change."""
        return [
            one for one in self.changed() if self.rows.get(one.name, {}).get("verdict") == "killed"
        ]

    def sample(self, seed):
        """Return the mutants that a fast check has killed, in an order that a seed gives."""
        killed = [
            mutant
            for mutant in self.mutants
            if (row := self.rows.get(mutant.name))
            and row["verdict"] == "killed"
            and not row["why"].startswith(compiled.KIND)
        ]
        return shuffled(killed, seed)

    def judge(self, mutants, jobs, end, keep):
        """Judge mutants in some processes until an end (monotonic); call `keep` after each."""
        waiting, running = list(reversed(mutants)), []
        while waiting or running:
            if time.monotonic() > end:
                for child in running:
                    child.stop()
                return
            while waiting and len(running) < jobs:
                mutant = waiting.pop()
                running.append(Child(mutant, self._first(mutant), self.each))
            for child in [each for each in running if each.has_ended()]:
                running.remove(child)
                self._note(child.mutant, *child.verdict)
                keep()
            time.sleep(0.01)

    def _first(self, mutant):
        """Return the checks to begin with: what killed it before, or others of its function."""
        row = self.rows.get(mutant.name, {})
        known = [row["why"].removesuffix(ENDLESS)] if row.get("verdict") == "killed" else []
        others = self._killers.get((mutant.file, mutant.function), [])
        if mutant.change.startswith("count("):
            known.append(COUNTS)
        return [
            check
            for check in (*self.first, *known, *others[-3:])
            if check.partition(" ")[0] in judges.KINDS
        ]

    def _note(self, mutant, verdict, why):
        row = self.rows.get(mutant.name, {})
        self.judged += 1
        if verdict == "survived":
            if row.get("verdict") in ("equivalent", "survived") and row["why"]:
                verdict, why = row["verdict"], row["why"]  # argued before
            else:
                self.survivors.append(mutant)
        else:
            killers = self._killers.setdefault((mutant.file, mutant.function), [])
            if why not in killers and not why.endswith(ENDLESS):
                killers.append(why)
        self.rows[mutant.name] = dict(
            zip(COLUMNS, (mutant.name, mutant.digest, mutant.change, verdict, why), strict=True)
        )

    def judge_compiled(self):
        """Let the compiled tests judge those that survive without a reason."""
        survivors, self.survivors = self.survivors, []
        for mutant in survivors:
            self._note(mutant, *compiled.judge(mutant))

    def write(self, path):
        """Write the table."""
        write_table(path, [self.rows[m.name] for m in self.mutants if m.name in self.rows])


def main(arguments):
    """Do what the command line asks for; return the exit status."""
    options = _parse(arguments)
    end = time.monotonic() + options.seconds
    if why := _fails(CONTROL, min(options.each, CONTROL_SECONDS), end):
        print(f"The correct code fails a check, so that none means anything: {why}")
        return 2
    mutants = [*by_hand(), *(mutant for file in files() for mutant in generate(file))]
    run = Run(mutants, read_table(options.table), options.each, options.first)
    due = run.killed_before() if options.ci else run.mutants if options.all else run.due()
    due = shuffled(due, 0)
    due.sort(key=lambda mutant: mutant.name in run.rows)  # first those never judged
    if options.only:
        due = [mutant for mutant in run.mutants if options.only in mutant.name]
    print(f"{len(run.mutants)} mutants, {len(due)} to be judged", flush=True)
    if options.ci:
        due += run.sample(_commit())
    last = time.monotonic()

    def keep():
        nonlocal last
        if not options.ci and time.monotonic() - last > KEEP_SECONDS:
            last = time.monotonic()
            run.write(options.table)
            print(f"{run.judged} judged, {len(run.survivors)} survive", flush=True)

    run.judge(due, options.jobs, end, keep)
    if options.compiled:
        run.judge_compiled()
    if not options.ci:
        run.write(options.table)
    return _tell(run)


def _fails(mutant, each, end):
    """Return what fails, of a mutant that is judged alone; None if nothing does until the end."""
    child = Child(mutant, (), each)
    while not child.has_ended():
        if time.monotonic() > end:
            child.stop()
            return None
        time.sleep(0.01)
    verdict, why = child.verdict
    return why if verdict == "killed" else None


def _parse(arguments):
    parser = argparse.ArgumentParser(description="Run the mutants of the machine.")
    add = parser.add_argument
    add("--jobs", type=int, default=os.cpu_count(), help="processes")
    add("--all", action="store_true", help="also those that have not changed")
    add("--only", metavar="TEXT", help="those whose name contains TEXT")
    add("--seconds", type=float, default=float("inf"), help="of all; then it ends")
    add("--each", type=float, default=SECONDS, help="CPU seconds for a mutant's checks")
    add(
        "--ci",
        action="store_true",
        help="those killed before, of changed functions first; writes no table",
    )
    add("--first", metavar="CHECK", action="append", default=[], help="a check to begin with")
    add("--compiled", action="store_true", help="then the compiled tests, of who survives")
    add("--table", type=Path, default=TABLE, help="where verdicts are kept")
    return parser.parse_args(arguments)


def _commit():
    """Return the commit that is checked out, or nothing where there is none."""
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).stdout


def _tell(run):
    """Print the table's counts, and who survives without a reason; return the exit status."""
    verdicts = [row["verdict"] for row in run.rows.values()]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("killed", "equivalent", "survived"))
    print(f"{run.judged} judged now; in the table: {counts}, of {len(run.mutants)} generated")
    for mutant in run.survivors:
        print(f"SURVIVES {mutant.name}: {mutant.change}")
    return int(bool(run.survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
