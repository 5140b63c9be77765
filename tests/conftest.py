"""What the tests of the machine and its trackers share."""

import os
import signal

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

os.environ["DIRTYLOG_GRID"] = "full"
"""All benchmarks are tried, not only those of the small grid."""

TRACKERS = registry.judged()

collect_ignore_glob = [] if config.DISABLE_JIT else ["explore/test_*.py"]
"""The explorer's tests need a process without the JIT: `test_explore.py` runs them so."""

# A shell's background jobs ignore interrupts, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=TRACKERS)
def strategy(request):
    """The name of each tracker that logs."""
    return request.param


page_shifts = pytest.mark.parametrize("page_shift", [12, 16])
