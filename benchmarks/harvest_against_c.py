"""How far the harvest kernels are from C.

Run `python -m benchmarks.harvest_against_c`. It compiles `harvest.c`, the harvest loops of four
trackers in C, runs them and the trackers in turn over the same tables, and prints the ratio of
their times beside the limit that the project sets itself; then what the machine's own parts cost.
Every harvest is checked before its time counts. Exit status: 1 for a wrong harvest or a ratio above
its limit, 2 for bad arguments or no C compiler.
"""

import argparse
import ctypes
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numba
import numpy as np

from benchmarks.machine_costs import build, report
from strategies import registry
from strategies.core import atomics, events, hpt, hpte, locks, machine, memslot, rmap
from strategies.core.vm import MAPPINGS
from strategies.errors import InputError

KERNELS = ("c_bit_scan", "c_bit_scan_pipelined", "write_protect", "double_buffer")
"""One appends to these: asv files ratios by their index."""

DENSITIES = (0.0, 0.01)
PAIRS = 5
SAMPLE_NS = 10_000_000
MIN_ROUNDS, MAX_ROUNDS = 4, 500
"""A sample is as many harvests as last about SAMPLE_NS, within these bounds."""

LIMIT, SMALL_LIMIT, SMALL_BYTES = 1.15, 1.3, 64 << 20
"""Highest accepted ratio of the times, compiled Python to C; the second for up to SMALL_BYTES."""

TITLES = ("slot", "tracker", "written", "numba", "C", "ratio", "spread", "limit")
COLUMNS = "{:>9}  {:<20}{:>8}{:>16}{:>16}{:>7}{:>15}{:>7}  {}"


class WrongHarvestError(Exception):
    """A harvest is not what was written, or not what the other language made of it."""


class CMachine(ctypes.Structure):
    """The Machine tuple as the C functions take it."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in machine.Machine._fields)


def c_compiler():
    """Return the C compiler's command (`CC`, cc or gcc) as a list; raises InputError."""
    for command in (os.environ.get("CC", ""), "cc", "gcc"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    raise InputError("no C compiler: accepted are the one that CC names, cc or gcc")


def constants():
    """Return compiler flags that define the machine's constants, so that C has the same ones."""
    from strategies.core import changed  # earlier revisions lack it

    found = {"SPINS_BEFORE_YIELD": atomics.SPINS_BEFORE_YIELD}
    for module in (changed, events, hpt, hpte, locks, machine, memslot, rmap):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, int | np.uint64):
                found[name] = int(value)
    return [f"-D{name}={value}{'ULL' if value >> 31 else ''}" for name, value in found.items()]


