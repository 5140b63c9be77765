"""What the machine's own parts cost on this computer: stores, tlbies, flushes, clean harvests.

`MachineCosts` records it in asv, `benchmarks.harvest_against_c` prints it. All times are measured,
with one vCPU and no other thread.
"""

import numpy as np

from benchmarks.common import IS_FULL, full_only, tell_progress
from strategies import registry
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.hpte import HPTE_R_RPN
from strategies.core.jit import kernel
from strategies.core.machine import TLB_DATA, TLB_ENTRIES, TLB_WORDS
from strategies.core.tlb import flush_tlbs, tlbie
from strategies.core.vm import Vm

SAMPLES = 9
SLOT_BYTES = 4 << 30
STORES = 1 << 20
HOT_PAGES = 64
"""So few that their TLB entries and their data stay in a first-level cache."""

BESIDE = ("pml", "dirty_ring", "adaptive")
ROUNDS = 21

TLB_OPERATIONS = 100_000
HIT_LIMIT_NS, MISS_LIMIT_NS = 10, 100


def build(nbytes, mapping):
    """Return a machine of `nbytes` with one slot, all of it mapped and written once."""
    vm = Vm(nbytes >> 12, mapping=mapping)
    slot = vm.add_memslot(0, vm.guest_pages)
    vm.populate(slot)
    vm.store(np.arange(vm.guest_pages), 1)
    return vm


def resident_pages(vm):
    """Return the pages that vCPU 0 has in its TLB after stores to random ones."""
    vm.store(np.random.default_rng(0).integers(vm.guest_pages, size=8 * TLB_ENTRIES), 1)
    data = vm.arrays.tlb.reshape(-1, TLB_WORDS)[:TLB_ENTRIES, TLB_DATA]
    return (data[data != 0] & HPTE_R_RPN).astype(np.int64) >> vm.page_shift


@kernel
def _clock():
    """Return the kernels' clock: ns."""
    return monotonic_ns()


def store_ns(vm, pages):
    """Return the lowest and the median ns per store to `pages` in random order, and missed share.

    The lowest is what a quiet core needs.
    """
    ns = []
    before = vm.events()["tlb_misses"]
    for seed in range(SAMPLES):
        gfns = np.random.default_rng(seed).choice(pages, STORES)
        start = _clock()
        store_pages(vm.machine, VIEW_BASE, 0, 1, gfns, 1, 0)
        ns.append((_clock() - start) / STORES)
    missed = (vm.events()["tlb_misses"] - before) / (SAMPLES * STORES)
    return min(ns), np.median(ns), missed


def _hits_ns(vm, pages, seed):
    """Return the lowest ns of a few thousand stores to pages, after one to each.

    So few that other processes leave some samples alone.
    """
    vm.store(pages, 1)
    gfns = np.random.default_rng(seed).choice(pages, STORES >> 7)
    ns = []
    for _ in range(4 * SAMPLES):
        start = _clock()
        store_pages(vm.machine, VIEW_BASE, 0, 1, gfns, 1, 0)
        ns.append(_clock() - start)
    return min(ns)


def beside_ratios(mapping):
    """Return by tracker what a store that hits the TLB costs while it logs another slot.

    Each is the ratios, by rounds in which all take turns, to a store while nothing is logged.
    """
    vm = Vm(2 * TLB_ENTRIES, mapping=mapping)
    for slot in range(2):
        vm.populate(vm.add_memslot(slot * TLB_ENTRIES, TLB_ENTRIES))
    resident = resident_pages(vm)
    pages = resident[resident < TLB_ENTRIES][:HOT_PAGES]
    trackers = [registry.get(name)(vm) for name in BESIDE]
    ns = np.empty((ROUNDS, 1 + len(BESIDE)))
    for turn in range(ROUNDS):
        ns[turn, 0] = _hits_ns(vm, pages, turn)
        for k, tracker in enumerate(trackers):
            tracker.enable_logging(1)
            ns[turn, 1 + k] = _hits_ns(vm, pages, turn)
            tracker.disable_logging(1)
    return dict(zip(BESIDE, (ns[1:, 1:] / ns[1:, :1]).T, strict=True))


