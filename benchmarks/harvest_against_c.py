"""How far the harvest kernels are from C, and what the machine's own parts cost.

Run `python -m benchmarks.harvest_against_c`. It compiles `harvest.c`, the harvest loops of three
trackers in C, runs them and the trackers in turn over the same tables, and prints the ratio of
their times beside the limit that the project sets itself. Every harvest is checked before its time
counts. Linux or another POSIX system with a C compiler.
"""

import argparse
import ctypes
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numba
import numpy as np

from strategies import registry
from strategies.core import atomics, events, hpt, hpte, locks, machine, memslot, rmap
from strategies.core.clock import monotonic_ns
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.jit import kernel
from strategies.core.machine import TLB_DATA, TLB_ENTRIES, TLB_WORDS, Machine
from strategies.core.tlb import flush_tlbs, tlbie
from strategies.core.vm import MAPPINGS, Vm
from strategies.errors import InputError
from strategies.units import parse_size

KERNELS = ("c_bit_scan", "write_protect", "double_buffer")
DENSITIES = (0.0, 0.01)
PAIRS = 5
SAMPLE_NS = 2_000_000
"""A sample repeats short harvests until their sum is about this."""

MAX_ROUNDS = 500
PAGE_SHIFT = 12
LIMIT, SMALL_LIMIT, SMALL_BYTES = 1.15, 1.3, 64 << 20
"""Highest accepted ratio of the times, compiled Python to C; the second for up to SMALL_BYTES."""

STORE_SLOT_BYTES = 4 << 30
STORES = 1 << 20
TLB_OPERATIONS = 100_000


class CMachine(ctypes.Structure):
    """The Machine tuple as the C functions take it."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in Machine._fields)


def c_compiler():
    """Return the C compiler's command (`CC`, cc or gcc) as a list; raises InputError."""
    for command in (os.environ.get("CC", ""), "cc", "gcc"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    raise InputError("no C compiler: accepted are one named by CC, or cc or gcc on the PATH")


def constants():
    """Return compiler flags that define the machine's constants, so that C has the same ones."""
    found = {"SPINS_BEFORE_YIELD": atomics.SPINS_BEFORE_YIELD}
    for module in (events, hpt, hpte, locks, machine, memslot, rmap):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, int | np.uint64):
                found[name] = int(value)
    return [f"-D{name}={value}{'ULL' if value >> 31 else ''}" for name, value in found.items()]


