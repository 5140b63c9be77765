"""A cell: one trace through one tracker in one setting. What it counts is exact, wherever it runs.

So a cell has a key, and a result that is there already is never computed again. The key speaks of
all that decides the counts: the trace's digest, the setting, and the sources that count.
"""

import hashlib
import json
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

import strategies
from analysis.fleet.recordings import Recording, load
from strategies.errors import InputError
from strategies.registry import BASELINE, TRACKERS, module_of

PACKAGE = Path(strategies.__file__).parent
COUNTING = ("base.py", "core", "replay", "workloads")
"""What counts, beside the trackers."""

PER_EPOCH = (
    "pages_scanned",
    "pages_passed",
    "pages_cleared",
    "pages_rearmed",
    "bitmap_words_read",
    "words_taken",
    "write_faults",
    "changed_bits_set",
    "flushes",
    "log_exits",
    "pages_opened",
    "pages_flushed",
    "whole_flushes",
)
"""Events that a price of a single harvest or interval needs (`analysis.model.pricing`)."""

INTERVAL_TOLERANCE = 0.1
"""An interval is made of whole epochs; the nearest number of them must be as near as this."""


class Cell(NamedTuple):
    """What is to be counted.

    Attributes
    ----------
    key : str
        Digest of the other fields and of the sources that count.
    digest : str
        Of the trace.
    strategy : str
    page_size : int
        Bytes.
    mapping : {"linear", "scattered"}
    vcpus : int
    interval_ms : float
        Between two harvests, as asked for.
    seed : int
        Of the scattered mapping.
    """

    key: str
    digest: str
    strategy: str
    page_size: int
    mapping: str
    vcpus: int
    interval_ms: float
    seed: int


@cache
def counting_digest():
    """Return a digest of the sources of the machine, the trackers, the replay and the traces."""
    files = {path for name in COUNTING for path in _sources(PACKAGE / name)}
    files |= {PACKAGE.parent / f"{module_of(name).replace('.', '/')}.py" for name in TRACKERS}
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(files):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _sources(path):
    return path.rglob("*.py") if path.is_dir() else [path]


def cells_of(sweep, recording):
    """Return the cells of a recording, those of one trace in a row.

    One for each setting that can differ in its result.
    """
    found = {}
    for setting in sweep.settings():
        seed, interval = setting["seed"], setting["interval"]
        if recording.source.arguments:
            if seed != json.loads(recording.source.arguments)["seed"]:
                continue
        elif setting["mapping"] == "linear":  # nothing is drawn
            seed = 0
        fields = (
            recording.digest,
            setting["strategy"],
            setting["page_size"],
            setting["mapping"],
            setting["vcpus"],
            float(recording.epoch_ms if interval is None else interval),
            seed,
        )
        text = json.dumps([*fields, counting_digest()])
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        found[key] = Cell(key, *fields)
    return sorted(found.values(), key=_made_of)


def _made_of(cell):
    """Return what a cell's trace must be made for; then the rest, for a fixed order."""
    return cell.page_size, cell.interval_ms, cell


def failed_row(cell, reason):
    """Return the row of a cell that has no counts."""
    return {**cell._asdict(), "sources": counting_digest(), "reason": reason}


class Work(NamedTuple):
    """A recording and some of its cells."""

    recording: Recording
    cells: tuple[Cell, ...]


def count_all(batch, machine=""):
    """Count all cells of a batch, here; a cell that fails is a row with its reason.

    Parameters
    ----------
    batch : sequence of Work
    machine : str, optional
        The label of measured times; without it none are kept.

    Returns
    -------
    list of dict
    """
    rows = []
    for work in batch:
        trace, made = None, None
        for cell in work.cells:
            begin = time.perf_counter()
            try:
                if made != (cell.page_size, cell.interval_ms):
                    trace = None  # its memory first
                    trace = _trace_of(work.recording, cell)
                    made = (cell.page_size, cell.interval_ms)
                row = _count(cell, trace, machine)
            except MemoryError:
                row = failed_row(cell, "out of memory")
            except InputError as error:
                row = failed_row(cell, str(error))
            except Exception as error:  # a defect in one cell must not stop the others
                row = failed_row(cell, f"{type(error).__name__}: {error}")
            rows.append(row | {"seconds": time.perf_counter() - begin})
    return rows


def _trace_of(recording, cell):
    """Return the trace with the pages and the epochs that a cell wants."""
    times = round(cell.interval_ms / recording.epoch_ms)
    made_ms = times * recording.epoch_ms
    if abs(made_ms - cell.interval_ms) > INTERVAL_TOLERANCE * cell.interval_ms:
        raise InputError(
            f"an interval of {cell.interval_ms:g} ms is not made of epochs of "
            f"{recording.epoch_ms:g} ms"
        )
    if times > recording.epochs:
        raise InputError(
            f"the recording lasts {recording.epochs * recording.epoch_ms:g} ms, less than an "
            f"interval of {cell.interval_ms:g} ms"
        )
    trace = load(recording.source, recording.digest)
    return (trace.merged(times) if times > 1 else trace).coarsen(cell.page_size.bit_length() - 1)


def _count(cell, trace, machine):
    """Replay a trace, and return the row of a cell."""
    from strategies.replay.run import build, replay

    vm, slot = build(
        trace,
        vcpus=cell.vcpus,
        page_shift=cell.page_size.bit_length() - 1,
        mapping=cell.mapping,
        seed=cell.seed,
    )
    after = []
    result = replay(trace, cell.strategy, vm, slot, lambda _: after.append(vm.events()))
    row = {
        **failed_row(cell, _lost(result)),
        "epoch_ms": float(trace.epoch_ms),
        "slot_pages": trace.slot_pages,
        "epochs": trace.epochs,
        "stored": sum(result.stored),
        "state_bytes": result.state_bytes,
        **{f"event/{name}": count for name, count in result.events.items()},
        **_epoch_counts(result, after),
    }
    if cell.strategy != BASELINE:
        row |= {name: sum(getattr(result, name)) for name in ("reported", "lost", "spurious")}
    return row | (_measured(result.harvest_ns, machine) if machine else {})


def _lost(result):
    if result.first_lost is None:
        return ""
    epoch, gfn = result.first_lost
    return f"lost page: epoch {epoch}, gfn {gfn}"


def _epoch_counts(result, after):
    """Return the distinct combinations of counts of an epoch, and how many epochs have each."""
    begin = {name: after[-1][name] - result.events[name] for name in PER_EPOCH}
    totals = np.array([[one[name] for name in PER_EPOCH] for one in (begin, *after)])
    reported = result.reported or [0] * len(result.stored)
    counts = np.column_stack((result.stored, reported, np.diff(totals, axis=0)))
    distinct, times = np.unique(counts, axis=0, return_counts=True)
    columns = zip(("stored", "reported", *PER_EPOCH), distinct.T, strict=True)
    return {"epoch/times": times, **{f"epoch/{name}": column for name, column in columns}}


def _measured(harvest_ns, machine):
    from strategies.replay.output import percentile_99

    return {
        "machine": machine,
        "measured/harvest_ns_p50": float(np.median(harvest_ns)),
        "measured/harvest_ns_p99": float(percentile_99(harvest_ns)),
        "measured/harvest_ns_max": float(max(harvest_ns)),
    }


def warm(names):
    """Compile what trackers need, once: what is compiled is kept on disk for all processes."""
    from strategies.replay.run import build, replay
    from strategies.workloads.synthetic import synthesize

    trace = synthesize("uniform", slot_pages=64, density=0.1, epochs=2, reads=1)
    for name in names:
        vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
        replay(trace, name, vm, slot)
