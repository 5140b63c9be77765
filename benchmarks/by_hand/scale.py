"""What very large slots cost: `benchmarks/METHODOLOGY.md` has the figures of one machine.

python -m benchmarks.by_hand.scale --slot 256GiB
python -m benchmarks.by_hand.scale --slot 1TiB --page-size 64KiB
"""

import statistics
import sys
import time
from pathlib import Path

import click
import numpy as np

from strategies import registry
from strategies.cli import run
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.tlb import flush_tlbs
from strategies.core.vm import Vm
from strategies.errors import InputError
from strategies.fault.write_protect_summary import WriteProtectSummary, arm_words, find_words
from strategies.options import PAGE_SHIFTS, STRATEGY, strategy_names
from strategies.replay.run import check_harvest
from strategies.terminal import echo_columns
from strategies.units import SIZE, duration, size_text

SLOT = 0
DIRTY = 100
TIMES = 5
LIST_TIMES = 21
GIB = 1 << 30
OTHER_BYTES = 64 << 20
"""Of memory read between writing and harvesting: more than the last cache has."""


@click.command()
@click.option("--slot", type=SIZE, default="256GiB", show_default=True)
@click.option("--page-size", type=click.Choice(PAGE_SHIFTS), default="4KiB", show_default=True)
@STRATEGY
def main(slot, page_size, chosen):
    """Build a guest that has mapped all of one slot, and harvest it clean and hardly written."""
    shift, names = PAGE_SHIFTS[page_size], strategy_names(chosen)
    if slot >> shift < DIRTY:
        raise InputError(f"--slot {size_text(slot)}; accepted: {DIRTY} pages or more")
    start = time.monotonic_ns()
    vm = Vm(slot >> shift, page_shift=shift)
    vm.add_memslot(0, vm.guest_pages)
    vm.populate(SLOT)
    click.echo(
        f"{vm.guest_pages} pages mapped in {duration(time.monotonic_ns() - start)}; medians:"
    )
    rows = [("strategy", "start of the log", "clean harvest", f"{DIRTY} pages", "as a list")]
    for name in names:
        rows.append((name, *_measured(vm, registry.get(name)(vm))))
        click.echo(f"{name}: {_peak_gib():.2f} GiB at most so far", err=True)
    echo_columns(rows)
    click.echo(f"{_peak_gib():.2f} GiB of memory at most, all of these trackers one after another")


def _measured(vm, tracker):
    """Yield the texts of a row: times by a clock inside compiled code, but that of the start."""
    start = time.monotonic_ns()
    tracker.enable_logging(SLOT)
    yield duration(time.monotonic_ns() - start)
    out = tracker.buffer(SLOT)
    _write(vm, _draw(vm, 0))
    tracker.get_dirty_log(SLOT, out)  # compiles, and reports what was written before
    yield _text([tracker.get_dirty_log(SLOT, out) for _ in range(TIMES)])
    yield _text([_harvest(vm, tracker, out, 1 + at) for at in range(TIMES)])
    yield _as_list(vm, tracker) if isinstance(tracker, WriteProtectSummary) else "-"
    tracker.disable_logging(SLOT)


def _text(ns):
    return duration(statistics.median(ns))


def _draw(vm, number):
    """Return pages, in order; to draw them empties the caches."""
    return np.sort(np.random.default_rng(number).choice(vm.guest_pages, DIRTY, replace=False))


def _write(vm, gfns):
    """Store to pages; return their stamp."""
    stamp = time.monotonic_ns()
    vm.store(gfns, stamp)
    return stamp


def _harvest(vm, tracker, out, number):
    stamp = _write(vm, _draw(vm, number))
    ns = tracker.get_dirty_log(SLOT, out)
    _, _, lost, spurious, _ = check_harvest(vm.arrays.stamps, np.uint64(stamp), out)
    if (lost or spurious) and tracker.name != registry.BASELINE:
        raise SystemExit(f"{tracker.name}: {lost} pages lost, {spurious} reported in excess")
    return ns


def _as_list(vm, tracker):
    """Return what a list costs of a clean slot, and of some pages: finding them, and arming them.

    Finding is all until the list is complete: the three levels read and taken, events counted, the
    list written. Arming is the rest, without the one flush. Both are measured just after the pages
    were written, when their marks are in a cache, and after other memory was read. The first time
    is not counted, which brings the code.
    """
    numbers, masks = np.zeros((2, 2 * DIRTY), "<u8")
    clean = [tracker.get_dirty_words(SLOT, numbers, masks)[-1] for _ in range(TIMES)]
    texts = [f"clean {_text(clean)}"]
    for caches, nbytes in (("marks in a cache", 0), ("not", OTHER_BYTES)):
        drawn = [_draw(vm, 100 + number) for number in range(1 + LIST_TIMES)]
        other = np.ones(nbytes // 8)
        ns = np.array([_timed(vm, gfns, other) for gfns in drawn])[1:]
        texts.append(f"{caches}: found in {_text(ns[:, 0])}, armed in {_text(ns[:, 1])}")
    return "; ".join(texts)


def _timed(vm, gfns, other):
    """Write pages, read other memory, get the list; return the ns of finding and of arming it."""
    _write(vm, gfns)
    other.sum()
    numbers, masks = np.zeros((2, 2 * DIRTY), "<u8")
    lists = (atomics.address_of(numbers), atomics.address_of(masks))
    words, finding, arming = _find_and_arm(vm.machine, SLOT, *lists, numbers.size)
    bits = np.unpackbits(masks[:words].view(np.uint8), bitorder="little").reshape(words, 64)
    word, bit = bits.nonzero()
    if not np.array_equal(64 * numbers[word] + bit.astype("<u8"), gfns):
        raise SystemExit("the list is not what was written")
    return finding, arming


@kernel
def _find_and_arm(machine, slot, numbers, masks, room):
    """Get a list as `write_protect_summary` does; return its words, and ns of the two steps."""
    start = monotonic_ns()
    found, _ = find_words(machine, slot, 0, numbers, masks, room, room)
    middle = monotonic_ns()
    arm_words(machine, slot, numbers, masks, found)
    end = monotonic_ns()
    flush_tlbs(machine, machine.nvcpus)
    return found, middle - start, end - middle


def _peak_gib():
    """Return the most memory that this process had at once, in GiB."""
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024 / GIB


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:], "python -m benchmarks.by_hand.scale"))
