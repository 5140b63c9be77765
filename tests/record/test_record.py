"""The recorder against programs that know what they wrote, and against all the ways to end."""

import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from taken import PAGES, TICKS, wait_until_taken

from strategies.cli import main
from strategies.errors import InputError
from strategies.lanes.uffd_async import UffdAsync
from strategies.record import recording
from strategies.record.raw import Raw, first_fit, read_raw, trace_of
from strategies.workloads.compact import Compaction, laid_out
from strategies.workloads.trace import load_trace

PROGRAM = Path(sys.executable).with_name("dirtylog")
HERE = str(Path(__file__).parent)

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="the recorder needs a C compiler")


@pytest.fixture(autouse=True)
def _kernel_can():
    if reason := UffdAsync.probe():
        pytest.skip(reason)


def record(*arguments, **options):
    return subprocess.run(
        [PROGRAM, "record", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,
    )


def python(code):
    return ["--", Path(sys.executable).resolve(), "-c", code]


def process_of(trace, pid):
    (found,) = [one for one in trace.meta["processes"] if one["pid"] == pid]
    return found


def pages_at(trace, address, npages, pid=None):
    """Per epoch, the written pages of a region of a process's, counted from its start."""
    of = process_of(trace, pid) if pid else trace.meta["processes"][0]
    begin, end = of["gfns"]
    where = np.zeros(trace.slot_pages, np.int64)
    for at, first, pages in trace.meta["address_runs"]:
        if begin <= first < end:
            where[first : first + pages] = np.arange(at, at + 4096 * pages, 4096)
    for epoch in range(*of["epochs"]):
        gfns = trace.stores_of(epoch)
        page = (where[gfns[(begin <= gfns) & (gfns < end)]] - address) // 4096
        yield {int(p) for p in page if 0 <= p < npages}


def bursts_of(epochs):
    """Join the pages of epochs; those in which a program waited until all was taken divide them."""
    bursts, ticks = [set()], 0
    for pages in epochs:
        bursts[-1] |= pages - {PAGES - 1}
        ticks += PAGES - 1 in pages
        if PAGES - 1 in pages and ticks % TICKS == 0:
            bursts.append(set())
    return bursts


CONTROL = """
import ctypes, json, mmap, sys
sys.path.insert(0, {here!r})
from taken import PAGES, write_bursts
region = mmap.mmap(-1, PAGES * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(region))
bursts = write_bursts(region, 1, 12)
json.dump([address, bursts], open(sys.argv[1], "w"))
"""


def test_a_program_that_knows_what_it_wrote_is_recorded_exactly(tmp_path):
    out, known = tmp_path / "control.npz", tmp_path / "known.json"
    finished = record("--out", out, *python(CONTROL.format(here=HERE)), known)
    assert (finished.returncode, finished.stdout) == (0, "")
    assert finished.stderr.startswith(f"wrote {out}: ")
    trace = load_trace(out)
    address, bursts = json.loads(known.read_text())
    expected = [set(), *map(set, bursts), set()]
    assert bursts_of(pages_at(trace, address, PAGES)) == expected
    assert (trace.epoch_ms, trace.page_size, trace.meta["recorder"]) == (
        10,
        4096,
        "userfaultfd-wp-async",
    )


def test_a_recording_is_replayed(tmp_path, capsys):
    out = tmp_path / "p.npz"
    assert record("--out", out, *python("x = bytearray(1 << 22)")).returncode == 0
    assert main(["replay", str(out), "--strategy", "c_bit_scan", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["pages_stored"] >= 1024
    assert row["lost"] == 0


def test_a_block_of_python_is_recorded_exactly(tmp_path):
    region = mmap.mmap(-1, PAGES * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    words = np.frombuffer(region, np.uint64)
    words[:] = 1  # resident before: not written in the block
    random = np.random.default_rng(2)
    bursts = [set()]
    with recording(tmp_path / "block.npz", interval_ms=5) as result:
        for _ in range(8):
            burst = random.choice(PAGES - 1, 300, replace=False)
            words[burst * 512] += np.uint64(1)
            bursts[-1] |= set(burst.tolist())
            wait_until_taken(region)
            bursts.append(set())
    assert bursts_of(pages_at(result.trace, words.ctypes.data, PAGES)) == bursts
    loaded = load_trace(tmp_path / "block.npz")
    assert (loaded.gfns == result.trace.gfns).all()
    assert loaded.meta == result.trace.meta


def test_a_block_that_raises_leaves_its_trace(tmp_path):
    def fail():
        with recording(tmp_path / "block.npz"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert load_trace(tmp_path / "block.npz").epochs >= 1


def test_one_recording_at_a_time():
    with recording(), pytest.raises(InputError, match="one recording at a time"), recording():
        pass


# How a program ends

BUSY = f"""
import os, signal, sys, time
sys.path.insert(0, {HERE!r})
from taken import wait_until_taken
x = bytearray(1 << 22)
wait_until_taken(x)
"""


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("raise SystemExit(7)", 7),
        ("os._exit(8)", 8),
        ("os.abort()", 128 + signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 128 + signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
        ("os.execvp('true', ['true'])", 0),
    ],
)
def test_the_status_is_handed_on_and_the_trace_is_valid(tmp_path, ending, status):
    out = tmp_path / "p.npz"
    assert record("--out", out, *python(BUSY + ending)).returncode == status
    assert len(load_trace(out).gfns) >= 1024


def test_a_program_that_is_interrupted_leaves_a_valid_trace(tmp_path):
    out, ready = tmp_path / "p.npz", tmp_path / "ready"
    code = f"{BUSY}open({str(ready)!r}, 'w')\ntime.sleep(60)"
    command = [PROGRAM, "record", "--out", out, *python(code)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.returncode in (1, 130)  # Python's traceback, or the signal
    assert len(load_trace(out).gfns) >= 1024


def test_a_program_that_does_not_end_is_ended_after_the_duration(tmp_path):
    out = tmp_path / "p.npz"
    finished = record("--duration", "300ms", "--out", out, *python(BUSY + "time.sleep(60)"))
    assert finished.returncode == 0
    assert load_trace(out).epochs < 300  # 3 s


# Its children

FAMILY = """
import ctypes, json, mmap, os, sys
sys.path.insert(0, {here!r})
from taken import PAGES, write_bursts

def write(region, seed):
    bursts = write_bursts(region, seed, 4)
    address = ctypes.addressof(ctypes.c_char.from_buffer(region))
    with open(f"{{sys.argv[1]}}/{{os.getpid()}}", "w") as file:
        json.dump([address, bursts], file)

region = mmap.mmap(-1, PAGES * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(PAGES - 1):
    region[page * 4096] = 1
children = []
for seed in range(3):
    child = os.fork()
    if not child:
        write(region, seed)
        os._exit(0)
    children.append(child)
write(region, 99)
for child in children:
    os.waitpid(child, 0)
"""


def test_forked_children_are_recorded_exactly(tmp_path):
    """Four processes write the same addresses at once; each has pages of its own in the slot."""
    out, known = tmp_path / "family.npz", tmp_path / "known"
    known.mkdir()
    finished = record("--out", out, *python(FAMILY.format(here=HERE)), known)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.rstrip().endswith(", 4 processes")
    trace = load_trace(out)
    assert len(list(known.iterdir())) == 4
    for path in known.iterdir():
        address, bursts = json.loads(path.read_text())
        found = bursts_of(pages_at(trace, address, PAGES, int(path.name)))
        # The pages that the parent itself wrote before are of its first burst.
        assert found[-5:] == [*map(set, bursts), set()]
    gfns = sorted(one["gfns"] for one in trace.meta["processes"])
    assert all(before[1] <= after[0] for before, after in pairwise(gfns))


def test_programs_that_a_program_starts_are_recorded(tmp_path):
    """By fork and exec, by posix_spawn, and by exec in its own place."""
    out = tmp_path / "shell.npz"
    big = "x = bytearray(1 << 22)"
    interpreter = Path(sys.executable).resolve()
    script = f"'{interpreter}' -c '{big}'; true; exec '{interpreter}' -c '{big}'"
    code = (
        f"import os; os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', {script!r}], os.environ), 0)"
    )
    finished = record("--out", out, *python(code))
    assert finished.returncode == 0, finished.stderr
    trace = load_trace(out)
    names = [one["name"] for one in trace.meta["processes"]]
    assert names[:2] == [interpreter.name, "sh"]
    assert names.count(interpreter.name) == 3
    for one in trace.meta["processes"][2:]:
        if one["name"] == interpreter.name:
            gfns = np.unique(trace.gfns)
            assert np.sum((one["gfns"][0] <= gfns) & (gfns < one["gfns"][1])) >= 1024


def test_pages_of_a_process_that_has_ended_are_given_to_later_ones(tmp_path):
    out = tmp_path / "loop.npz"
    code = (
        "import os\n"
        "for _ in range(8):\n"
        " if not os.fork():\n"
        "  x = bytearray(1 << 24)\n"
        "  os._exit(0)\n"
        " os.wait()"
    )
    assert record("--out", out, *python(code)).returncode == 0
    trace = load_trace(out)
    assert len(trace.meta["processes"]) == 9
    sizes = [one["gfns"][1] - one["gfns"][0] for one in trace.meta["processes"]]
    assert min(sizes[1:]) >= 4096
    assert trace.slot_pages == sizes[0] + max(sizes[1:])


def test_a_child_that_outlives_the_program_is_recorded_until_then(tmp_path):
    out, pid = tmp_path / "p.npz", tmp_path / "pid"
    code = (
        f"import os, time\n{BUSY}\n"
        "if not os.fork():\n"
        " wait_until_taken(x)\n"
        f" open({str(pid)!r} + '.new', 'w').write(str(os.getpid()))\n"
        f" os.rename({str(pid)!r} + '.new', {str(pid)!r})\n"
        " time.sleep(60)\n"
        f"while not os.path.exists({str(pid)!r}): time.sleep(0.01)"
    )
    finished = record("--out", out, *python(code))
    child = int(pid.read_text())
    try:
        assert finished.returncode == 0, finished.stderr
        assert process_of(load_trace(out), child)["epochs"][0] > 0
        give_up = time.monotonic() + 60
        while len(list(Path(f"/proc/{child}/task").iterdir())) > 1:
            assert time.monotonic() < give_up, "the recorder's thread goes on"
            time.sleep(0.02)
    finally:
        os.kill(child, signal.SIGKILL)


def test_first_fit_takes_the_lowest_gap():
    sizes = [10, 20, 5, 20, 5]
    lives = [(0, 9), (1, 3), (2, 9), (4, 9), (5, 6)]
    assert first_fit(sizes, lives) == [0, 10, 30, 10, 35]


# What is refused


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ([], "no command"),
        (["--pid", "1"], "--pid is refused: a process can only protect its own pages"),
        (["--", "no-such-program-here"], "no program 'no-such-program-here'"),
        (["--out", "nowhere/x.npz", "--", "true"], "a file in a folder that exists"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(tmp_path, arguments, saying):
    finished = record(*arguments, cwd=tmp_path)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert saying in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_one_line_says_so(tmp_path):
    environment = os.environ | {"DIRTYLOG_CACHE": str(tmp_path / "cache"), "CC": "no-such-cc"}
    finished = record("--out", tmp_path / "x.npz", "--", "true", env=environment)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "no C compiler 'no-such-cc'" in finished.stderr


def test_the_recorder_is_compiled_once(tmp_path):
    environment = os.environ | {"DIRTYLOG_CACHE": str(tmp_path)}
    assert record("--out", tmp_path / "x.npz", "--", "true", env=environment).returncode == 0
    assert len(list(tmp_path.glob("recorder-*.so"))) == 1
    environment["CC"] = "no-such-cc"
    assert record("--out", tmp_path / "y.npz", "--", "true", env=environment).returncode == 0


def test_a_static_program_is_refused_with_the_reason(tmp_path):
    source = tmp_path / "static.c"
    source.write_text("int main(void) { return 0; }")
    built = subprocess.run(["cc", "-static", "-o", tmp_path / "static", source], check=False)
    if built.returncode:
        pytest.skip("no static C library")
    finished = record("--out", tmp_path / "x.npz", "--", tmp_path / "static")
    assert finished.returncode == 2
    assert "accepted: a dynamically linked program" in finished.stderr


# Its file


def test_a_raw_file_that_breaks_off_keeps_its_whole_records(tmp_path):
    path = tmp_path / "raw"
    name = int.from_bytes(b"sh", "little")
    records = [3, 1, 99, name, 0, 1, 1, 5, 0, 8192]
    records += [2, 2, 15, 4096, 8192, 16384, 24576, 2, 9, 25, 4096]
    np.array(records, np.uint64).tofile(path)
    path.write_bytes(path.read_bytes() + b"half")
    raw = read_raw(path)
    assert (raw.name, raw.pid) == ("sh", 99)
    assert raw.resident.tolist() == [0, 1]
    assert [epoch.tolist() for epoch in raw.epochs] == [[1, 4, 5]]
    assert raw.at_ns == [5, 15]


def raw_of(begin_ns, epochs, is_whole):
    """A process that wrote its page 7 in each epoch, which ended at these times."""
    raw = Raw(1, "p", np.array([7]), [np.array([7])] * len(epochs), [begin_ns, *epochs])
    raw.is_whole = is_whole
    return raw


def test_intervals_of_all_processes_are_the_same():
    raws = [raw_of(95, [101, 112, 135, 138], True), raw_of(111, [121, 141], False)]
    trace = trace_of(raws, name="two", command=["p"], interval_ns=10)
    first, second = (one["gfns"][0] + 7 for one in trace.meta["processes"])
    epochs = [trace.stores_of(epoch).tolist() for epoch in range(trace.epochs)]
    assert epochs == [[first], [first], [second], [first], [first, second]]
    assert [one["epochs"] for one in trace.meta["processes"]] == [[0, 5], [2, 5]]


def test_sparse_pages_are_compacted_by_pieces():
    offsets, pages = laid_out([[10**9, 3, 70], [], [3, 3]])
    never_written = 10**6 * 64
    slot = Compaction(np.append(pages, never_written))
    piece = 10**9 // 64
    assert slot.slot_pages == 256
    assert offsets.tolist() == [0, 3, 3, 4]
    assert slot.gfns(pages).tolist() == [3, 70, 192 + 10**9 % 64, 3]
    expected = [[0, 0, 128], [never_written * 4096, 128, 64], [piece * 64 * 4096, 192, 64]]
    assert slot.address_runs == expected
