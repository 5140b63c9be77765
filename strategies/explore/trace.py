"""A schedule for people: a string that replays it, and a trace of what each step did.

The string names the threads in turn, each with its steps until the next takes over, or * for all
that it can do until it ends or waits: "A12 B30 A*". A small letter is a thread's store buffer.
"""

import re
import sys
from itertools import groupby
from pathlib import Path

from strategies.core import atomics, tlb
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_R,
    HPTE_V_ABSENT,
    HPTE_V_HVLOCK,
    HPTE_V_VALID,
    hpte_is_writable,
)
from strategies.core.locks import RMAP_LOCK
from strategies.core.machine import (
    SLOT_ACTIVE,
    SLOT_BASE_GFN,
    SLOT_BITMAP,
    SLOT_BITMAP_WORDS,
    SLOT_DIRTY,
    SLOT_LARGE,
    SLOT_LOG_MODE,
    SLOT_NPAGES,
    SLOT_WORDS,
    TLB_OWED_C,
    TLB_TAG,
    TLB_WORDS,
    VCPU_ACCESS,
    VCPU_HANDLER,
    VCPU_RUNNING,
    VCPU_TLB_GENERATION,
    VCPU_WORDS,
)
from strategies.core.memslot import SLOT_COUNT
from strategies.core.rmap import RMAP_CHANGED, RMAP_INDEX, RMAP_PRESENT, RMAP_REFERENCED
from strategies.errors import InputError
from strategies.plural import plural

TOKEN = re.compile(r"([A-Za-z])(\d+|\*)")
ALL = -1
"""Steps of a thread that goes on until it ends or waits."""

SLOT_FIELDS = {
    SLOT_BASE_GFN: "base gfn",
    SLOT_NPAGES: "npages",
    SLOT_LOG_MODE: "log mode",
    SLOT_BITMAP: "bitmap",
    SLOT_BITMAP_WORDS: "bitmap words",
    SLOT_LARGE: "large",
    SLOT_ACTIVE: "active half",
    SLOT_DIRTY: "dirty count 0",
    SLOT_DIRTY + 1: "dirty count 1",
}
VCPU_FIELDS = {
    VCPU_ACCESS: "access",
    VCPU_HANDLER: "handler",
    VCPU_TLB_GENERATION: "TLB generation",
    VCPU_RUNNING: "running",
}
TLB_FIELDS = {TLB_TAG: "tag", TLB_OWED_C: "owed C"}
HOST_LOCKS = ("slots_lock", "lock of host stores")
HPTE_V_BITS = ((HPTE_V_VALID, "VALID"), (HPTE_V_ABSENT, "ABSENT"), (HPTE_V_HVLOCK, "HVLOCK"))
HPTE_R_BITS = ((HPTE_R_R, "R"), (HPTE_R_C, "C"))
RMAP_BITS = (
    (RMAP_LOCK, "LOCK"),
    (RMAP_REFERENCED, "REFERENCED"),
    (RMAP_CHANGED, "CHANGED"),
    (RMAP_PRESENT, "PRESENT"),
)

MACHINERY = {
    atomics.__file__,
    *(str(Path(__file__).with_name(name)) for name in ("scheduler.py", "translations.py")),
    __file__,
}
"""Files whose functions a trace does not name."""


def schedule_string(steps):
    """Return the string that replays a schedule, given the thread of each of its steps.

    Of none, where the program fails before the first, it is the first thread's.
    """
    runs = [(chr(ord("A") + number), len(list(group))) for number, group in groupby(steps or (0,))]
    return " ".join(
        f"{letter}{length if k + 1 < len(runs) else '*'}" for k, (letter, length) in enumerate(runs)
    )


def _steps(schedule):
    return plural(len(schedule.steps), "step")


