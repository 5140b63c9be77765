"""Judges the machine by QEMU: what is compared, what is not and why, the shortest difference."""

from collections import Counter
from typing import NamedTuple

import commands as c
import harvests
import numpy as np
import on_core
import on_qemu

from strategies import registry
from strategies.contract.bench import reports_reads
from strategies.core.hpte import HPTE_V_VALID
from strategies.core.papr import (
    H_ANDCOND,
    H_AVPN,
    H_EXACT,
    H_NOT_FOUND,
    H_PARAMETER,
    H_PTEG_FULL,
    H_READ_4,
    H_SUCCESS,
)

MASKED = {
    "bit 0x40 of dword 0": "QEMU marks a changed HPTE in it and shows it; it is reserved to the "
    "hypervisor, and ours keeps its lock there",
    "dword 1 of an HPTE that is not valid": "means nothing; QEMU clears it, ours and KVM leave it",
    "R and C in an answer of H_BULK_REMOVE": "PAPR: bits 4 and 5 of the first byte; QEMU puts them "
    "into bits 12 and 13 and is read there",
    "a request of H_BULK_REMOVE of type 0 or 2": "PAPR: return H_PARAMETER; KVM and ours mark the "
    "request, too",
}
"""Differences that are taken out before results are compared, and why."""

NOT_GENERATED = {
    "H_ENTER with V = 0": "QEMU then enters an invalid HPTE, KVM and ours a valid one",
    "H_ENTER of I/O memory": "the machine has none (WIMG 01*0 beyond RAM)",
    "WIMG 1110": "strong access order is optional in PAPR; QEMU lacks it",
    "16 GiB pages, and mixed sizes in one segment": "the machine has 4 KiB, 64 KiB and 16 MiB",
    "256 MiB segments, user state, Ks = 1, AMR": "the machine has 1 TiB segments and a supervisor",
    "accesses to pages with reserved PP": "the architecture leaves them open",
    "H_ANDCOND with bit 0x40": "QEMU's mark would meet it",
    "TLB after H_ENTER": "flushed: which of two HPTEs for one address a TLB has is open",
    "H_CLEAR_REF, H_CLEAR_MOD": "QEMU lacks them: test_clear.py holds them to PAPR's text",
    "two valid HPTEs for one address, under pte_flush": "a search passes the absent one and finds "
    "the other; the architecture leaves two open",
    "logs of C that the hardware keeps back": "QEMU sets C at once, and a guest would see the two "
    "differ",
}
"""What commands leave out, since both sides may be right, and why."""

CODES = {
    H_SUCCESS: "H_SUCCESS",
    H_PARAMETER: "H_PARAMETER",
    H_PTEG_FULL: "H_PTEG_FULL",
    H_NOT_FOUND: "H_NOT_FOUND",
}

BOTH_DWORDS = range(1, c.WORDS, 2)
"""Columns of the first word of each pair in r4 to r11."""

SOFTWARE = np.uint64(0x40)


class Comparison(NamedTuple):
    """What both sides made of a sequence of commands.

    Attributes
    ----------
    commands : uint64[n, 9]
    ours, theirs : uint64[n, 9]
        r3 to r11 after each command, without what is masked.
    rows : int[]
        The commands whose results differ, in order.
    hptes : list of (index, our dwords, their dwords)
        What differs in the HPT at the end, R and C included.
    logs : list of (command, str)
        What is wrong with the log of a harvest.
    judged : Counter
        How many logs were judged and what they had.
    """

    commands: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray
    rows: np.ndarray
    hptes: list
    logs: list
    judged: Counter

    @property
    def differs(self):
        """Whether anything does."""
        return bool(len(self.rows) or self.hptes or self.logs)


def without_open(v, r):
    """Return both dwords of HPTEs without what neither side defines."""
    v = v & ~SOFTWARE
    return v, np.where(v & HPTE_V_VALID, r, np.uint64(0))


