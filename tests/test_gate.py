"""The gate's rule on known and on recorded pairs, and the gate itself in a clone.

Slow is the gate itself, and the rule on more of the recorded kernels.
"""

import csv
import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gate import __main__ as gate
from benchmarks.gate import suite, verdict, worker
from benchmarks.gate.verdict import OPEN, SAME, SLOWER, decide

ROOT = Path(__file__).resolve().parent.parent
PAIRS = ROOT / "results/reference/gate/pairs.csv"
NEEDS_C = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc"))), reason="needs a C compiler: apt-get install gcc"
)
RUNS = 100
PAIRS_OF_A_RUN = 28
"""As many as a run of two minutes has beside a load of 9 on two cores."""


# The interval


@pytest.mark.parametrize(
    ("n", "error", "critical"), [(10, 0.025, 8), (20, 0.025, 52), (20, 0.005, 37)]
)
def test_critical_sums_are_those_of_the_tables(n, error, critical):
    assert verdict.critical_rank_sum(n, error) == critical


def test_too_few_pairs_have_no_interval():
    low, middle, high = verdict.interval(np.array([0.1, 0.2, 0.3]), 0.05)
    assert (low, high) == (-np.inf, np.inf)
    assert middle == pytest.approx(0.2)


def test_an_interval_misses_as_rarely_as_it_says():
    """All signs of ten log-ratios, each as likely as any other if the revisions are the same."""
    logs = np.array([0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.021, 0.4, 0.9, 5.0])
    error = 0.05
    missed = 0
    for signs in itertools.product((-1, 1), repeat=logs.size):
        low, _, high = verdict.interval(logs * signs, error)
        missed += low > 0 or high < 0
    assert 0 < missed / 2**logs.size <= error


def test_one_wild_pair_does_not_move_it():
    logs = np.random.default_rng(1).normal(0.05, 0.005, 28)
    before = verdict.interval(logs, 1e-3)
    logs[3] = 40.0
    after = verdict.interval(logs, 1e-3)
    assert after.high - before.high < 0.01
    assert before.low > 0.04


# The rule, on draws whose truth is known


def drawn(truths, spread, random):
    """Pairs without end: kernels with these log-ratios, and a canary of the first; heavy tails."""
    truths = [*truths, truths[0] + np.log(1 + verdict.CANARY)]
    while True:
        yield truths + spread * random.standard_t(2, len(truths))


def held(look, truths):
    return all(i.low <= t <= i.high for i, t in zip(look.intervals, truths, strict=True))


def test_all_intervals_of_a_run_hold_together_as_often_as_promised():
    truths = [0.0, np.log(1.02), np.log(0.9)]
    looks = [decide(drawn(truths, 0.01, np.random.default_rng(k)), 0)[0] for k in range(300)]
    assert sum(not held(look, truths) for look in looks) <= 3


def test_what_is_settled_is_not_measured_further():
    look, rows = decide(drawn([0.0, np.log(1.1)], 0.002, np.random.default_rng(0)), 0)
    assert len(rows) == verdict.LOOKS[0]
    assert [i.verdict for i in look.intervals] == [SAME, SLOWER]
    assert look.verdict == SLOWER


def test_noise_that_hides_the_canary_is_no_verdict():
    look, rows = decide(drawn([0.0], 0.2, np.random.default_rng(0)), 0)
    assert len(rows) == verdict.LOOKS[-1]
    assert not look.is_canary_found
    assert look.verdict == OPEN


def test_too_few_pairs_are_no_verdict():
    few = itertools.islice(drawn([0.0], 0.001, np.random.default_rng(0)), verdict.LOOKS[0] - 1)
    look, _ = decide(few, 0)
    assert look is None
    assert gate.status_of([], look) == 2


def test_a_canary_that_is_not_slowed_is_not_found():
    pairs = ([r[0], r[0]] for r in drawn([0.0], 0.001, np.random.default_rng(0)))
    assert decide(pairs, 0)[0].verdict == OPEN


def test_a_kernel_that_became_faster_keeps_its_canary():
    look, _ = decide(drawn([np.log(0.9)], 0.002, np.random.default_rng(0)), 0)
    assert look.verdict == verdict.FASTER
    assert gate.status_of([], look) == 0


# The rule, on recorded pairs


@pytest.fixture(scope="module")
def recorded():
    """Log-ratios by column, as `benchmarks.gate.record` wrote them."""
    with PAIRS.open() as file:
        names, *rows = csv.reader(file)
    return dict(zip(names, np.array(rows, float).T, strict=True))


def rerun(recorded, replaced, seed):
    """Run the rule on pairs drawn from the record, by workers; return its last look."""
    names = [n for n in recorded if "%" not in n and n not in ("canary", "load")]
    columns = np.array([recorded[replaced.get(n, n)] for n in [*names, "canary"]]).T
    workers = np.array_split(columns, range(7, len(columns), suite.PAIRS_OF_A_WORKER))
    order = np.random.default_rng(seed).integers(len(workers), size=PAIRS_OF_A_RUN)
    pairs = itertools.islice((row for w in order for row in workers[w]), PAIRS_OF_A_RUN)
    return decide(pairs, 0)[0], names


def test_the_same_code_raises_no_alarm(recorded):
    looks = [rerun(recorded, {}, seed)[0] for seed in range(RUNS)]
    assert sum(gate.status_of([], look) == 1 for look in looks) == 0
    assert sum(gate.status_of([], look) == 0 for look in looks) >= 0.9 * RUNS


