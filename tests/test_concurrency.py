"""Late is allowed, lost is not: vCPU threads against a harvest, for every tracker.

The storms of a kind run in a process of their own with a time limit, since a deadlock in compiled
code cannot be interrupted. That the storm would notice a loss is shown by taking out, one at a
time, what prevents it. Slow are longer storms, and such without the JIT.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import strategies
from strategies.registry import judged

PACKAGE = Path(strategies.__file__).parent
STORM = Path(__file__).with_name("storm.py")
LIMIT_SECONDS = 1800

LOGGING = judged()

# What is taken out: the file, the code, what stands there instead, and a tracker and options of the
# storm that need it.
MUTATIONS = {
    "no_wait_for_accesses_in_tlbie": (
        "core/tlb.py",
        "_clear_entries(machine, v, r, index)\n    wait_for_accesses(machine)\n    fetch_c",
        "_clear_entries(machine, v, r, index)\n    fetch_c",
        "write_protect",
        {},
    ),
    "no_tlbie": (
        "core/papr.py",
        "    tlbie(machine, cpu, v, atomics.load(machine.rev, 2 * index), index)\n",
        "",
        "c_bit_scan",
        {},
    ),
    "no_exchange_in_the_bitmap": (
        "fault/write_protect.py",
        "mask = atomics.exchange(machine.bitmap, bitmap + word, ZERO)",
        "atomics.store(machine.bitmap, bitmap + word, ZERO)",
        "write_protect",
        {},
    ),
    "no_c_saved_from_a_page_taken_away": (
        "core/unmap.py",
        "    word = save_rc(word, r, ctz(U64(pages_of(machine, hpte_page_shift(v, guest_r)))))\n",
        "",
        "c_bit_scan",
        {"unmaps": 0.1},
    ),
}


STORE_IN_MID_HARVEST = """
import sys
from conftest import build, harvest
from strategies.core import atomics
from strategies.core.guest import VIEW_LARGE

vm, tracker = build(sys.argv[1], 4096, vcpus=2)
vm.store([0], 1, view=VIEW_LARGE)

def store_once(operation, words, index):
    if words is vm.arrays.bitmap and operation == "exchange" and index == 32:
        atomics.hook = lambda *_: None
        vm.store([5], 2, view=VIEW_LARGE, vcpu=1)  # whose TLB is cold

atomics.hook = store_once
harvest(tracker)
vm.store([4000], 3, view=VIEW_LARGE)
sys.exit(4000 not in harvest(tracker))
"""


MARKER_HELD_UP = """
import sys, threading
from conftest import build, harvest
from strategies.core import atomics
from strategies.core.guest import VIEW_ALIAS

at, other = int(sys.argv[1]), sys.argv[2]
vm, tracker = build("double_buffer", 64, vcpus=2)
vm.populate(0, VIEW_ALIAS)
vm.load([5])
vm.load([5], view=VIEW_ALIAS, vcpu=1)
if other == "host":
    vm.store([7], 1)  # so that the harvest has something to hand over
stopped, go, marks = threading.Event(), threading.Event(), {"A": 0, "B": 0}

def stop_a_marker(operation, words, index):
    marking = words is vm.arrays.bitmap or words is vm.arrays.slots
    name = threading.current_thread().name
    if name in marks and marking and operation.startswith("fetch_"):
        marks[name] += 1
        if marks[name] == at:
            stopped.set()
            go.wait()

atomics.hook = stop_a_marker
a_store = (lambda: vm.store([5], 1)) if other == "alias" else (lambda: vm.host_store(6, 1))
a = threading.Thread(target=a_store, name="A")
a.start()
stopped.wait()
if other == "alias":
    vm.store([5], 2, view=VIEW_ALIAS, vcpu=1)
else:
    b = threading.Thread(target=lambda: vm.host_store(5, 2), name="B")
    b.start()
    b.join(0.2)  # it waits for A, or is held up as well
found = []
h = threading.Thread(target=lambda: found.append(harvest(tracker)))
h.start()
h.join(0.2)  # it waits out the grace period, or it is done
go.set()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
if other == "host":
    found[0] |= harvest(tracker)
