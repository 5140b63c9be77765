"""The command `dirtylog explore`: all programs, one of them, one schedule, or the catalogue."""

import os
import time
from functools import cache
from multiprocessing import get_context
from signal import SIG_IGN, SIGINT, signal
from typing import NamedTuple

import click
from rich.console import Console

from strategies.errors import InputError
from strategies.explore.explorer import Finding, Result, explore, prepared
from strategies.explore.programs import LONG_PROGRAMS, PROGRAMS
from strategies.explore.scheduler import Violation
from strategies.explore.trace import Tracer, schedule_string
from strategies.plural import plural
from strategies.registry import BASELINE, get
from strategies.terminal import begin_columns, echo_columns, progress_bar

SCOPES = {
    "sc": "Seen are sequentially consistent interleavings only: no store buffers, no reordering.",
    "tso": "Seen are x86's (TSO): a store may wait in its thread's buffer; no other reordering.",
}

COLUMNS = ("program", "strategy", "threads", "bound", "schedules", "pruned", "longest", "finding")
CATALOGUE_COLUMNS = (
    "defect",
    "lived in the kernel",
    "found by",
    "strategy",
    "memory",
    "schedules",
    "steps",
    "finding",
)

TRACE_LINES = 400
"""A livelock has thousands."""


class Job(NamedTuple):
    """What one worker process explores, by names: programs are functions, which do not travel."""

    program: str
    strategy: str
    bound: int
    memory: str
    defect: str | None = None


def run_explore(
    program,
    chosen,
    *,
    bound,
    memory,
    schedule,
    defect,
    is_long,
    generated,
    part,
    out,
    catalogue,
    listed,
):
    """Do what the command line asks for.

    Parameters
    ----------
    program : str or None
        Its name; None for all of the set.
    chosen : sequence of str
        Trackers; empty for all.
    bound : int or None
        Preemptions; by default each program's own.
    memory : {"sc", "tso"} or None
        The memory model; by default a defect's own, else "sc".
    schedule : str or None
        One schedule to replay.
    defect : str or None
        A defect of the catalogue, to be switched on.
    is_long : bool
        The long set.
    generated : {"pairs", "all"} or None
        The generated programs; `part` and `out` as of `campaign.run_generated`.
    catalogue, listed : bool
        Show the catalogue, or the programs.

    Returns
    -------
    int
        0; or 1: a failing schedule in correct code, or a defect that was not found.
    """
    for name in chosen:
        if name == BASELINE or not get(name):
            raise InputError(f"{name!r} tracks nothing; accepted: a strategy that logs")
    if listed:
        return _list()
    if catalogue:
        return _catalogue()
    if generated:
        from strategies.explore.campaign import run_generated

        return run_generated(generated, chosen, bound, memory or "sc", part, out)
    if schedule is not None or defect is not None:
        return _one(program, chosen, bound, memory, schedule, defect)
    memory = memory or "sc"
    programs = LONG_PROGRAMS if is_long else PROGRAMS
    if program is not None:
        programs = (find(program),)
    jobs = [
        Job(each.name, name, _bound(each, bound, is_long), memory)
        for each in programs
        for name in each.trackers(chosen)
    ]
    if not jobs:
        names = ", ".join(programs[0].strategies)
        raise InputError(f"{program} does not run under {', '.join(chosen)}; accepted: {names}")
    echo_row = begin_columns(COLUMNS, [(job.program, job.strategy) for job in jobs])
    results = []
    for result in _run(jobs):
        echo_row(_row(result))
        results.append(result)
    show_findings(results)
    findings = sum(result.finding is not None for result in results)
    click.echo(f"\n{_count(results)}, {plural(findings, 'finding')}. {SCOPES[memory]}")
    return int(findings > 0)


def find(name):
    """Return the program of a name: of the long set, the catalogue, or the generated.

    Raises
    ------
    InputError
        There is none.
    """
    if name not in _programs():
        raise InputError(
            f"unknown program {name!r}; accepted: what `dirtylog explore --list` shows, or one of "
            "the generated, like 'store,harvest@clean'"
        )
    return _programs()[name]


@cache
def _programs():
    """Return all programs by name."""
    from strategies.explore import catalogue, generated

    every = (*LONG_PROGRAMS, *catalogue.PROGRAMS, *generated.programs())
    return {program.name: program for program in every}


def find_defect(name):
    """Return the defect of a name; None for None.

    Raises
    ------
    InputError
        There is none.
    """
    from strategies.explore import catalogue

    if name is None:
        return None
    for defect in catalogue.DEFECTS:
        if defect.name == name:
            return defect
    names = ", ".join(defect.name for defect in catalogue.DEFECTS)
    raise InputError(f"unknown defect {name!r}; accepted: {names}")


def _bound(program, bound, is_long=False):
    if bound is not None:
        return bound
    return program.long_bound if is_long else program.bound


def _list():
    rows = [
        (program.name, len(program.threads), program.bound, program.what)
        for program in LONG_PROGRAMS
    ]
    echo_columns([("program", "threads", "bound", "what it puts side by side"), *rows])
    return 0


