"""A guest that stores and changes its HPT while the host harvests, for test_concurrency.

    python tests/storm.py TRACKER ... --pages N --threads N --rounds N --accesses N --seed N

Each round is judged as a migration is: after each harvest the reported pages are copied; at the end
the vCPUs stop, one more harvest is copied, and the copy must equal memory. Rounds are short, for a
page that was lost is safe again once it is stored to again. Prints a JSON object a line, one for
each tracker; the exit status is 1 if a page was lost. The work is bounded, the time is not: the
caller sets a limit. With `--unmaps SHARE` that share of all actions takes a page away, as the host
does; the event counts are those of the vCPU whose thread does it.
"""

import argparse
import json
import random
import sys

import numpy as np
from numba import config

from strategies.core import atomics
from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_LARGE, address_of, touch, view_shift
from strategies.core.h_change import h_clear_mod, h_protect
from strategies.core.h_remove import h_remove
from strategies.core.hostfault import host_store
from strategies.core.hpt import find_hpte
from strategies.core.hpte import HPTE_V_ABSENT, HPTE_V_VALID, PP_RWRW, PP_RXRX
from strategies.core.jit import kernel
from strategies.core.unmap import unmap_page
from strategies.core.vcpus import VcpuThreads
from strategies.core.vm import Vm
from strategies.core.words import I64, U64, ZERO
from strategies.registry import get

STORE, REMOVE, PROTECT, CLEAR_MOD, HOST_STORE, UNMAP = range(6)
WEIGHTS = (0.96, 0.01, 0.01, 0.01, 0.01)
VCPUS_PER_THREAD = 2

LARGE_PAGES = 4096
"""A guest of this many pages maps them by one HPTE of 16 MiB, too."""


@kernel
def run_guest(machine, vcpu, nvcpus, actions, gfns, views, first_stamp):
    """Let vCPUs act in turn; element k writes the unique stamp `first_stamp + k`."""
    for k in range(actions.size):
        cpu = vcpu + k % nvcpus
        gfn, view, action = I64(gfns[k]), views[k], actions[k]
        if action == STORE:
            touch(machine, cpu, view, gfn, True, U64(first_stamp + k))
        elif action == HOST_STORE:
            host_store(machine, cpu, gfn, U64(first_stamp + k))
        elif action == UNMAP:
            unmap_page(machine, cpu, gfn)
        else:
            va = address_of(machine, view, gfn)
            states = HPTE_V_VALID | HPTE_V_ABSENT
            index = find_hpte(machine, va, view_shift(machine, view), states)
            if index >= 0 and action == REMOVE:
                h_remove(machine, cpu, ZERO, U64(index), ZERO)
            elif index >= 0 and action == CLEAR_MOD:
                h_clear_mod(machine, cpu, U64(index))
            elif index >= 0:
                h_protect(machine, cpu, PP_RXRX, U64(index), ZERO)
                h_protect(machine, cpu, PP_RWRW, U64(index), ZERO)


def copy_reported(vm, reported, copy):
    """Copy the pages that a harvest reported."""
    bits = np.unpackbits(reported.view(np.uint8), bitorder="little")[: copy.size].astype(bool)
    copy[bits] = vm.arrays.stamps[: copy.size][bits]


def switch_at_random(seed):
    """Without the JIT: let another thread run before about one in eight atomic operations."""
    draw = random.Random(seed).random

    def hook(_operation, _words, _index):
        if draw() < 0.125:
            atomics.os.sched_yield()

    atomics.hook = hook
    sys.setswitchinterval(1e-5)


def storm(tracker_name, pages, threads, rounds, accesses, seed, delayed_c, unmaps):
    """Run it; return what happened as a dict."""
    if config.DISABLE_JIT:
        switch_at_random(seed)
    vm = Vm(pages, vcpus=threads * VCPUS_PER_THREAD, delayed_c=delayed_c)
    slot = vm.add_memslot(0, pages)
    vm.populate(slot)
    tracker = get(tracker_name)(vm)
    tracker.enable_logging(slot)
    out, copy, harvests, lost = tracker.buffer(slot), np.zeros(pages, np.uint64), 0, []
    for number in range(rounds):
        guests = VcpuThreads(vm, guest_round(vm, number, accesses, seed, unmaps), threads)
        storing = True
        while storing:  # one more harvest after the last vCPU has stopped
            storing = guests.running()
            tracker.get_dirty_log(slot, out)
            copy_reported(vm, out, copy)
            harvests += 1
        guests.join()
        lost += [(number, int(gfn)) for gfn in np.flatnonzero(copy != vm.arrays.stamps)]
    return {"tracker": tracker_name, "lost": lost, "harvests": harvests, "events": vm.events()}


def guest_round(vm, number, accesses, seed, unmaps):
    """Return what a thread of vCPUs does in a round: `accesses` random actions."""

    def run(first_vcpu, count):
        rng = np.random.default_rng([seed, number, first_vcpu])
        weights = (WEIGHTS[STORE] - unmaps, *WEIGHTS[REMOVE:], unmaps)
        actions = rng.choice(len(weights), accesses, p=weights)
        gfns = rng.integers(vm.guest_pages, size=accesses)
        other = VIEW_LARGE if vm.guest_pages == LARGE_PAGES else VIEW_ALIAS
        views = rng.choice((VIEW_BASE, other), accesses)
        first_stamp = 1 + (number * vm.vcpus + first_vcpu) * accesses
        run_guest(vm.machine, first_vcpu, count, actions, gfns, views, first_stamp)

    return run


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("trackers", nargs="+")
    for option in ("pages", "threads", "rounds", "accesses", "seed"):
        parser.add_argument(f"--{option}", type=int, required=True)
    parser.add_argument("--delayed_c", type=int, default=0)
    parser.add_argument("--unmaps", type=float, default=0)
    options = vars(parser.parse_args())
    is_lost = False
    for name in options.pop("trackers"):
        result = storm(name, **options)
        print(json.dumps(result), flush=True)
        is_lost |= bool(result["lost"])
    sys.exit(is_lost)