sys.exit(5 not in found[0] or (other == "host" and 6 not in found[0]))
"""


def run_storms(*trackers, package=PACKAGE, jit=True, threads=1, seed=1, **options):
    """Run a storm of each tracker in one process; return its exit status and the results."""
    options |= {"threads": threads, "seed": seed}
    arguments = [f"--{key}={value}" for key, value in options.items()]
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    environment["NUMBA_DISABLE_JIT"] = str(int(not jit))
    try:
        process = subprocess.run(
            [sys.executable, str(STORM), *trackers, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"no end after {(error.stdout or b'').decode()}")
    results = [json.loads(line) for line in process.stdout.splitlines()]
    assert [result["tracker"] for result in results] == [*trackers], process.stderr
    return process.returncode, results


def assert_nothing_lost(status, results):
    assert {each["tracker"]: each["lost"] for each in results if each["lost"]} == {}
    assert status == 0


def run_schedule(program, *arguments):
    """Run one schedule of the real code, without the JIT; the program's status tells a loss."""
    subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=STORM.parent,
        timeout=LIMIT_SECONDS,
        check=True,
    )


LONGER = {"no_exchange_in_the_bitmap"}
"""Those that a storm takes longer to notice."""


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in MUTATIONS
    ]
)
def mutant(request, tmp_path):
    """A copy of the package with one thing taken out, and the tracker and options that need it."""
    file, code, instead, tracker, options = MUTATIONS[request.param]
    package = shutil.copytree(PACKAGE, tmp_path / "strategies", ignore=shutil.ignore_patterns("*c"))
    source = (package / file).read_text()
    assert source.count(code) == 1
    (package / file).write_text(source.replace(code, instead))
    return package, tracker, options


@pytest.mark.parametrize("rounds", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_is_lost_with_one_storing_thread(rounds):
    status, results = run_storms(*LOGGING, pages=67, rounds=rounds, accesses=20_000)
    assert_nothing_lost(status, results)
    assert min(each["harvests"] for each in results) > rounds
    assert min(each["events"]["hypercalls"] for each in results) > 500 * rounds


def test_nothing_is_lost_with_two_storing_threads():
    assert_nothing_lost(*run_storms(*LOGGING, pages=5, threads=2, rounds=20, accesses=1000))


@pytest.mark.parametrize("rounds", [15, pytest.param(40, marks=pytest.mark.slow)])
def test_nothing_is_lost_through_a_large_page(rounds):
    assert_nothing_lost(*run_storms(*LOGGING, pages=4096, rounds=rounds, accesses=2_000))


@pytest.mark.slow
def test_nothing_is_lost_without_the_jit():
    assert_nothing_lost(*run_storms(*LOGGING, jit=False, pages=40, rounds=150, accesses=60))


def test_nothing_is_lost_while_the_hardware_keeps_c_back():
    options = {"pages": 67, "rounds": 20, "accesses": 5_000, "delayed_c": 1}
    status, results = run_storms(*LOGGING, **options)
    assert_nothing_lost(status, results)
    assert min(each["events"]["hypercalls"] for each in results) > 2000


@pytest.mark.parametrize("delayed_c", [0, 1])
def test_nothing_is_lost_while_the_host_takes_pages_away(delayed_c):
    options = {"pages": 5, "rounds": 20, "accesses": 5000, "unmaps": 0.1, "delayed_c": delayed_c}
    status, results = run_storms(*LOGGING, threads=2, **options)
    assert_nothing_lost(status, results)
    assert min(each["events"]["map_faults"] for each in results) > 20_000


def test_the_storm_notices_what_is_taken_out(mutant):
    package, tracker, options = mutant
    options = {"pages": 40, "rounds": 150, "accesses": 60, **options}
    status, (result,) = run_storms(tracker, package=package, jit=False, **options)
    assert status == 1
    assert result["lost"]


@pytest.mark.parametrize("tracker", ["write_protect", "write_protect_batched"])
def test_a_large_page_made_writable_in_mid_harvest_is_armed_again(tracker):
    run_schedule(STORE_IN_MID_HARVEST, tracker)


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("other", ["alias", "host"])
def test_a_finished_store_is_reported_while_another_marker_is_held_up(at, other):
    """Held up before the bit or before the count, by a store to the same page or another host's."""
    run_schedule(MARKER_HELD_UP, at, other)