def _mask_results(commands, results):
    """Take what is in MASKED out of the results of either side, in place."""
    succeeded = results[:, 0] == H_SUCCESS
    removed = succeeded & (commands[:, 0] == c.REMOVE)
    results[removed, 1] &= ~SOFTWARE
    for column in BOTH_DWORDS:
        shown = succeeded & (commands[:, 0] == c.READ)
        if column > 1:
            shown &= commands[:, 1] & H_READ_4 != 0
        v, r = without_open(results[shown, column], results[shown, column + 1])
        results[shown, column], results[shown, column + 1] = v, r


def _read_bulk_answers_of_qemu(command, result):
    """Put the answers of one H_BULK_REMOVE where PAPR and KVM have them, in place."""
    for column in BOTH_DWORDS:
        request, answer = int(command[column]), int(result[column])
        if request >> 62 == 3:
            return
        if request >> 62 != 1:
            kind = request >> 56 & 3
            result[column] = (0xA0 | kind) << 56 | request & (1 << 56) - 1
            return
        if answer >> 60 == 0xA:
            return
        if answer >> 60 == 0x8:
            result[column] = answer & ~(3 << 50) | (answer >> 50 & 3) << 58


def _judge_logs(vm, commands, theirs, logs, reports_reads):
    """Return what is wrong with logs, as (command, str), and counts of what was judged."""
    judge, wrong = harvests.Judge(vm), []
    for row, (command, result) in enumerate(zip(commands, theirs, strict=True)):
        if command[0] == c.TOGGLE:
            judge.start()
        elif row in logs:
            wrong += [(row, text) for text in judge.harvest(logs[row], reports_reads)]
        else:
            judge.follow(command, result)
    counts = {"logs": len(logs), "stores seen by C": judge.required, "pages": judge.reported}
    return wrong, Counter(counts)


def compare(commands, page_shift, strategy=None):
    """Run commands on both sides and return a Comparison.

    Parameters
    ----------
    commands : uint64[n, 9]
    page_shift : {12, 16}
        log2 of the bytes of our machine's base pages.
    strategy : str, optional
        The tracker that logs on our side.
    """
    vm = on_core.new_vm(page_shift)
    tracker = registry.get(strategy)(vm) if strategy else None
    ours, our_hpt, logs = on_core.run(vm, commands, tracker)
    (theirs,), their_hpt = _run_qemu(commands)
    wrong, judged = _judge_logs(vm, commands, theirs, logs, strategy and reports_reads(strategy))
    rows = _differing_rows(commands, ours, theirs)
    hptes = _differing_hptes(our_hpt, their_hpt)
    return Comparison(commands, ours, theirs, rows, hptes, wrong, judged)


def compare_apart(lists, page_shift):
    """Run lists of two vCPUs that share nothing, at once, on both sides.

    Returns
    -------
    theirs : list of uint64[n, 9]
        What QEMU answered.
    rows : list of int[]
        The commands of each list whose results differ.
    hptes : list
        As of Comparison.
    """
    ours, our_hpt = on_core.run_apart(on_core.new_vm(page_shift, vcpus=len(lists)), lists)
    theirs, their_hpt = _run_qemu(*lists)
    rows = [_differing_rows(*each) for each in zip(lists, ours, theirs, strict=True)]
    return theirs, rows, _differing_hptes(our_hpt, their_hpt)


def _run_qemu(*lists):
    """Run lists in QEMU; return as `on_qemu.run`, answers of H_BULK_REMOVE where PAPR has them."""
    results, hpt = on_qemu.run(*lists)
    for commands, theirs in zip(lists, results, strict=True):
        for row in np.flatnonzero(commands[:, 0] == c.BULK_REMOVE):
            _read_bulk_answers_of_qemu(commands[row], theirs[row])
    return results, hpt


def _differing_rows(commands, ours, theirs):
    """Take out of results, in place, what is in MASKED; return the rows that differ."""
    _mask_results(commands, ours)
    _mask_results(commands, theirs)
    return np.flatnonzero((ours != theirs).any(axis=1))


def _differing_hptes(our_hpt, their_hpt):
    """Return (index, our dwords, their dwords) of each HPTE that differs."""
    our_hpt = np.column_stack(without_open(*our_hpt.T))
    their_hpt = np.column_stack(without_open(*their_hpt.T))
    entries = np.flatnonzero((our_hpt != their_hpt).any(axis=1))
    return [(int(k), our_hpt[k].tolist(), their_hpt[k].tolist()) for k in entries]


