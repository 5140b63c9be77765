"""What the kernel's own `dirty_log_perf_test` printed, as constants of a profile.

The test writes all pages of its memory (unless -w was given) in each iteration, then gets the log.
"""

import re
from pathlib import Path

import numpy as np

from analysis.model.calibrate import Measured
from strategies.errors import InputError

PAGE_BYTES = 4096
MOST_BYTES = 1 << 20
_MEMORY = re.compile(r"guest physical test memory: \[0x([0-9a-f]{1,15}), 0x([0-9a-f]{1,15})\)")
_PHASES = {
    "enable": re.compile(r"Enabling dirty logging time: (\S+)"),
    "dirty": re.compile(r"Iteration \d+ dirty memory time: (\S+)"),
    "get": re.compile(r"Iteration \d+ get dirty log time: (\S+)"),
    "clear": re.compile(r"Iteration \d+ clear dirty log time: (\S+)"),
}
_SECONDS = re.compile(r"([0-9]{1,9}\.[0-9]{1,9})s")


def read_perf_test(path):
    """Return the phases' seconds (a dict of lists), and the bytes of memory or None.

    Raises
    ------
    InputError
        The file cannot be read, a time is malformed (with its line), or there is no phase.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            lines = file.read(MOST_BYTES).splitlines()
    except OSError as error:
        raise InputError(f"{str(path)!r}: {error.strerror}") from error
    phases, nbytes = {name: [] for name in _PHASES}, None
    for number, line in enumerate(lines, 1):
        if memory := _MEMORY.search(line):
            nbytes = int(memory[2], 16) - int(memory[1], 16)
            if nbytes <= 0:
                raise InputError(f"{str(path)!r}, line {number}: memory that ends before it begins")
        for name, pattern in _PHASES.items():
            if found := pattern.match(line.strip()):
                phases[name].append(_seconds(found[1], path, number))
    if not phases["get"]:
        raise InputError(
            f"{str(path)!r} has no 'Iteration 1 get dirty log time'; accepted: the output of "
            "dirty_log_perf_test"
        )
    return phases, nbytes


def constants(phases, pages, vcpus):
    """Return the constants that the phases tell, by name (a dict of Measured).

    `page_rearm` is the time of the clear, or of the get where nothing is cleared apart, per page,
    the bitmap's part in it; `fault` is the time of a vCPU per page, the exit and the store in it.
    """
    found = {"page_rearm": _spread(phases["clear"] or phases["get"], pages)}
    if phases["clear"]:
        found["word_read"] = _spread(phases["get"], pages / 64)
    if phases["enable"]:
        found["page_protect"] = _spread(phases["enable"], pages)
    if phases["dirty"]:
        found["fault"] = _spread(phases["dirty"], pages / vcpus)
    return found


def _spread(seconds, count):
    ns = np.array(seconds) * 1e9 / count
    return Measured(float(np.median(ns)), float(ns.min()), float(ns.max()))


def _seconds(text, path, number):
    match = _SECONDS.fullmatch(text)
    if not match:
        raise InputError(f"{str(path)!r}, line {number}: {text[:24]!r} is no time as in 0.001s")
    return float(match[1])