@kernel
def tlbie_and_flush_ns(machine, times):
    """Return the ns of `times` tlbies of HPTEs that no TLB holds, and of as many flushes."""
    start = monotonic_ns()
    for k in range(times):
        index = k % TLB_ENTRIES
        v, r = atomics.load(machine.hpt, 2 * index), atomics.load(machine.rev, 2 * index)
        tlbie(machine, machine.nvcpus, v, r, index)
    middle = monotonic_ns()
    for _ in range(times):
        flush_tlbs(machine, machine.nvcpus)
    return middle - start, monotonic_ns() - middle


def invalidation_ns(vm):
    """Return the lowest ns of one tlbie that finds no entry, and of one flush."""
    spent = [tlbie_and_flush_ns(vm.machine, TLB_OPERATIONS) for _ in range(SAMPLES)]
    return np.min(spent, axis=0) / TLB_OPERATIONS


def clean_harvest_ns(vm, name):
    """Return the median ns of a harvest of slot 0 with nothing written."""
    tracker = registry.get(name)(vm)
    tracker.enable_logging(0)
    out = tracker.buffer(0)
    ns = np.median([tracker.get_dirty_log(0, out) for _ in range(SAMPLES)])
    tracker.disable_logging(0)
    return ns


def report(mapping):
    """Yield lines: what each costs in a slot of 4 GiB under a mapping."""
    vm = build(SLOT_BYTES, mapping)
    resident = resident_pages(vm)
    for what, pages, limit in (
        (f"TLB hit, {HOT_PAGES} pages", resident[:HOT_PAGES], HIT_LIMIT_NS),
        (f"TLB hit, {resident.size} pages", resident, HIT_LIMIT_NS),
        ("TLB miss, 4 GiB slot", np.arange(vm.guest_pages), MISS_LIMIT_NS),
    ):
        lowest, median, missed = store_ns(vm, pages)
        times = f"lowest {lowest:.1f} ns, median {median:.1f} ns, limit {limit} ns"
        yield f"store, {what}: {times} ({missed:.1%} missed)"
    for name, ratios in beside_ratios(mapping).items():
        low, median, high = np.percentile(ratios, (10, 50, 90))
        times = f"{median:.3f} times ({low:.3f} to {high:.3f}, 8 of 10) that with no log"
        yield f"store, TLB hit, {HOT_PAGES} pages, {name} logs another slot: {times}"
    tlbies, flushes = invalidation_ns(vm)
    yield f"one simulated tlbie {tlbies:.1f} ns, one flush {flushes:.1f} ns, 1 vCPU"
    scan, protect = (clean_harvest_ns(vm, name) for name in ("c_bit_scan", "write_protect"))
    times = f"c_bit_scan {scan / 1e6:.1f} ms, write_protect {protect / 1e3:.1f} us"
    yield f"clean 4 GiB slot: {times}, {scan / protect:.0f} times faster"


class MachineCosts:
    """What a tlbie, a flush (lowest) and a store (median) cost the simulation, nothing of a host's.

    A harvest's time contains the simulated tlbies; with these it can be told what they added.
    """

    param_names = ("mapping",)
    params = (["linear", "scattered"] if IS_FULL else ["linear"],)
    version = "2"

    def setup(self, mapping):
        """Build a machine of 4 GiB, all of it written."""
        tell_progress()
        self.vm = build(SLOT_BYTES, mapping)
        tlbie_and_flush_ns(self.vm.machine, 1)  # compiles

    def track_tlbie(self, _mapping):
        """Return the ns of a tlbie that finds no entry."""
        return float(invalidation_ns(self.vm)[0])

    def track_flush(self, _mapping):
        """Return the ns of a flush of all TLBs."""
        return float(invalidation_ns(self.vm)[1])

    def track_store_hit(self, _mapping):
        """Return the ns of a store that hits the TLB."""
        return float(store_ns(self.vm, resident_pages(self.vm)[:HOT_PAGES])[1])

    def track_store_miss(self, _mapping):
        """Return the ns of a store that misses it."""
        return float(store_ns(self.vm, np.arange(self.vm.guest_pages))[1])


for _name in ("tlbie", "flush", "store_hit", "store_miss"):
    getattr(MachineCosts, f"track_{_name}").unit = "ns"

full_only(MachineCosts, "track_flush", "track_store_hit", "track_store_miss")
