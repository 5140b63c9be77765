"""The trackers, in the order in which they are shown. To add one: its file, and a line here."""

from difflib import get_close_matches
from importlib import import_module
from inspect import getfile
from typing import NamedTuple

from strategies import outside
from strategies.errors import InputError
from strategies.parameter import Parameter

FAMILIES = {
    "scan": "reads the changed bits that the hardware sets",
    "fault": "takes a fault at the first write to a page",
    "log": "reads a log that the hardware or the kernel appends to",
    "mixed": "chooses among these, page by page",
    "history": "of the thread's time, in Book3S PR; shown, never among the choices",
    "baseline": "tracks nothing",
    "outside": "from outside: a file, or an installed package",
}


class Tracker(NamedTuple):
    """A line of the registry.

    Attributes
    ----------
    family : str
        One of FAMILIES.
    year : int or None
        In which it was posted, named or merged.
    place : str
        Where.
    target : str
        Module below `strategies`, colon, class; what names it where it is from outside.
    parameter : Parameter or None
        The number that may follow the name and a colon; the class has it as `value`.
    """

    family: str
    year: int | None
    place: str
    target: str
    parameter: Parameter | None = None


TRACKERS = {
    "c_bit_scan": Tracker(
        "scan", 2011, "POWER Book3S HV, HPT guests: the posted patch", "scan.c_bit_scan:CBitScan"
    ),
    "c_bit_scan_batched": Tracker(
        "scan", 2020, "arm64: series, not merged", "scan.c_bit_scan_batched:CBitScanBatched"
    ),
    "c_bit_scan_pipelined": Tracker(
        "scan",
        2026,
        "POWER Book3S HV, HPT guests: a proposal of this project",
        "scan.c_bit_scan_pipelined:CBitScanPipelined",
    ),
    "hpt_sweep": Tracker(
        "scan",
        2026,
        "POWER Book3S HV, HPT guests: a proposal of this project",
        "scan.hpt_sweep:HptSweep",
        Parameter("hptes_per_page", "HPTEs for each page up to which it sweeps", 8, 0, 1 << 20),
    ),
    "write_protect": Tracker(
        "fault", 2011, "the alternative that the thread names", "fault.write_protect:WriteProtect"
    ),
    "write_protect_batched": Tracker(
        "fault", 2012, "x86 since v3.5, arm64", "fault.write_protect_batched:WriteProtectBatched"
    ),
    "double_buffer": Tracker(
        "fault", 2011, "x86 until v3.4", "fault.double_buffer:DoubleBuffer"
    ),
    "write_protect_summary": Tracker(
        "fault",
        2026,
        "a proposal of this project, for very large slots",
        "fault.write_protect_summary:WriteProtectSummary",
    ),
    "dirty_ring": Tracker(
        "log",
        2020,
        "x86 since v5.11, arm64 since v6.2",
        "log.dirty_ring:DirtyRing",
        Parameter("ring_entries", "entries of each vCPU's ring", 4096, 66, 1 << 16),
    ),
    "pml": Tracker(
        "log",
        2015,
        "x86 since v4.0, on Intel",
        "log.pml:Pml",
        Parameter("pml_entries", "entries of each vCPU's buffer", 512, 1, 1 << 16),
    ),
    "manual_protect": Tracker(
        "log",
        2018,
        "x86 and arm64 since v5.2: what QEMU uses",
        "log.manual_protect:ManualProtect",
        Parameter("clear_pages", "pages of a clear, whole words", 1 << 18, 64, 1 << 30, True),
    ),
    "dbm_hybrid": Tracker(
        "mixed",
        2023,
        "arm64: RFC series, not merged",
        "mixed.dbm_hybrid:DbmHybrid",
        Parameter("group_pages", "pages that one fault opens", 64, 1, 1 << 30),
    ),
    "adaptive": Tracker(
        "mixed",
        2026,
        "a proposal of this project, for any platform",
        "mixed.adaptive:Adaptive",
        Parameter("group_pages", "pages of a group", 256, 64, 4096, True),
    ),
    "pte_flush": Tracker(
        "history", 2011, "POWER Book3S PR, then and now", "history.pte_flush:PteFlush"
    ),
    "null": Tracker("baseline", 2011, "the time that tracking is compared with", "null:Null"),
}  # fmt: skip

BASELINE = "null"
"""Tracks nothing: what every time is compared with. It is never ranked."""


CHOOSES_BY_COST = ("adaptive",)
"""By the unit costs of one platform: what it did says nothing of what it does on another."""

JUDGED_TOO = ("hpt_sweep:1048576",)
"""Held to the contract, stormed and explored beside the defaults: small slots hide another path."""


def names():
    """Return the names of all trackers."""
    return tuple(TRACKERS)


def judged():
    """Return what is held to the promises: all trackers that log, some with several parameters."""
    return (*(name for name in names() if name != BASELINE), *JUDGED_TOO)


def choices():
    """Return the trackers that one may deploy: all but the baseline and those of the past."""
    return tuple(
        name for name, entry in TRACKERS.items() if entry.family not in ("history", "baseline")
    )


def module_of(name):
    """Return the module of a tracker of the table, as it is imported."""
    return f"strategies.{TRACKERS[name].target.partition(':')[0]}"


def line_of(name):
    """Return the line of a tracker, which one from outside makes of its class.

    Raises
    ------
    InputError
        There is none of that name, or it cannot be imported.
    """
    if name in TRACKERS:
        return TRACKERS[name]
    if not outside.is_file(name) and name not in outside.installed():
        close = "".join(f" (nearest: {one})" for one in get_close_matches(name, TRACKERS, n=1))
        accepted = ", ".join((*TRACKERS, *outside.installed()))
        raise InputError(
            f"unknown strategy {name!r}{close}: accepted are {accepted}, FILE.py:CLASS"
        )
    place = "a file" if outside.is_file(name) else outside.installed()[name].dist.name
    return Tracker("outside", None, place, name, outside.load(name).parameter)


def split(strategy):
    """Return the name of a tracker and the value of its parameter.

    Parameters
    ----------
    strategy : str
        A name, or a name, a colon and the parameter: `write_protect`, `dirty_ring:4096`,
        `fast.py:Fast:64`.

    Returns
    -------
    tuple of (str, int or None)
        The default where no value is given, None where the tracker has no parameter.

    Raises
    ------
    InputError
        As by `line_of`; or it has no parameter, or does not accept the value.
    """
    name, text = outside.parted(strategy)
    parameter = line_of(name).parameter
    if parameter is None:
        if text is not None:
            raise InputError(f"{name} has no parameter: accepted is {name}, not {strategy!r}")
        return name, None
    try:
        return name, parameter.default if text is None else parameter.parse(text)
    except InputError as error:
        raise InputError(f"strategy {strategy!r}: {error}") from error


def base_of(strategy):
    """Return the name of a tracker without its parameter."""
    return outside.parted(strategy)[0]


def get(strategy):
    """Return the class of a tracker, with its parameter as `split` tells it.

    Raises
    ------
    InputError
        As by `split`.
    """
    name, value = split(strategy)
    kind = _class_of(name)
    if name in TRACKERS and value is None:
        return kind
    own = {"name": strategy, "value": value, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), own)


def file_of(strategy):
    """Return the file that the class of a tracker is in."""
    return getfile(_class_of(base_of(strategy)))


def _class_of(name):
    if name not in TRACKERS:
        return outside.load(name)
    return getattr(import_module(module_of(name)), TRACKERS[name].target.partition(":")[2])
