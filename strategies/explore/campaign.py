"""`dirtylog explore --generated`: the generated programs, or a part of them, to be gone on with."""

import hashlib
import json
import re
import time
from contextlib import nullcontext
from pathlib import Path

import click

from strategies.core.jit import PACKAGE, source_digest
from strategies.errors import InputError
from strategies.explore import generated
from strategies.explore.session import SCOPES, Job, results_of, show_findings
from strategies.plural import plural
from strategies.registry import base_of, file_of, line_of
from strategies.terminal import progress_bar

SETS = {"pairs": generated.pairs, "all": generated.programs}
PART = re.compile(r"(\d+)/(\d+)")
COLUMNS = ("schedules", "pruned", "seconds", "is_found")
CHUNK = 8
"""Jobs that a worker takes at once: most take less than a tenth of a second."""


def run_generated(which, chosen, bound, memory, part, out):
    """Explore a set of generated programs; say how many, and what was found.

    Parameters
    ----------
    which : {"pairs", "all"}
    chosen : sequence of str
        Trackers; empty for all.
    bound : int or None
        Preemptions; by default each program's own.
    memory : {"sc", "tso"}
    part : str or None
        "K/N": of every N jobs the one numbered K, from 0.
    out : str or None
        File to which what is done is added, and in which what was done before is found.

    Returns
    -------
    int
        1 if a schedule failed, else 0.
    """
    first, step = _parsed(part)
    programs = SETS[which]()
    jobs = [
        Job(each.name, name, each.bound if bound is None else bound, memory)
        for each in programs
        for name in each.trackers(chosen)
    ][first::step]
    done = _done_before(out, chosen)
    todo = [job for job in jobs if job not in done]
    began = time.monotonic()
    findings = _explore(todo, done, out)
    show_findings(findings)
    rows = [done[job] for job in jobs]
    counts = {name: sum(row[name] for row in rows) for name in ("schedules", "pruned", "seconds")}
    click.echo(
        f"{plural(len({job.program for job in jobs}), 'program')}, {len(jobs)} with their "
        f"trackers, {len(todo)} of them run now in {time.monotonic() - began:.0f} s.\n"
        f"{plural(counts['schedules'], 'schedule')} run, {counts['pruned']} left out as "
        f"equivalent, in {counts['seconds']:.0f} s of processors, "
        f"{plural(sum(row['is_found'] for row in rows), 'finding')}. {SCOPES[memory]}"
    )
    return int(any(row["is_found"] for row in rows))


def _parsed(part):
    """Return K and N of "K/N"."""
    if part is None:
        return 0, 1
    match = PART.fullmatch(part)
    if not match or not int(match[1]) < int(match[2]):
        raise InputError(f"part {part!r}: accepted is K/N with K from 0 to N - 1, like 3/40")
    return int(match[1]), int(match[2])


def _sources(chosen):
    """Return a digest of all that a result depends on, the files of trackers from outside too."""
    outside = {file_of(name) for name in chosen if line_of(base_of(name)).family == "outside"}
    files = (*sorted((PACKAGE / "explore").rglob("*.py")), *map(Path, sorted(outside)))
    sources = b"".join(path.read_bytes() for path in files)
    return hashlib.blake2b(source_digest().encode() + sources).hexdigest()[:24]


def _done_before(out, chosen):
    """Return what a file says was done, by Job; begin one that is not there."""
    if out is None:
        return {}
    path, header = Path(out), json.dumps({"sources": _sources(chosen)}) + "\n"
    text = path.read_text(errors="replace") if path.exists() else ""
    if not text:
        path.write_text(header)
        return {}
    if not text.startswith(header):
        raise InputError(f"{out}: made by other sources; accepted is a new file, or its own")
    lines = text.splitlines(keepends=True)
    if not lines[-1].endswith("\n"):  # it was killed, or the disk full
        path.write_text("".join(lines[:-1]))
        lines.pop()
    try:
        return dict(map(_row_of, lines[1:]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{out}: damaged ({error}); accepted is a new file") from error


def _row_of(line):
    """Return the Job of a line, and what came of it."""
    row = json.loads(line)
    return Job(*row.pop("job")), {name: row[name] for name in COLUMNS}


def _explore(jobs, done, out):
    """Explore jobs, note each in `done` and in the file; return the results with findings."""
    findings = []
    with progress_bar() as bar, Path(out).open("a") if out else nullcontext() as file:
        task = bar.add_task("exploring", total=len(jobs))
        for job, seconds, result in results_of(jobs, CHUNK):
            row = {
                "schedules": result.schedules,
                "pruned": result.pruned,
                "seconds": round(seconds, 3),
                "is_found": result.finding is not None,
            }
            done[job] = row
            if result.finding:
                findings.append(result)
            if file:
                file.write(json.dumps({"job": job} | row) + "\n")
                file.flush()
            bar.update(task, advance=1, description=job.program)
    return findings
