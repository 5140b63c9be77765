"""What the tests of the machine and its trackers share."""

import gc
import os
import signal
from pathlib import Path

import pytest
from numba import config

from strategies import registry
from strategies.contract.bench import (  # noqa: F401
    STAMP,
    build,
    build_large,
    bulk_remove,
    changes,
    clear_mod,
    clear_ref,
    enter,
    hardware,
    harvest,
    hpte_of,
    hptes_of,
    log_mode_of,
    protect,
    ptel_of,
    read,
    remove,
    reports_reads,
)

gc.disable()
"""Until the tests are collected: all that is made meanwhile stays to the end."""

os.environ["DIRTYLOG_GRID"] = "full"
"""All benchmarks are tried, not only those of the small grid."""

TRACKERS = registry.judged()
TESTS = Path(__file__).parent

collect_ignore_glob = [] if config.DISABLE_JIT else ["explore/test_*.py"]
"""The explorer's tests need a process without the JIT: `test_explore.py` runs them so."""

FIRST = (
    "test_explore.py",
    "contract/test_contract.py",
    "conformance/test_conformance.py",
    "test_fleet_sweep.py",
    "lanes/test_lanes.py",
    "test_concurrency.py",
    "lanes/test_lane_processes.py",
    "test_benchmarks.py",
    "test_stateful.py",
)
"""Files that take longest, so that none is left to one process at the end. The first compiles
nothing: meanwhile the second compiles for all what the machine and its trackers are."""

# A shell's background jobs ignore interrupts, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Put the files of FIRST before all others."""
    place = {TESTS / name: at for at, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(FIRST)))


def pytest_collection_finish():
    """Collect garbage from now on, and never look for it in what is there."""
    gc.freeze()
    gc.enable()


@pytest.fixture(params=TRACKERS)
def strategy(request):
    """The name of each tracker that logs."""
    return request.param


page_shifts = pytest.mark.parametrize("page_shift", [12, 16])