@pytest.mark.parametrize(
    ("name", "slowed", "share"),
    [
        ("c_bit_scan", 0.02, 0.85),
        ("write_protect", 0.05, 0.95),
        pytest.param("double_buffer", 0.02, 0.85, marks=pytest.mark.slow),
        pytest.param("double_buffer", 0.05, 0.95, marks=pytest.mark.slow),
        pytest.param("c_bit_scan", 0.05, 0.95, marks=pytest.mark.slow),
        pytest.param("write_protect", 0.02, 0.85, marks=pytest.mark.slow),
    ],
)
def test_a_slower_kernel_is_found_and_its_size_is_right(recorded, name, slowed, share):
    found = right = unseen = 0
    for seed in range(RUNS):
        look, names = rerun(recorded, {name: f"{name} {slowed:.0%}"}, seed)
        interval = look.intervals[names.index(name)]
        found += interval.verdict == SLOWER
        unseen += interval.verdict == SAME
        right += interval.low <= np.log(1 + slowed) <= interval.high
    assert unseen == 0
    assert found >= share * RUNS
    assert right >= 0.9 * RUNS


# Two processes


@pytest.mark.parametrize(("is_duet", "order"), [(False, "01100110"), (True, None)])
def test_sides_take_turns_or_begin_together(tmp_path, is_duet, order):
    """A B B A where there is one core; in a duet nobody begins a block before both have come."""
    meeting, log = tmp_path / "meeting", tmp_path / "log"
    meeting.write_bytes(bytes(32))
    code = (
        "import sys; from benchmarks.gate.worker import Rendezvous\n"
        "side, is_duet = int(sys.argv[3]), sys.argv[4] == 'True'\n"
        "meeting = Rendezvous(sys.argv[1], side, is_duet)\n"
        "for _ in range(4):\n"
        "    meeting.begin()\n"
        "    open(sys.argv[2], 'a').write(str(side))\n"
        "    meeting.end()\n"
    )
    arguments = [str(meeting), str(log)]
    command = [sys.executable, "-c", code, *arguments]
    sides = [subprocess.Popen([*command, str(side), str(is_duet)], cwd=ROOT) for side in (0, 1)]
    assert [side.wait(timeout=600) for side in sides] == [0, 0]
    written = log.read_text()
    assert written == order if order else sorted(written) == sorted("01100110")
    ahead = np.cumsum([1 if side == "0" else -1 for side in written])
    assert np.abs(ahead).max() <= 1


def test_a_block_is_that_much_longer_when_it_is_slowed():
    job = {"strategy": "write_protect", "language": "numba", "mapping": "linear", "repeats": 2}
    job |= {"slot_bytes": 1 << 20, "density": 0.1, "is_mapped": True, "slowed": 1.0}
    cell = worker.Cell(job, [1])
    before = time.perf_counter_ns()
    ns = worker.block(cell, job, 0)
    assert time.perf_counter_ns() - before >= ns


@pytest.mark.parametrize("language", ["numba", pytest.param("C", marks=NEEDS_C)])
def test_a_lost_page_ends_the_measurement(language):
    job = {"strategy": "write_protect", "language": language, "mapping": "linear", "repeats": 1}
    job |= {"slot_bytes": 1 << 20, "density": 0.1, "is_mapped": True, "slowed": 0.0}
    cell = worker.Cell(job, [1])
    expected = cell.interval()
    cell.harvest()
    cell.check(expected)
    cell.interval()
    with pytest.raises(worker.LostPageError, match="write_protect"):
        cell.check(~np.zeros_like(expected))


# The gate itself


@pytest.fixture
def clone(tmp_path):
    """A clone of this repository, with the files that are not committed yet."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    for folder in ("benchmarks", "strategies"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                copy = tmp_path / "clone" / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    commit(tmp_path / "clone", "as it is")
    return tmp_path / "clone"


def commit(clone, message):
    git = ["git", "-C", str(clone), "-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)


def run_gate(clone, *arguments):
    command = [sys.executable, "-m", "benchmarks.gate", "--strategy", "c_bit_scan", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    assert len(done.stdout.splitlines()) <= 25
    return done


@pytest.mark.slow
def test_a_registry_in_another_order_changes_nothing(clone):
    with (clone / "strategies/registry.py").open("a") as file:
        file.write("\nTRACKERS = dict(reversed(TRACKERS.items()))\n")
    commit(clone, "another order")
    done = run_gate(clone, "--base", "HEAD~1", "--head", "HEAD", "--seconds", "30")
    assert "exact counts of 6 cells: the same" in done.stdout
    assert SLOWER not in done.stdout.replace("slowed", "")
    assert done.returncode == 0 or (done.returncode == 2 and OPEN in done.stdout), done.stdout


@pytest.mark.slow
def test_a_changed_exact_count_fails_and_is_named(clone):
    path = clone / "strategies/core/changed.py"
    text = path.read_text()
    assert "PAGES_SCANNED, pages)" in text
    path.write_text(text.replace("PAGES_SCANNED, pages)", "PAGES_SCANNED, pages + 1)"))
    done = run_gate(clone, "--base", "HEAD", "--seconds", "0")
    assert done.returncode == 1
    assert re.search(r"c_bit_scan, clean, linear: pages_scanned \d+ -> \d+", done.stdout)
    assert "verdict: exact counts differ" in done.stdout


@pytest.mark.parametrize("arguments", [("--base", "nowhere"), ("--base", "HEAD", "--head", "no")])
def test_an_unknown_revision_is_one_line(capsys, arguments):
    assert gate.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
