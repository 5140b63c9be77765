"""Replay a trace through the trackers, each on its own machine of the same making."""

from dataclasses import dataclass, field

import numpy as np

from strategies.core.events import NAMES as EVENTS  # noqa: F401 (of `Replay.events`)
from strategies.core.jit import kernel
from strategies.core.memslot import PAGES_PER_WORD
from strategies.core.vm import Vm, default_hpt_order, machine_bytes
from strategies.core.words import ONE, U64, popcount
from strategies.costs import X86_KVM
from strategies.registry import BASELINE, get


@kernel
def check_harvest(stamps, stamp, reported):
    """Judge a harvest by the stamps in guest memory, with all vCPUs stopped.

    Parameters
    ----------
    stamps : uint64[npages]
        Guest memory of the slot.
    stamp : uint64
        What the stores of this epoch wrote.
    reported : uint64[ceil(npages / 64)]
        The harvest.

    Returns
    -------
    tuple of int
        Pages stored, pages reported, stored but not reported, reported but not stored, and the
        first page that was lost (-1: none).
    """
    counts = np.zeros(4, np.int64)
    first_lost = -1
    for word in range(reported.size):
        stored = U64(0)
        first = word * PAGES_PER_WORD
        for page in range(first, min(first + PAGES_PER_WORD, stamps.size)):
            if stamps[page] == stamp:
                stored |= ONE << U64(page - first)
        lost = stored & ~reported[word]
        if lost and first_lost < 0:
            first_lost = first + popcount((lost & (~lost + ONE)) - ONE)
        counts[0] += popcount(stored)
        counts[1] += popcount(reported[word])
        counts[2] += popcount(lost)
        counts[3] += popcount(reported[word] & ~stored)
    return counts[0], counts[1], counts[2], counts[3], first_lost


@dataclass
class Replay:
    """What one tracker did with a trace.

    Attributes
    ----------
    stored, reported, lost, spurious : list of int
        Pages of each epoch, judged by the stamps: exact counts.
    harvest_ns : list of int
        Nanoseconds of each harvest, measured inside compiled code.
    first_lost : tuple of int or None
        Epoch and gfn of the first lost page.
    events : dict of str to int
        Exact counts over all epochs, population and the start of logging excluded.
    state_bytes : int
        What the tracker allocates beyond the machine.
    """

    strategy: str
    stored: list[int] = field(default_factory=list)
    reported: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    spurious: list[int] = field(default_factory=list)
    harvest_ns: list[int] = field(default_factory=list)
    first_lost: tuple[int, int] | None = None
    events: dict[str, int] = field(default_factory=dict)
    state_bytes: int = 0

    @property
    def name(self):
        """Of the tracker."""
        return self.strategy

    @property
    def is_baseline(self):
        """Whether this is the tracker that reports nothing."""
        return self.strategy == BASELINE


def _epochs(trace):
    """Yield for each epoch the pages stored to, in order, and the pages only read (int64)."""
    for epoch in range(trace.epochs):
        loads = np.empty(0, np.int64)
        if trace.read_gfns is not None:
            loads = trace.read_gfns[slice(*trace.read_offsets[epoch : epoch + 2])].astype(np.int64)
        yield trace.stores_of(epoch), loads


def build(trace, *, vcpus, page_shift, mapping, seed=0, unit_costs=X86_KVM, progress=None):
    """Return a machine whose guest has mapped all of a trace's slot, and the slot."""
    vm = Vm(
        trace.slot_pages,
        page_shift=page_shift,
        vcpus=vcpus,
        mapping=mapping,
        seed=seed,
        unit_costs=unit_costs,
    )
    slot = vm.add_memslot(0, trace.slot_pages)
    vm.populate(slot, progress=progress)
    return vm, slot


def build_bytes(slot_pages, page_shift):
    """Return the bytes of memory that a machine from `build` comes to use."""
    return machine_bytes(slot_pages, default_hpt_order(slot_pages << page_shift))


def replay(trace, name, vm, slot, progress=None):
    """Run a trace through one tracker: per epoch the guest's accesses, then one harvest.

    Parameters
    ----------
    trace : Trace
        Its pages have the machine's size.
    name : str
        The tracker.
    vm, slot
        A fresh machine from `build`; it is left logging. Store k of an epoch is made by vCPU
        k mod `vm.vcpus`.
    progress : callable, optional
        Called with 1 after each epoch.

    Returns
    -------
    Replay
    """
    tracker = get(name)(vm)
    tracker.enable_logging(slot)
    result = Replay(name, state_bytes=tracker.state_bytes)
    before = vm.events()
    out = tracker.buffer(slot)
    for epoch, (stores, loads) in enumerate(_epochs(trace)):
        vm.store(stores, epoch + 1, vcpus=vm.vcpus)
        vm.load(loads, vcpus=vm.vcpus)
        result.harvest_ns.append(tracker.get_dirty_log(slot, out))
        _record(result, vm, epoch, out)
        if progress:
            progress(1)
    result.events = {event: count - before[event] for event, count in vm.events().items()}
    return result


def _record(result, vm, epoch, out):
    """Judge one harvest and add it to the result."""
    stored, reported, lost, spurious, gfn = check_harvest(
        vm.arrays.stamps, np.uint64(epoch + 1), out
    )
    result.stored.append(stored)
    if result.is_baseline:
        return
    result.reported.append(reported)
    result.lost.append(lost)
    result.spurious.append(spurious)
    if lost and result.first_lost is None:
        result.first_lost = (epoch, gfn)
