"""What very large slots cost: `benchmarks/METHODOLOGY.md` has the figures of one machine.

python -m benchmarks.by_hand.scale --slot 256GiB
python -m benchmarks.by_hand.scale --slot 1TiB --page-size 64KiB
"""

import statistics
import time
from pathlib import Path

import click
import numpy as np

from strategies import registry
from strategies.base import SparseTracker
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.protect import READONLY, change_dirty_pages
from strategies.core.vm import Vm
from strategies.core.words import I64
from strategies.replay.run import check_harvest
from strategies.terminal import echo_columns
from strategies.units import duration, parse_size

SLOT = 0
DIRTY = 100
TIMES = 5
GIB = 1 << 30


@click.command()
@click.option("--slot", default="256GiB", show_default=True)
@click.option("--page-size", default="4KiB", show_default=True)
@click.option("--strategy", "strategies", multiple=True, help="Only this one.  Repeatable.")
def main(slot, page_size, strategies):
    """Build a guest that has mapped all of one slot, and harvest it clean and hardly written."""
    page_bytes = parse_size(page_size)
    start = time.monotonic_ns()
    vm = Vm(parse_size(slot) // page_bytes, page_shift=page_bytes.bit_length() - 1)
    vm.add_memslot(0, vm.guest_pages)
    vm.populate(SLOT)
    click.echo(
        f"{vm.guest_pages} pages mapped in {duration(time.monotonic_ns() - start)}; medians:"
    )
    rows = [("strategy", "start of the log", "clean harvest", f"{DIRTY} pages", "as a list")]
    for name in strategies or registry.names():
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
    yield _as_list(vm, tracker) if isinstance(tracker, SparseTracker) else "-"
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
    """Return what a list costs of a clean slot, and of some pages: re-arming them and finding them.

    To tell the two apart the pages are re-armed first; what the harvest's own re-arming then costs,
    measured once more, is taken off it. Of the harvests the first is not counted, so that neither
    its code nor the summaries come from memory: what a loop of harvests costs.
    """
    numbers, masks = np.zeros((2, 2 * DIRTY), "<u8")
    clean = [tracker.get_dirty_words(SLOT, numbers, masks)[1] for _ in range(TIMES)]
    finding, arming = [], []
    for gfns in [_draw(vm, 100 + number) for number in range(1 + TIMES)]:
        _write(vm, gfns)
        named, of = np.unique(gfns // 64, return_inverse=True)
        bits = np.zeros(named.size, "<u8")
        np.bitwise_or.at(bits, of, np.uint64(1) << (gfns % 64).astype(np.uint64))
        arming.append(_rearm_all(vm, named.astype("<u8"), bits))
        words, ns = tracker.get_dirty_words(SLOT, numbers, masks)
        if not (np.array_equal(named, numbers[:words]) and np.array_equal(bits, masks[:words])):
            raise SystemExit(f"{tracker.name}: the list is not what was written")
        finding.append(ns - _rearm_all(vm, numbers[:words], masks[:words]))
    return (
        f"clean {_text(clean)}; {DIRTY} pages: found in {_text(finding[1:])}, "
        f"armed in {_text(arming[1:])}"
    )


def _rearm_all(vm, numbers, masks):
    places = (atomics.address_of(numbers), atomics.address_of(masks))
    return _rearm(vm.machine, SLOT, *places, numbers.size)


@kernel
def _rearm(machine, slot, numbers, masks, words):
    """Make the pages of a list read-only once more, without a flush; return nanoseconds."""
    start = monotonic_ns()
    for at in range(words):
        mask = atomics.load_own(masks, at)
        change_dirty_pages(machine, slot, I64(atomics.load_own(numbers, at)), mask, READONLY)
    return monotonic_ns() - start


def _peak_gib():
    """Return the most memory that this process had at once, in GiB."""
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024 / GIB


if __name__ == "__main__":
    main()
