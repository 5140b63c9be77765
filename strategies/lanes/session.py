"""Which lanes are there, and a replay through them: each in a process of its own."""

import platform
from functools import partial

from strategies.core.memory import available_bytes
from strategies.errors import InputError
from strategies.lanes.child import in_child
from strategies.lanes.errors import LaneError, Unavailable
from strategies.lanes.exactness import check_lane, is_exact
from strategies.lanes.kvm import KvmLane, backend
from strategies.lanes.registry import LANES, get
from strategies.lanes.run import replay_each
from strategies.lanes.speed import NO_PATIENCE
from strategies.lanes.words import PAGE_BYTES

BYTES_A_PAGE = PAGE_BYTES + 64
"""A page of a slot, what a lane and its judge keep of it, and the kernel's page tables."""
SPARE_BYTES = 256 << 20
"""The process itself, its compiled code, and a huge page of alignment."""


def probe_all(say, names):
    """Say for each lane its name and why it cannot run here, or None."""
    for name in names:
        say((name, get(name).probe()))


def reasons(names=tuple(LANES)):
    """Return by name why each lane cannot run on this machine, or None if it can.

    A self test that hangs or dies is the reason of its lane; the rest are tried all the same.
    """
    found = {}
    while len(found) < len(names):
        missing = [name for name in names if name not in found]
        try:
            in_child(probe_all, missing, hear=lambda said: found.update([said]))
        except LaneError as error:
            broken = next(name for name in names if name not in found)
            found[broken] = _last_line(error)
    return found


def table():
    """Return a row per lane (a dict): whether it is available, or why not, and where."""
    kernel = platform.release()
    found = reasons()
    return [
        {
            "lane": name,
            "available": found[name] is None,
            "reason": found[name],
            "kernel": kernel,
            "backend": backend() if issubclass(get(name), KvmLane) else None,
            "needs": get(name).needs,
        }
        for name in LANES
    ]


def check_all(rows, writes):
    """Add to the row of each lane that is available and reports what `check_lane` counted.

    Returns
    -------
    bool
        Whether all were exact. A lane that hung or failed has `error` in place of `check`.
    """
    exact = True
    for row in rows:
        name = row["lane"]
        if not row["available"] or not get(name).reports:
            continue
        try:
            row["check"] = in_child(check_lane, name, writes)
            exact &= is_exact(row["check"])
        except (LaneError, Unavailable) as error:
            row["error"] = _last_line(error)
            exact = False
    return exact


def choose(wanted):
    """Return the lanes that `--lane` means and that run here, and by name why others do not.

    Raises
    ------
    InputError
        A lane that was named is unknown or not available.
    """
    for name in wanted:
        if name != "all":
            get(name)
    names = tuple(LANES) if "all" in wanted else tuple(dict.fromkeys(wanted))
    found = reasons(names)
    missing = {name: reason for name, reason in found.items() if reason}
    for name in wanted:
        if name in missing:
            raise InputError(f"lane {name} is not available: {missing[name]}")
    return tuple(name for name in names if name not in missing), missing


def check_slot(trace):
    """Raise InputError unless lanes can hold a trace's slot in memory that is free."""
    if trace.page_size != PAGE_BYTES:
        raise InputError(f"lanes have pages of 4096 bytes, not {trace.page_size}")
    needed = trace.slot_pages * BYTES_A_PAGE + SPARE_BYTES
    free = available_bytes()
    if free is not None and needed > free:
        raise InputError(
            f"a lane holds its slot in real memory: {needed >> 20:,} MiB are needed, "
            f"{free >> 20:,} MiB are free"
        )


def replay_lanes(trace, names, *, thp, bar):
    """Return the LaneReplay of each lane, showing progress on a bar.

    Raises
    ------
    InputError
        A lane hung or failed; there is no result of it.
    """
    return [replay_traces([trace], name, thp=thp, bar=bar)[0] for name in names]


def replay_traces(traces, name, *, thp, bar, patience=NO_PATIENCE):
    """Return the LaneReplay of each trace by one lane, all in one process; see `replay_lanes`."""
    epochs = sum(trace.epochs for trace in traces)
    task = bar.add_task(f"{traces[0].name}: {name}, a real kernel", total=epochs)
    try:
        hear = partial(bar.advance, task)
        results = in_child(replay_each, traces, name, thp, patience, hear=hear)
    except (LaneError, Unavailable) as error:
        raise InputError(f"lane {name}: {_last_line(error)}") from error
    bar.remove_task(task)
    return results


def _last_line(error):
    return str(error).strip().splitlines()[-1]