def _variant(command):
    """Return what distinguishes calls of one hypercall, or accesses."""
    kind, flags = int(command[0]), int(command[1])
    if kind == c.ENTER:
        size = " large" if int(command[3]) & 4 else ""
        return (" exact" if flags & int(H_EXACT) else "") + size
    if kind == c.READ:
        return " of 4" if flags & int(H_READ_4) else ""
    if kind in (c.REMOVE, c.PROTECT):
        named = " avpn" if flags & int(H_AVPN) else ""
        return named + (" andcond" if flags & int(H_ANDCOND) else "")
    if kind in (c.LOAD, c.STORE):
        return (" 4 KiB", " 64 KiB", " 16 MiB")[(flags >> 40) - 1]
    return ""


def outcome(kind, result):
    """Return the words for a result's return code."""
    if kind in (c.HARVEST, c.TOGGLE):
        return "done"
    if kind not in (c.LOAD, c.STORE):
        code = int(result[0].astype(np.int64))
        return CODES.get(code, f"code {code}")
    if result[0] == 0:
        return "done"
    return f"DSISR {int(result[1]):#010x}" if result[0] == 1 else "faults for ever"


def _bulk_answers(command, result):
    """Yield what happened to each request of one H_BULK_REMOVE."""
    for column in BOTH_DWORDS:
        answer = int(result[column]) >> 56
        if int(command[column]) >> 62 == 3:
            yield "end mark"
            return
        if answer >> 4 == 0xA:
            yield "malformed"
            return
        rc = ("", ", C", ", R", ", R and C")[answer >> 2 & 3]
        yield f"removed{rc}" if answer >> 4 == 8 else "not found"


def cases(comparison):
    """Return how often each operation had each outcome: a Counter of pairs of words."""
    found = Counter()
    for command, result in zip(comparison.commands, comparison.theirs, strict=True):
        name = c.NAMES[int(command[0])]
        found[name + _variant(command), outcome(int(command[0]), result)] += 1
        if command[0] == c.BULK_REMOVE:
            found.update((f"{name} request", answer) for answer in _bulk_answers(command, result))
    return found


def shrink(commands, differs):
    """Return a short sequence for which `differs` still holds, leaving out ever smaller pieces."""
    size = max(1, len(commands) // 2)
    while True:
        start = 0
        while start < len(commands):
            shorter = np.delete(commands, slice(start, start + size), axis=0)
            if len(shorter) and differs(shorter):
                commands = shorter
            else:
                start += size
        if size == 1:
            return commands
        size = max(1, size // 2)


def shortest(comparison, page_shift, strategy=None):
    """Return the comparison of a short sequence that differs, made from a long one."""
    commands = comparison.commands
    first = [*comparison.rows[:1], *(row for row, _ in comparison.logs[:1])]
    if first:
        commands = commands[: min(first) + 1]
    commands = shrink(commands, lambda shorter: compare(shorter, page_shift, strategy).differs)
    return compare(commands, page_shift, strategy)


def _registers(command, result):
    """Return a result as a person reads it: the code, and the registers that changed."""
    changed = [
        f"r{3 + k}={int(result[k]):#x}" for k in range(1, c.WORDS) if result[k] != command[k]
    ]
    return " ".join([outcome(int(command[0]), result), *changed])


def tell(comparison):
    """Yield the lines that show a difference."""
    for k, command in enumerate(comparison.commands):
        yield f"  {k + 1}. {c.line(command)}"
        if k in comparison.rows:
            yield f"       core: {_registers(command, comparison.ours[k])}"
            yield f"       QEMU: {_registers(command, comparison.theirs[k])}"
        else:
            yield f"       both: {_registers(command, comparison.theirs[k])}"
        yield from (f"       core: {text}" for row, text in comparison.logs if row == k)
    for index, ours, theirs in comparison.hptes:
        yield f"  HPTE {index:#x} at the end:"
        yield "       core: {:#x} {:#x}".format(*ours)
        yield "       QEMU: {:#x} {:#x}".format(*theirs)