def _one(program, chosen, bound, memory, schedule, name):
    """Explore a program with a defect, or replay one schedule with or without."""
    defect = find_defect(name)
    if program is None and defect is None:
        raise InputError("--replay needs a PROGRAM (and --strategy), or --defect")
    chosen = chosen or ((defect.strategy,) if defect else ())
    if len(chosen) != 1:
        raise InputError("--replay and --defect need one --strategy")
    found = find(program or defect.program)
    memory = memory or (defect.memory if defect else "sc")
    job = Job(found.name, chosen[0], _bound(found, bound), memory, name)
    if schedule is not None:
        return _replay(job, schedule)
    (result,) = _run([job])
    show_findings([result])
    click.echo(f"\n{_count([result])}")
    return int(result.finding is not None)


def _replay(job, text):
    """Run one schedule and print its trace."""
    violation, lines = trace(job, text)
    _echo_trace(lines)
    click.echo(str(violation) if violation else "nothing is wrong under this schedule")
    return int(violation is not None)


def trace(job, text):
    """Replay a schedule; return the Violation or None, and the lines of its trace."""
    program, defect = find(job.program), find_defect(job.defect)
    try:
        with prepared(program, job.strategy, defect, job.memory) as explorer:
            tracer = Tracer(text, explorer.scene.machine)
            _, violation, _ = explorer.run(tracer)
    except Violation as violation:
        return violation, ["before the first step"]
    tracer.check_end()
    return violation, tracer.lines


def _catalogue():
    """Show which defects are found, and that the same programs find nothing in correct code."""
    from strategies.explore import catalogue

    defects = catalogue.DEFECTS
    jobs = [Job(d.program, d.strategy, find(d.program).bound, d.memory, d.name) for d in defects]
    correct = list(dict.fromkeys(job._replace(defect=None) for job in jobs))
    results = _run(jobs + correct)
    echo_row = begin_columns(CATALOGUE_COLUMNS, map(_of_defect, defects))
    found = []
    for defect in defects:
        found.append(next(results).finding)
        echo_row((*_of_defect(defect), *_of_finding(found[-1])))
    without = list(results)
    missed = found.count(None)
    findings = sum(result.finding is not None for result in without)
    click.echo(f"\n{len(found) - missed} of {len(found)} defects found.")
    click.echo(f"Correct code, same programs: {plural(findings, 'finding')}, {_count(without)}.")
    click.echo("\n".join(f"{memory}: {scope}" for memory, scope in SCOPES.items()))
    show_findings(without)
    return int(missed + findings > 0)


def _of_defect(defect):
    return (defect.name, defect.lived, defect.program, defect.strategy, defect.memory)


def _of_finding(found):
    return (found.schedules, len(found.steps), found.kind) if found else ("-", "-", "NOT FOUND")


def _run(jobs):
    """Explore jobs, showing progress, above which lines may be printed; yield their results."""
    total = 0
    with progress_bar(Console(soft_wrap=True)) as bar:
        task = bar.add_task("exploring", total=len(jobs))
        for job, _, result in results_of(jobs):
            total += result.schedules
            text = f"{plural(total, 'schedule')}; {job.program} explored"
            bar.update(task, advance=1, description=text)
            yield result


def results_of(jobs, chunk=1):
    """Explore jobs in a process for each CPU; yield each, its seconds and result, in order."""
    if jobs:
        with _workers(len(jobs)) as pool:
            yield from pool.imap(_explore, jobs, chunk)


def _workers(jobs):
    """Return a pool of processes that leave an interrupt to this one."""
    handler = signal(SIGINT, SIG_IGN)  # as they inherit it
    try:
        return get_context("spawn").Pool(min(jobs, len(os.sched_getaffinity(0))))
    finally:
        signal(SIGINT, handler)


def _explore(job):
    began = time.process_time()
    defect = find_defect(job.defect)
    result = explore(find(job.program), job.strategy, job.bound, defect, memory=job.memory)
    return job, time.process_time() - began, result


def _row(result: Result):
    kind = result.finding.kind if result.finding else "none"
    counts = (result.threads, result.bound, result.schedules, result.pruned, result.longest)
    return (result.program, result.strategy, *counts, kind)


def show_findings(results):
    """Print each finding and how to replay it, and the trace of the first."""
    is_first = True
    for result in results:
        found = result.finding
        if found is None:
            continue
        text = schedule_string(found.steps)
        defect = f" --defect {result.defect}" if result.defect else f" --memory {result.memory}"
        click.echo(f"\n{result.program} under {result.strategy}: {found.kind}: {found.text}")
        click.echo(_how_short(found))
        click.echo(
            f"dirtylog explore {result.program} --strategy {result.strategy}{defect}"
            f" --replay '{text}'"
        )
        if is_first:
            job = Job(result.program, result.strategy, result.bound, result.memory, result.defect)
            _echo_trace(trace(job, text)[1])
        is_first = False


def _echo_trace(lines):
    """Print a trace; of a long one its beginning and its end."""
    if len(lines) > TRACE_LINES:
        left_out = len(lines) - TRACE_LINES
        half = TRACE_LINES // 2
        lines = [*lines[:half], f"... {left_out} lines ...", *lines[-half:]]
    click.echo("\n".join(lines))


def _how_short(found: Finding):
    if not found.schedules:
        return "found before the first step of all schedules"
    return (
        f"found after {plural(found.schedules, 'schedule')}; the shortest has "
        f"{plural(found.preemptions, 'preemption')} and {plural(len(found.steps), 'step')}"
    )


def _count(results):
    run, pruned = (sum(getattr(r, name) for r in results) for name in ("schedules", "pruned"))
    return f"{plural(run, 'schedule')} run, {pruned} left out as equivalent"