def compile_c(compiler):
    """Compile `harvest.c` and return its functions by tracker name; raises InputError."""
    source = Path(__file__).with_name("harvest.c")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "harvest.so")
        flags = ["-O3", "-march=native", "-shared", "-fPIC", *constants()]
        command = [*compiler, *flags, "-o", path, source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{compiler[0]} cannot compile harvest.c: {done.stderr.strip()}")
        library = ctypes.CDLL(path)
    if ctypes.c_uint64.in_dll(library, "machine_bytes").value != ctypes.sizeof(CMachine):
        raise InputError("machine.h and strategies.core.machine.Machine differ")
    functions = {name: getattr(library, name) for name in KERNELS}
    for function in functions.values():
        function.restype = ctypes.c_int64
        function.argtypes = CMachine, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64
    return functions


class Contest:
    """Slot 0 under one tracker, harvested by its own kernel and by the C function in turn.

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
        self.name = name
        self.tracker = registry.get(name)(vm)
        self.tracker.enable_logging(0)
        self.out = self.tracker.buffer(0)
        self.npages = vm.slots[0][1]
        self.written = round(density * self.npages)
        self.random = np.random.default_rng(0)
        c_machine = CMachine(*vm.machine)
        self.harvests = {
            "numba": lambda: self.tracker.get_dirty_log(0, self.out),
            "C": lambda: function(c_machine, 0, self.out.ctypes.data, self.out.size),
        }

    def pattern(self):
        """Return fresh random pages: a branch predictor learns a pattern that it saw before."""
        return self.random.integers(self.npages, size=self.written)

    def run(self, language, pages):
        """Write pages, harvest, check the bitmap against what was written; return ns."""
        expected = np.zeros(self.out.size * memslot.PAGES_PER_WORD, np.uint8)
        expected[pages] = 1
        self.vm.store(pages, 1)
        self.out.fill(~np.uint64(0))
        ns = self.harvests[language]()
        if not np.array_equal(self.out.view(np.uint8), np.packbits(expected, bitorder="little")):
            raise WrongHarvestError(
                f"{self.name} in {language}: the bitmap is not what was written"
            )
        return ns

    def outcome(self, language, pages):
        """Return digests of the tables after `run`, and the events that it counted."""
        before = self.vm.events()
        self.run(language, pages)
        tables = {
            name: zlib.crc32(getattr(self.vm.arrays, name)) for name in ("hpt", "rev", "rmap")
        }
        return tables | {name: n - before[name] for name, n in self.vm.events().items()}

    def verify(self):
        """Raise WrongHarvestError unless both leave the same bitmap, tables and event counts.

        Two harvests come first, until the tables are the same before each one as after it.
        """
        pages = self.pattern()
        *_, ours, theirs = (self.outcome(language, pages) for language in [*self.harvests] * 2)
        if ours != theirs:
            different = {
                name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]
            }
            raise WrongHarvestError(f"{self.name}: numba and C differ in {different}")

    def measure(self):
        """Return ns[pair, language] of a harvest; the languages take turns.

        The time of a sample is the mean of the middle half of its harvests: one interrupt outweighs
        many short ones.
        """
        rounds = SAMPLE_NS // max(1, self.run("C", self.pattern()))
        rounds = max(MIN_ROUNDS, min(rounds, MAX_ROUNDS))
        turns = [
            [self.run(language, self.pattern()) for language in self.harvests]
            for _ in range(PAIRS * rounds)
        ]
        ns = np.sort(np.reshape(turns, (PAIRS, rounds, len(self.harvests))), axis=1)
        return ns[:, rounds // 4 : rounds - rounds // 4].mean(axis=1)


def compare(vm, functions):
    """Print a row for each tracker and density; return whether all ratios are within the limit."""
    nbytes = vm.guest_pages << vm.page_shift
    limit = SMALL_LIMIT if nbytes <= SMALL_BYTES else LIMIT
    within = True
    for name, density in ((name, density) for name in KERNELS for density in DENSITIES):
        contest = Contest(vm, name, functions[name], density)
        contest.verify()
        ns = contest.measure()
        contest.tracker.disable_logging(0)
        ratios = ns[:, 0] / ns[:, 1]
        ratio = np.median(ratios)
        within &= bool(ratio <= limit)
        spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
        row = (
            f"{nbytes >> 20} MiB",
            name,
            f"{density:.0%}",
            *(f"{t:,.0f}" for t in np.median(ns, 0)),
        )
        remark = "" if ratio <= limit else "above"
        print(COLUMNS.format(*row, f"{ratio:.2f}", spread, limit, remark).rstrip(), flush=True)
    return within


def run(sizes, mapping):
    """Print everything; return whether all ratios are within their limits."""
    from strategies.replay.output import cpu_model

    compiler = c_compiler()
    functions = compile_c(compiler)
    command = [*compiler, "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    print(f"measured on {cpu_model()}, numba {numba.__version__}, {version.splitlines()[0]}")
    print(f"measured, {mapping} mapping, 4 KiB pages, 1 vCPU: ns per harvest, median of {PAIRS}")
    print(COLUMNS.format(*TITLES, "").rstrip())
    within = True
    for nbytes in sizes:
        within &= compare(build(nbytes, mapping), functions)
    for name in MAPPINGS:
        for line in report(name):
            print(f"measured, {name} mapping: {line}", flush=True)
    return within


def main(arguments=None):
    """Run from the command line; return the exit status."""
    from strategies.units import parse_size

    parser = argparse.ArgumentParser(description="Harvest kernels against the same loops in C.")
    parser.add_argument("--sizes", nargs="+", default=["64MiB", "1GiB", "16GiB"], metavar="SIZE")
    parser.add_argument("--mapping", choices=MAPPINGS, default="linear", help="of the table")
    options = parser.parse_args(arguments)
    try:
        within = run([parse_size(size) for size in options.sizes], options.mapping)
    except (InputError, WrongHarvestError) as error:
        print(f"harvest_against_c: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print("harvest_against_c: interrupted", file=sys.stderr)
        return 130
    if not within:
        print("harvest_against_c: a ratio is above its limit", file=sys.stderr)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
