"""A sweep from end to end: look at what is new, count it, price it, and go on where it was cut."""

import os
import socket
import sys
import time
from typing import NamedTuple

import click

from analysis.fleet.cells import Work, cells_of, count_all, failed_row, warm
from analysis.fleet.dataset import DIGITS, Dataset
from analysis.fleet.engine import connected, on_each_machine, stream, threads_of
from analysis.fleet.plan import PROCESS_MIB, Batch, batches_of, line_of, plan_of
from analysis.fleet.prices import prices_digest, write_rows
from analysis.fleet.recordings import Recording, find_sources, look, unusable
from strategies.plural import plural
from strategies.terminal import progress_bar
from strategies.units import duration

FLUSH_S = 5
"""A client that is killed loses what it received in this time."""

SAY_S = 20
"""How often progress is said in a line where nobody looks at a bar."""

LOOKED_TOGETHER = 32


class Options(NamedTuple):
    """How a sweep runs.

    Attributes
    ----------
    scheduler : str or None
    jobs : int
    profiles : tuple of Profile
    measure : bool
    plan : bool
        Only say what it would take.
    """

    scheduler: str | None
    jobs: int
    profiles: tuple
    measure: bool = False
    plan: bool = False


def run_sweep(sweep, place, options):
    """Run what a sweep asks for and a dataset lacks; return 1 if a cell failed, else 0.

    Parameters
    ----------
    sweep : Sweep
    place : str
        Of the dataset: a path, or an fsspec URL.
    options : Options
    """
    dataset = Dataset(place)
    sources = find_sources(sweep)
    known = dataset.recordings()
    unseen = [source for name, source in sources.items() if _is_new(source, known.get(name))]
    machine = _machine() if options.measure else ""
    session = _Session(dataset, options, machine)
    try:
        seen = known | session.look_at(unseen)
        works, asked = _missing(sweep, [seen[name] for name in sources], dataset, machine)
        missing = sum(len(work.cells) for work in works)
        if options.plan:
            click.echo(plan_of(works, len(asked), len(sources), options.jobs))
            return 0
        prices = prices_digest(options.profiles)
        stale = (dataset.manifest or {}).get("prices") != prices
        if missing or unseen or stale:
            dataset.keep_manifest("", [])  # until the rows are there
            dataset.keep_recordings(seen)
            session.count(works, asked)
    finally:
        session.close()
    if missing or unseen or stale:
        digits = DIGITS if stale else sorted(_touched(works, unseen, known, seen))
        write_rows(dataset, seen, options.profiles, digits)
        dataset.keep_manifest(prices, [profile.name for profile in options.profiles])
    return _said_at_the_end(dataset, asked, missing)


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_new(source, recording):
    return recording is None or recording.source != source or bool(recording.reason)


def _machine():
    from strategies.replay.output import cpu_model

    return f"{cpu_model()} ({socket.gethostname()})"


def _missing(sweep, recordings, dataset, machine):
    """Return what is to be counted, by digest, and the keys of all that was asked for."""
    counted = dataset.counted()
    done = counted[counted["epochs"].notna()]
    if machine:
        done = done[done["machine"] == machine]
    there, works, asked = set(done["key"]), [], set()
    for recording in sorted(recordings, key=lambda one: one.digest):
        cells = [cell for cell in cells_of(sweep, recording) if cell.key not in asked]
        asked |= {cell.key for cell in cells}
        missing = tuple(cell for cell in cells if cell.key not in there)
        if missing:
            works.append(Work(recording, missing))
    return works, asked


def _touched(works, unseen, known, seen):
    """Return the digits of what is new, and of what now has another name or none."""
    digests = {work.recording.digest for work in works}
    for source in unseen:
        digests |= {one[source.name].digest for one in (known, seen) if source.name in one}
    return {digest[0] for digest in digests}