def compile_c(compiler):
    """Compile `harvest.c` and return its functions by tracker name."""
    source = Path(__file__).with_name("harvest.c")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "harvest.so")
        flags = ["-O3", "-march=native", "-shared", "-fPIC", *constants()]
        done = subprocess.run(
            [*compiler, *flags, "-o", path, source], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InputError(f"{compiler[0]} cannot compile harvest.c: {done.stderr.strip()}")
        library = ctypes.CDLL(path)
    if ctypes.c_uint64.in_dll(library, "machine_bytes").value != ctypes.sizeof(CMachine):
        raise InputError("harvest.c and strategies.core.machine.Machine differ")
    functions = {name: getattr(library, name) for name in KERNELS}
    for function in functions.values():
        function.restype = ctypes.c_int64
        function.argtypes = CMachine, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64
    return functions


class Contest:
    """One slot under one tracker, harvested by its own kernel and by the C function in turn.

    Parameters
    ----------
    vm : Vm
        Machine with slot 0 mapped.
    name : str
        The tracker.
    function : ctypes function
        Its harvest in C.
    density : float
        Share of the slot's pages written before each harvest.
    """

    def __init__(self, vm, name, function, density):
        self.vm = vm
        self.tracker = registry.get(name)(vm)
        self.tracker.enable_logging(0)
        self.out = self.tracker.buffer(0)
        self.npages = vm.slots[0][1]
        self.written = round(density * self.npages)
        self.random = np.random.default_rng(round(density * 1000) + 1)
        c_machine = CMachine(*vm.machine)
        self.harvests = {
            "numba": lambda: self.tracker.get_dirty_log(0, self.out),
            "C": lambda: function(c_machine, 0, self.out.ctypes.data, self.out.size),
        }

    def pattern(self):
        """Return pages that were not written in this order before: a branch predictor learns."""
        return self.random.integers(self.npages, size=self.written)

    def run(self, language, pages):
        """Write pages, harvest, check the bitmap against what was written; return ns."""
        expected = np.zeros(self.out.size * 64, np.uint8)
        expected[pages] = 1
        self.vm.store(pages, 1)
        self.out.fill(~np.uint64(0))
        ns = self.harvests[language]()
        if not np.array_equal(self.out.view(np.uint8), np.packbits(expected, bitorder="little")):
            raise RuntimeError(f"{self.tracker.name} in {language}: the bitmap is wrong")
        return ns

    def verify(self):
        """Raise RuntimeError unless both leave the same bitmap, tables and event counts."""
        pages, results = self.pattern(), []
        for language in ("numba", "C", "numba", "C"):
            before = self.vm.events()
            self.run(language, pages)
            tables = [zlib.crc32(getattr(self.vm.arrays, name)) for name in ("hpt", "rev", "rmap")]
            after = self.vm.events()
            results.append((tables, {name: after[name] - before[name] for name in after}))
        if results[2] != results[3]:
            raise RuntimeError(f"{self.tracker.name}: C differs: {results[2:]}")

    def measure(self):
        """Return ns[pair, language] of a harvest; the languages take turns in each pair.

        A pair is as many rounds as give a sample of `SAMPLE_NS`. Its time is the mean of the middle
        half of the rounds, since one interrupt outweighs many short harvests.
        """
        rounds = max(1, min(MAX_ROUNDS, SAMPLE_NS // self.run("C", self.pattern())))
        ns = np.array(
            [
                [[self.run(language, self.pattern()) for language in self.harvests]]
                for _ in range(PAIRS * rounds)
            ]
        ).reshape(PAIRS, rounds, len(self.harvests))
        ns.sort(axis=1)
        return ns[:, rounds // 4 : rounds - rounds // 4].mean(axis=1)


def build(nbytes, mapping):
    """Return a machine of `nbytes` with one slot, all of it mapped and written once."""
    vm = Vm(nbytes >> PAGE_SHIFT, mapping=mapping)
    slot = vm.add_memslot(0, vm.guest_pages)
    vm.populate(slot)
    vm.store(np.arange(vm.guest_pages), 1)
    return vm


def compare(sizes, mapping, functions):
    """Print the table of times and ratios; return whether all ratios are within the limit."""
    columns = "{:>8}  {:<14}{:>8}{:>14}{:>14}{:>9}{:>15}{:>8}  {}"
    print(columns.format(*"slot tracker written numba_ns C_ns ratio spread limit".split(), ""))
    within = True
    for nbytes in sizes:
        vm = build(nbytes, mapping)
        limit = SMALL_LIMIT if nbytes <= SMALL_BYTES else LIMIT
        for name, density in ((name, density) for name in KERNELS for density in DENSITIES):
            contest = Contest(vm, name, functions[name], density)
            contest.verify()
            ns = contest.measure()
            contest.tracker.disable_logging(0)
            ratios = ns[:, 0] / ns[:, 1]
            ratio, is_within = np.median(ratios), np.median(ratios) <= limit
            within &= bool(is_within)
            times = (f"{value:.4g}" if value < 1e4 else f"{value:.0f}" for value in np.median(ns, 0))
            spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
            row = f"{nbytes >> 20} MiB", name, f"{density:.0%}", *times, f"{ratio:.2f}", spread
            print(columns.format(*row, limit, "" if is_within else "ABOVE"), flush=True)
    return within


def resident_pages(vm):
    """Return pages that vCPU 0 has in its TLB after stores to random ones."""
    vm.store(np.random.default_rng(0).integers(vm.guest_pages, size=8 * TLB_ENTRIES), 1)
    data = vm.arrays.tlb.reshape(-1, TLB_WORDS)[:TLB_ENTRIES, TLB_DATA]
    return (data[data != 0] & hpte.HPTE_R_RPN).astype(np.int64) >> PAGE_SHIFT


def store_ns(vm, pages):
    """Return the median ns per store of pages in random order, and the share that missed."""
    samples = []
    before = vm.events()["tlb_misses"]
    for seed in range(PAIRS):
        gfns = np.random.default_rng(seed).choice(pages, STORES)
        start = monotonic_clock()
        store_pages(vm.machine, VIEW_BASE, 0, 1, gfns, 1, 0)
        samples.append((monotonic_clock() - start) / STORES)
    return np.median(samples), (vm.events()["tlb_misses"] - before) / (PAIRS * STORES)


@kernel
def monotonic_clock():
    """Return the clock of the kernels."""
    return monotonic_ns()


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


def clean_harvest_ns(vm, name):
    """Return the median ns of a harvest of slot 0 with nothing written."""
    tracker = registry.get(name)(vm)
    tracker.enable_logging(0)
    out = tracker.buffer(0)
    ns = np.median([tracker.get_dirty_log(0, out) for _ in range(PAIRS)])
    tracker.disable_logging(0)
    return ns


def costs(mapping):
    """Print what stores, tlbies, flushes and clean harvests cost in a slot of 4 GiB."""
    vm = build(STORE_SLOT_BYTES, mapping)
    for what, pages, limit in (
        ("hits", resident_pages(vm), 10),
        ("misses", np.arange(vm.guest_pages), 100),
    ):
        ns, missed = store_ns(vm, pages)
        print(f"measured, {mapping}: a store that {what} the TLB {ns:.1f} ns, limit {limit} ns")
        print(f"    ({missed:.2%} of the stores missed)")
    tlbies, flushes = np.median(
        [tlbie_and_flush_ns(vm.machine, TLB_OPERATIONS) for _ in range(PAIRS)], axis=0
    )
    print(
        f"measured, {mapping}: one simulated tlbie {tlbies / TLB_OPERATIONS:.1f} ns, "
        f"one flush {flushes / TLB_OPERATIONS:.1f} ns, 1 vCPU"
    )
    scan, protect = (clean_harvest_ns(vm, name) for name in ("c_bit_scan", "write_protect"))
    print(
        f"measured, {mapping}: clean slot of 4 GiB, c_bit_scan {scan:.0f} ns, "
        f"write_protect {protect:.0f} ns: {scan / protect:.0f} times faster"
    )


def cpu_model():
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def main(arguments=None):
    """Run from the command line; return the exit status: 1 above a limit or wrong, 2 bad input."""
    parser = argparse.ArgumentParser(description="Harvest kernels against the same loops in C.")
    parser.add_argument("--sizes", nargs="+", default=["64MiB", "1GiB", "16GiB"], metavar="SIZE")
    parser.add_argument("--mapping", choices=MAPPINGS, default="linear")
    options = parser.parse_args(arguments)
    try:
        sizes = [parse_size(size) for size in options.sizes]
        compiler = c_compiler()
        functions = compile_c(compiler)
        version = subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout
        print(f"measured on {cpu_model()}, numba {numba.__version__}, {version.splitlines()[0]}")
        within = compare(sizes, options.mapping, functions)
        for mapping in MAPPINGS:
            costs(mapping)
    except InputError as error:
        print(f"harvest_against_c: {error}", file=sys.stderr)
        return 2
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
