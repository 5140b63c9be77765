"""What the tests of the machine and its trackers share."""

import os
import signal
from functools import cache

import numpy as np
import pytest
from numba import config

from strategies import registry
from strategies.core import h_change, h_enter, h_remove
from strategies.core.machine import LOG_ABSENT, SLOT_LOG_MODE
from strategies.core.vm import Vm

os.environ["DIRTYLOG_GRID"] = "full"
"""All benchmarks are tried, not only those of the small grid."""

TRACKERS = tuple(name for name in registry.names() if name != registry.BASELINE)
STAMP = 1000
OPTIONS = {}
"""More arguments of the machines that `build` makes."""

collect_ignore_glob = [] if config.DISABLE_JIT else ["explore/test_*.py"]
"""The explorer's tests need a process without the JIT: `test_explore.py` runs them so."""

# A shell's background jobs ignore interrupts, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=TRACKERS)
def strategy(request):
    """The name of each tracker that logs."""
    return request.param


@pytest.fixture(params=[False, True], ids=["c_at_once", "c_delayed"])
def c_write_back(request, monkeypatch):
    """Both kinds of hardware: one keeps C in the TLB."""
    monkeypatch.setitem(OPTIONS, "delayed_c", request.param)


def build(strategy, npages, *, base_gfn=0, enabled=True, populated=True, **options):
    """A machine with one slot, mapped by the guest and logged by a tracker."""
    options.setdefault("guest_pages", base_gfn + npages)
    vm = Vm(**OPTIONS | options)
    slot = vm.add_memslot(base_gfn, npages)
    if populated:
        vm.populate(slot)
    tracker = registry.get(strategy)(vm)
    if enabled:
        tracker.enable_logging(slot)
    return vm, tracker


@cache
def log_mode_of(strategy):
    """What a tracker asks of H_ENTER and of the fault handler: LOG_OFF, LOG_C_BIT ..."""
    vm, _ = build(strategy, 1)
    return int(vm.arrays.slots[SLOT_LOG_MODE])


def reports_reads(strategy):
    """Whether a page that was only read is reported: its HPTE is absent until it is accessed."""
    return log_mode_of(strategy) == LOG_ABSENT


def harvest(tracker, slot=0):
    """The gfns that a harvest reports; the padding bits must be 0, whatever the buffer held."""
    base, npages = tracker.vm.slots[slot]
    out = tracker.buffer(slot)
    out.fill(2**64 - 1)
    tracker.get_dirty_log(slot, out)
    bits = np.unpackbits(out.view(np.uint8), bitorder="little")
    assert not bits[npages:].any(), "padding bits are set"
    return {base + int(page) for page in np.flatnonzero(bits)}


def changes(vm, before, who=None):
    """The events counted since `before`, those that did not happen left out."""
    return {name: n - before[name] for name, n in vm.events(who).items() if n != before[name]}


def enter(vm, index, pteh, ptel, flags=0):
    return vm.hypercall(h_enter.h_enter, flags, index, pteh, ptel)


def remove(vm, index, flags=0, avpn=0):
    return vm.hypercall(h_remove.h_remove, flags, index, avpn)


def protect(vm, index, flags, avpn=0):
    return vm.hypercall(h_change.h_protect, flags, index, avpn)


def clear_mod(vm, index):
    return vm.hypercall(h_change.h_clear_mod, index)


def clear_ref(vm, index):
    return vm.hypercall(h_change.h_clear_ref, index)


def bulk_remove(vm, *registers):
    row = vm.arrays.gpr[:8]
    row[:] = 0
    row[: len(registers)] = registers
    return vm.hypercall(h_remove.h_bulk_remove)


def read(vm, index):
    """Both dwords of an HPTE as the guest sees them."""
    code, gpr = vm.hypercall(h_change.h_read, 0, index)
    assert code == 0
    return int(gpr[0]), int(gpr[1])


def hptes_of(vm, gfn):
    """The indices of all present HPTEs whose first page is `gfn`, in the order of the table."""
    v, r = vm.arrays.hpt[::2], vm.arrays.rev[::2]
    present = np.flatnonzero(v & np.uint64(0x21))
    gpa = r[present] & np.uint64(0x0FFFFFFFFFFFF000)
    return [int(i) for i in present[gpa >> np.uint64(vm.page_shift) == gfn]]


def hpte_of(vm, gfn):
    """The index of the only HPTE of a page."""
    (index,) = hptes_of(vm, gfn)
    return index


def hardware(vm, index):
    """Both dwords of an HPTE as the hardware sees them."""
    return int(vm.arrays.hpt[2 * index]), int(vm.arrays.hpt[2 * index + 1])
