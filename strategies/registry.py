"""The trackers, in the order in which they are shown. To add one: its file, and a line here."""

from importlib import import_module

from strategies.errors import InputError

TRACKERS = {
    "c_bit_scan": "CBitScan",
    "write_protect": "WriteProtect",
    "write_protect_batched": "WriteProtectBatched",
    "double_buffer": "DoubleBuffer",
    "pte_flush": "PteFlush",
    "null": "Null",
}

BASELINE = "null"
"""Tracks nothing: what every time is compared with. It is never ranked."""


def names():
    """Return the names of all trackers; each is also the module `strategies.<name>`."""
    return tuple(TRACKERS)


def get(name):
    """Return the class of a tracker.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in TRACKERS:
        raise InputError(f"unknown strategy {name!r}: accepted are {', '.join(TRACKERS)}")
    return getattr(import_module(f"strategies.{name}"), TRACKERS[name])
