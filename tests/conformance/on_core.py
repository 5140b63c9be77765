"""Runs commands on the machine of `strategies/core`: a list by its vCPU 0, or one by each vCPU."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from commands import (
    BULK_REMOVE,
    DATA,
    ENTER,
    HARVEST,
    HPT_ORDER,
    LOAD,
    PROTECT,
    RAM_BYTES,
    READ,
    REMOVE,
    STORE,
    TOGGLE,
    WORDS,
)

from strategies.core import atomics
from strategies.core.h_change import h_protect, h_read
from strategies.core.h_enter import h_enter
from strategies.core.h_remove import h_bulk_remove, h_remove
from strategies.core.hostfault import HASH_MISS, RETRY, handle_fault
from strategies.core.hpt import virtual_address
from strategies.core.hpte import HPTE_R_RC, SHIFT_4K, SHIFT_16M, SHIFT_64K
from strategies.core.jit import kernel
from strategies.core.mmu import FAULT, access
from strategies.core.papr import H_FUNCTION, H_SUCCESS, get_gpr, set_gpr
from strategies.core.tlb import flush_tlbs
from strategies.core.vm import Vm
from strategies.core.words import I64, U64

FAULTED = 1
NEVER_RETURNS = 2
DSISR_NO_HPTE = U64(0x40000000)
DSISR_PROTECTION = U64(0x08000000)
DSISR_STORE = U64(0x02000000)

# The page size of each segment by its ESID, as `commands.SEGMENTS` has it.
SHIFTS = np.array([0, SHIFT_4K, SHIFT_64K, SHIFT_16M])


DATA_SLOT = 1
"""The slot that is logged: what the guest maps."""


def new_vm(page_shift, vcpus=1):
    """Return a machine with as much memory as QEMU's, in three slots, and an HPT of that size."""
    pages = RAM_BYTES >> page_shift
    vm = Vm(guest_pages=pages, page_shift=page_shift, hpt_order=HPT_ORDER, vcpus=vcpus)
    bounds = [0, *DATA, RAM_BYTES]
    for first, end in pairwise(bounds):
        vm.add_memslot(first >> page_shift, end - first >> page_shift)
    return vm


@kernel
def _access(machine, vcpu, ea, is_store, value):
    """Load or store; return 0, or FAULTED with r4 = DSISR. A load leaves the page's word in r4."""
    shift = SHIFTS[ea >> U64(40)]
    va = virtual_address(ea)
    for _ in range(3):
        gfn = access(machine, vcpu, va, shift, is_store, value)
        if gfn != FAULT:
            if not is_store:
                set_gpr(machine, vcpu, 0, atomics.load(machine.stamps, gfn))
            return 0
        status = handle_fault(machine, vcpu, va, shift, is_store)
        if status != RETRY:
            dsisr = DSISR_NO_HPTE if status == HASH_MISS else DSISR_PROTECTION
            set_gpr(machine, vcpu, 0, dsisr | DSISR_STORE if is_store else dsisr)
            return FAULTED
    return NEVER_RETURNS


@kernel
def _command(machine, vcpu, c):
    """Do one command; return r3."""
    if c[0] == LOAD:
        return _access(machine, vcpu, c[1], False, U64(0))
    if c[0] == STORE:
        return _access(machine, vcpu, c[1], True, c[2])
    if c[0] == ENTER:
        code = h_enter(machine, vcpu, c[1], c[2], c[3], c[4])
        if code == H_SUCCESS:
            flush_tlbs(machine, vcpu)
        return code
    if c[0] == REMOVE:
        return h_remove(machine, vcpu, c[1], c[2], c[3])
    if c[0] == PROTECT:
        return h_protect(machine, vcpu, c[1], c[2], c[3])
    if c[0] == READ:
        return h_read(machine, vcpu, c[1], c[2])
    if c[0] == BULK_REMOVE:
        return h_bulk_remove(machine, vcpu)
    return H_FUNCTION


@kernel
def _run(machine, vcpu, commands, codes, registers):
    """Run commands; r4 to r11 hold the arguments before each, so that no other may change."""
    for k in range(len(commands)):
        for number in range(8):
            set_gpr(machine, vcpu, number, commands[k, 1 + number])
        codes[k] = I64(_command(machine, vcpu, commands[k]))
        for number in range(8):
            registers[k, number] = get_gpr(machine, vcpu, number)


def guest_hpt(vm):
    """Return the whole HPT as the guest sees it, without logging: uint64[n, 2]."""
    hpt = vm.arrays.hpt.reshape(-1, 2).copy()
    hpt[:, 1] = vm.arrays.rev[::2] | hpt[:, 1] & HPTE_R_RC
    return hpt


def _act(tracker, kind):
    """Do what the host does at a command; return the log that it takes, or None."""
    is_logged = DATA_SLOT in tracker.vm.logged_by
    if kind == HARVEST and is_logged:
        log = tracker.buffer(DATA_SLOT)
        tracker.get_dirty_log(DATA_SLOT, log)
        return np.unpackbits(log.view(np.uint8), bitorder="little")
    if kind == TOGGLE and is_logged:
        tracker.disable_logging(DATA_SLOT)
    elif kind == TOGGLE:
        tracker.enable_logging(DATA_SLOT)
    return None


def run(vm, commands, tracker=None):
    """Run commands on a new machine.

    Parameters
    ----------
    tracker : DirtyTracker, optional
        Logs the slot of the data from the start, and does what the host does.

    Returns
    -------
    results : uint64[n, 9]
        r3 to r11 after each command.
    hpt : uint64[NHPTES, 2]
        The HPT after the last one, logging stopped.
    logs : dict of int to uint8[]
        For each harvest, by its command, whether each page of the slot is in the log.
    """
    codes = np.empty(len(commands), np.int64)
    registers = np.empty((len(commands), WORDS - 1), np.uint64)
    logs, first = {}, 0
    if tracker:
        tracker.enable_logging(DATA_SLOT)
    for row in [*np.flatnonzero(np.isin(commands[:, 0], (HARVEST, TOGGLE))), len(commands)]:
        part = slice(first, row + 1)
        _run(vm.machine, 0, commands[part], codes[part], registers[part])
        log = _act(tracker, commands[row, 0]) if tracker and row < len(commands) else None
        if log is not None:
            logs[int(row)] = log
        first = row + 1
    if tracker:
        tracker.disable_logging(DATA_SLOT)
    return np.column_stack([codes.view(np.uint64), registers]), guest_hpt(vm), logs


def run_apart(vm, lists):
    """Run a list of commands by each vCPU of a new machine, on threads; return as `on_qemu.run`."""

    def by(vcpu, commands):
        codes = np.empty(len(commands), np.int64)
        registers = np.empty((len(commands), WORDS - 1), np.uint64)
        _run(vm.machine, vcpu, commands, codes, registers)
        return np.column_stack([codes.view(np.uint64), registers])

    with ThreadPoolExecutor(len(lists)) as pool:
        results = list(pool.map(by, range(len(lists)), lists))
    return results, guest_hpt(vm)
