"""Builds the text of a litmus test from instructions with named operands."""

import re
from dataclasses import dataclass, field

PLACES = {
    "page": ("X0", "x"),
    "pte": ("X1", "PTE(x)"),
    "mark": ("X2", "m"),
    "lock": ("X3", "l"),
    "other": ("X4", "y"),
    "other_pte": ("X5", "PTE(y)"),
    "spare": ("X6", "n"),
    "active": ("X7", "a"),
    "flag": ("X8", "f"),
    "section": ("X9", "s"),
    "view": ("X11", "z"),
    "other_view": ("X10", "w"),
}
"""Operands that are addresses: a page and its descriptor, a log's word, a lock ..."""

ALIASES = {"view": ("PTE(z)", "(oa:PA(x))"), "other_view": ("PTE(w)", "(oa:PA(y))")}
"""Descriptors of the host's own addresses of the pages, through which it copies."""

VALUES = {
    "one": ("W30", "1"),
    "clean": ("X12", "(oa:PA(x), db:0, dbm:1)"),
    "readonly": ("X13", "(oa:PA(x), db:0)"),
    "writable": ("X14", "(oa:PA(x))"),
    "invalid": ("X15", "(oa:PA(x), valid:0)"),
    "d_bit": ("X16", "128"),
    "x_bit": ("X17", "0x40000000000000"),
    "other_clean": ("X18", "(oa:PA(y), db:0, dbm:1)"),
    "other_invalid": ("X19", "(oa:PA(y), valid:0)"),
}
"""Operands that are values. AP[2], bit 7, is set when a page is read-only, or clean with DBM."""

RESULTS = {
    "took": "W20",
    "copy": "W21",
    "old": "X22",
    "got": "W23",
    "seen": "W24",
    "told": "W22",
    "other_copy": "W26",
    "other_old": "X27",
    "any": "W28",
    "vpn": "X29",
    "new": "X25",
    "failed": "W26",
    "failed_again": "W27",
}
"""Operands that a thread computes; 0 until then."""

OPERANDS = {name: register for name, (register, _) in (PLACES | VALUES).items()} | RESULTS
STARTS = dict((PLACES | VALUES).values())


@dataclass(frozen=True)
class Litmus:
    """A litmus test: what runs side by side, and the outcome that loses a page.

    Attributes
    ----------
    name : str
    tracker : str
        In the registry, whose order it is; "all" for what none does in its own way.
    what : str
        One sentence.
    threads : dict of str to tuple of str
        "P0", its fault handler "P0.F", "P1" ...: instructions, operands of OPERANDS in braces.
    start : dict of str to object
        Memory at the start, where it is not 0: "m", "PTE(x)" ...
    lost : str
        The outcome, `1:copy` being P1's operand `copy`; values and places as in OPERANDS.
    defect : str
        The defect of the explorer's catalogue that is this one; "": none.
    why : str
        Why the explorer finds otherwise or, without a defect, cannot say anything; "": they agree.
    """

    name: str
    tracker: str
    what: str
    threads: dict[str, tuple[str, ...]]
    lost: str
    start: dict[str, object] = field(default_factory=dict)
    defect: str = ""
    why: str = ""

    @property
    def is_right(self):
        """Whether this is a tracker's own order, which must lose nothing."""
        return not self.defect and not self.why


def steps(*pieces):
    """Return the instructions of pieces, each one instruction or several pieces, in turn."""
    lines = ((piece,) if isinstance(piece, str) else steps(*piece) for piece in pieces)
    return tuple(line for part in lines for line in part)


def _instruction(line, number):
    """Return an instruction of a thread; labels are the thread's own."""
    return re.sub(r"\bL(\d)\b", rf"L{number}\1", line.format(**OPERANDS))


def _columns(threads):
    """Yield the rows of the table of instructions."""
    names = sorted(threads)
    cells = [[name, *(_instruction(line, name[1]) for line in threads[name])] for name in names]
    for column in cells:
        column += [""] * (max(map(len, cells)) - len(column))
    widths = [max(map(len, column)) for column in cells]
    for row in zip(*cells, strict=True):
        yield " " + " | ".join(map(str.ljust, row, widths)) + " ;"


def _registers(threads):
    """Yield what the registers hold at the start, thread by thread."""
    for number in sorted({name[1] for name in threads}):
        lines = [line for name in threads if name[1] == number for line in threads[name]]
        used = set(re.findall(r"{(\w+)}", " ".join(lines)))
        held = [register for name, (register, _) in (PLACES | VALUES).items() if name in used]
        if held:
            pairs = (f"{number}:X{register[1:]}={STARTS[register]};" for register in held)
            yield " " + " ".join(pairs)


def outcome(test):
    """Return the outcome that loses a page as herd7 reads it."""

    def register(match):
        number, name = match.groups()
        return f"{number}:X{OPERANDS[name][1:]}"

    text = re.sub(r"\b(\d):(\w+)", register, test.lost)
    return text.format(**{name: value for name, (_, value) in (PLACES | VALUES).items()})


def litmus(test):
    """Return the text of a test, as herd7 reads it."""
    code = " ".join(line for lines in test.threads.values() for line in lines)
    memory = dict(alias for name, alias in ALIASES.items() if f"{{{name}}}" in code) | test.start
    lines = [f"AArch64 {test.name}", f'"{test.what}"']
    if any(place.startswith("PTE") for place in memory):
        lines += ["Variant=vmsa"]
    if any("dbm" in str(value) for value in memory.values()) or "{clean}" in code:
        lines += ["TTHM=HD"]
    lines += ["{", *(f" [{place}]={value};" for place, value in memory.items())]
    lines += [*_registers(test.threads), "}", *_columns(test.threads)]
    return "\n".join([*lines, f"exists ({outcome(test)})", ""])