class _Session:
    """A cluster, opened when there is something to do, and what a sweep does with it."""

    def __init__(self, dataset, options, machine):
        self._dataset, self._options, self._machine = dataset, options, machine
        self._opened = self._client = None

    def client(self):
        """Return the client of the cluster."""
        if self._client is None:
            self._opened = connected(self._options.scheduler, self._options.jobs)
            self._client = self._opened.__enter__()
        return self._client

    def close(self):
        """Leave the cluster."""
        if self._client is not None:
            self._opened.__exit__(None, None, None)

    def look_at(self, sources):
        """Return the recordings of sources, by name."""
        if not sources:
            return {}
        works = [Work(Recording(source, ""), (source,)) for source in sources]
        cuts = range(0, len(works), LOOKED_TOGETHER)
        batches = [Batch(tuple(works[at : at + LOOKED_TOGETHER]), 0.0, PROCESS_MIB) for at in cuts]
        found = {}
        for batch, result in stream(self.client(), look_all, batches):
            if isinstance(result, str):
                (source,) = batch.cells
                result = [unusable(source, result)]
            found |= {recording.source.name: recording for recording in result}
        return found

    def count(self, works, asked):
        """Count cells on the cluster and keep what comes, every few seconds."""
        unusable = [work for work in works if work.recording.reason]
        usable = [work for work in works if not work.recording.reason]
        keeper = _Keeper(self._dataset)
        for work in unusable:
            keeper.add([failed_row(cell, work.recording.reason) for cell in work.cells])
        try:
            if usable:
                self._count(usable, keeper, len(asked))
        finally:
            keeper.flush()

    def _count(self, works, keeper, asked):
        client = self.client()
        _compile(client, sorted({cell.strategy for work in works for cell in work.cells}))
        workers = max(threads_of(client), 1)  # all may have died this moment
        batches = batches_of(works, workers)
        click.echo(line_of(works, asked, workers), err=True)
        begin, own = time.monotonic(), 0.0
        with _Progress(batches) as progress:
            for batch, result in stream(client, count_all, batches, machine=self._machine):
                if isinstance(result, str):
                    result = [failed_row(cell, result) for cell in batch.cells]
                keeper.add(result)
                own += sum(row.get("seconds", 0.0) for row in result)
                progress.add(batch)
        took = duration((time.monotonic() - begin) * 1e9)
        click.echo(f"counted in {took}; the cells' own time is {duration(own * 1e9)}", err=True)


def _compile(client, strategies):
    """Have every machine compile the trackers, unless it has them on disk, and say so."""
    click.echo("compiling once, unless it is done; that takes half a minute or more", err=True)
    begin = time.monotonic()
    on_each_machine(client, warm, strategies)
    click.echo(f"compiled in {duration((time.monotonic() - begin) * 1e9)}", err=True)


class _Progress:
    """Says how far a sweep is: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, batches):
        self._seconds = sum(batch.seconds for batch in batches)
        self._cells = sum(len(batch.cells) for batch in batches)
        self._done, self._counted, self._begin = 0.0, 0, time.monotonic()
        self._said = self._begin
        self._bar = progress_bar()
        self._task = self._bar.add_task("counting", total=self._cells)

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *_error):
        self._bar.stop()

    def add(self, batch):
        """Take a batch that has ended."""
        self._done += batch.seconds
        self._counted += len(batch.cells)
        now = time.monotonic()
        left = (now - self._begin) * (self._seconds - self._done) / max(self._done, 1e-9)
        text = f"{duration(left * 1e9)} left"
        self._bar.update(self._task, completed=self._counted, description=text)
        if not sys.stderr.isatty() and now > self._said + SAY_S:
            cells = plural(self._cells, "cell")
            click.echo(f"{self._counted} of {cells} counted, {text}", err=True)
            self._said = now


class _Keeper:
    """Rows on their way to the dataset."""

    def __init__(self, dataset):
        self._dataset, self._rows, self._since = dataset, [], time.monotonic()

    def add(self, rows):
        """Take rows; now and then write them."""
        self._rows += rows
        if time.monotonic() > self._since + FLUSH_S:
            self.flush()

    def flush(self):
        """Write what there is."""
        if self._rows:
            self._dataset.add(self._rows)
        self._rows, self._since = [], time.monotonic()


def look_all(works):
    """Return what is found of the recordings of works; run by workers."""
    return [look(work.recording.source) for work in works]


def _said_at_the_end(dataset, asked, missing):
    """Say what there is, and name the reasons of what failed; return the exit status."""
    counted = dataset.counted()
    mine = counted[counted["key"].isin(asked)]
    good = set(mine[mine["epochs"].notna() & (mine["reason"] == "")]["key"])
    failed = mine[~mine["key"].isin(good)].drop_duplicates("key", keep="last")
    click.echo(
        f"{dataset.place}: {plural(len(asked), 'cell')}, {missing} of them new, "
        f"{len(failed)} failed",
        err=True,
    )
    for reason, cells in failed.groupby("reason").size().head(10).items():
        click.echo(f"dirtylog: {plural(cells, 'cell')} failed: {reason}", err=True)
    return int(len(failed) > 0)