class Replay:
    """The policy that replays a schedule.

    Parameters
    ----------
    text : str
        As `schedule_string` returns it.

    Raises
    ------
    InputError
        It is not such a string; or, in a run, it does not fit the program.
    """

    def __init__(self, text):
        matches = [TOKEN.fullmatch(token) for token in text.split()]
        if not matches or None in matches:
            raise InputError(f"schedule {text!r}: accepted is one like 'A12 B30 A*'")
        self._text = text
        self._runs = [(ord(m[1]) - ord("A"), ALL if m[2] == "*" else int(m[2])) for m in matches]

    def observe(self, schedule, thread):
        """See a step."""

    def choose(self, schedule):
        """Return the thread whose turn it is."""
        while self._runs:
            number, left = self._runs[0]
            if number not in schedule.threads:
                letters = ", ".join(thread.letter for thread in schedule.threads.values())
                raise self._misfit(f"its threads are {letters}")
            thread = schedule.threads[number]
            if left and thread.is_runnable:
                self._runs[0] = number, max(left - 1, ALL)
                return thread
            if left > 0 or (left == ALL and schedule.current is not thread):
                why = "has ended" if thread.finished else "waits"
                raise self._misfit(f"after {_steps(schedule)} {thread.letter} {why}")
            self._runs.pop(0)
        if schedule.runnable:
            raise self._misfit(f"after its {_steps(schedule)} threads can still go on")
        return None

    def check_end(self):
        """Raise InputError if the program failed before the schedule was at its end."""
        if len(self._runs) > 1 or (self._runs and self._runs[0][1] > 0):
            raise self._misfit("it fails before")

    def _misfit(self, why):
        return InputError(f"schedule {self._text!r} does not fit the program: {why}")


class Tracer(Replay):
    """A replay that writes down what each step does.

    Attributes
    ----------
    lines : list of str
    """

    def __init__(self, text, machine):
        super().__init__(text)
        self._machine = machine
        self._last = None
        self._header = None
        self.lines = []

    def observe(self, schedule, thread):
        """See a step that is about to be made; the one before has been made."""
        self._write_last()
        header = f"{thread.letter}: {thread.action}"
        if header != self._header:
            self.lines.append(header)
            self._header = header
        words, index = thread.words, thread.index
        old = None if words is None else int(words[index])
        where = len(schedule.steps) + 1, thread.letter, _functions()
        self._last = where, thread.operation, words, index, old

    def choose(self, schedule):
        """Return the thread whose turn it is; at the end, write down the last step."""
        chosen = super().choose(schedule)
        if chosen is None:
            self._write_last()
        return chosen

    def check_end(self):
        """Raise InputError as a replay does; write down the step at which the program failed."""
        super().check_end()
        self._write_last()

    def _write_last(self):
        if self._last is None:
            return
        (step, letter, functions), operation, words, index, old = self._last
        if words is None:
            what = "waits no longer"
        else:
            name, show = _describe(self._machine, words, int(index))
            new = int(words[index])
            value = show(old) if new == old else f"{show(old)} -> {show(new)}"
            what = f"{operation.replace('_', ' ')} {name}: {value}"
        self.lines.append(f"{step:5} {letter}  {functions:44} {what}")
        self._last = None


def _functions():
    """Return the function that makes the operation, and its caller."""
    names = []
    frame = sys._getframe()
    while frame is not None and len(names) < 2:
        if frame.f_code.co_filename not in MACHINERY:
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return " > ".join(reversed(names))


def _describe(machine, words, index):
    """Return what a word is called, and a function that shows its value."""
    name, half = words.name, index % 2
    if name == "hpt":
        return f"HPTE {index // 2} dword {half}", _show_hpte_r if half else _show_hpte_v
    if name == "rev":
        return f"revmap {index // 2} {('guest_rpte', 'forw, back')[half]}", hex
    if name == "rmap":
        return f"rmap {index}", _show_rmap
    if name == "slots":
        field = index % SLOT_WORDS
        return "slots" if index == SLOT_COUNT else f"slot {SLOT_FIELDS.get(field, field)}", hex
    if name == "vcpus":
        row, field = divmod(index, VCPU_WORDS)
        who = "host" if row == machine.nvcpus else f"vCPU {row}"
        return f"{who} {VCPU_FIELDS.get(field, field)}", hex
    if name == "tlb":
        entry, field = divmod(index, TLB_WORDS)
        vcpu, entry = divmod(entry, tlb.TLB_ENTRIES)
        return f"TLB {vcpu} entry {entry} {TLB_FIELDS.get(field, field)}", hex
    if name == "host_locks":
        return HOST_LOCKS[index], hex
    return f"{name} {index}", hex


def _bits(value, bits):
    return [name for bit, name in bits if value & int(bit)]


def _show_hpte_v(value):
    return " ".join(_bits(value, HPTE_V_BITS)) or "free"


def _show_hpte_r(value):
    return " ".join([*_bits(value, HPTE_R_BITS), "rw" if hpte_is_writable(value) else "ro"])


def _show_rmap(value):
    head = [f"head {value & int(RMAP_INDEX)}"] if value & int(RMAP_PRESENT) else []
    return " ".join([*_bits(value, RMAP_BITS), *head]) or "empty"
