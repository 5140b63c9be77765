"""The trackers, in the order in which they are shown. To add one: its file, and a line here."""

from importlib import import_module
from typing import NamedTuple

from strategies.errors import InputError

FAMILIES = {
    "scan": "reads the changed bits that the hardware sets",
    "fault": "takes a fault at the first write to a page",
    "log": "reads a log that the hardware or the kernel appends to",
    "mixed": "chooses among these, page by page",
    "history": "no kernel has it any more; shown, never among the choices",
    "baseline": "tracks nothing",
}


class Tracker(NamedTuple):
    """A line of the registry.

    Attributes
    ----------
    family : str
        One of FAMILIES.
    year : int
        In which it was posted, named or merged.
    place : str
        Where.
    target : str
        Module below `strategies`, colon, class.
    """

    family: str
    year: int
    place: str
    target: str


TRACKERS = {
    "c_bit_scan": Tracker(
        "scan", 2011, "POWER Book3S HV, HPT guests: the posted patch", "scan.c_bit_scan:CBitScan"
    ),
    "write_protect": Tracker(
        "fault", 2011, "the alternative that the thread names", "fault.write_protect:WriteProtect"
    ),
    "write_protect_batched": Tracker(
        "fault", 2012, "x86 since v3.5, arm64", "fault.write_protect_batched:WriteProtectBatched"
    ),
    "double_buffer": Tracker(
        "fault", 2011, "x86 in v3.3 and v3.4", "fault.double_buffer:DoubleBuffer"
    ),
    "dirty_ring": Tracker(
        "log", 2020, "x86 since v5.11, arm64 since v6.2", "log.dirty_ring:DirtyRing"
    ),
    "pte_flush": Tracker(
        "history", 2011, "POWER Book3S PR up to the patch", "history.pte_flush:PteFlush"
    ),
    "null": Tracker("baseline", 2011, "the time that tracking is compared with", "null:Null"),
}  # fmt: skip

BASELINE = "null"
"""Tracks nothing: what every time is compared with. It is never ranked."""


def names():
    """Return the names of all trackers."""
    return tuple(TRACKERS)


def choices():
    """Return the trackers that one may deploy: all but the baseline and those of the past."""
    return tuple(
        name for name, entry in TRACKERS.items() if entry.family not in ("history", "baseline")
    )


def module_of(name):
    """Return the module of a tracker, as it is imported."""
    return f"strategies.{TRACKERS[name].target.partition(':')[0]}"


def get(name):
    """Return the class of a tracker.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in TRACKERS:
        raise InputError(f"unknown strategy {name!r}: accepted are {', '.join(TRACKERS)}")
    return getattr(import_module(module_of(name)), TRACKERS[name].target.partition(":")[2])
