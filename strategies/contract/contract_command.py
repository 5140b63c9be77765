"""The command `dirtylog contract`: hold a tracker to the contract, and score it."""

import json

import click

from strategies.options import FORMAT

SCHEMA = 1


@click.command()
@click.argument("strategy")
@FORMAT
def contract(strategy, fmt):
    """Hold a tracker to the contract; if it passes, replay all recordings beside the others.

    STRATEGY is a name, or FILE.py:CLASS, each perhaps with :NUMBER. Threads and schedules are not
    part of it: dirtylog explore --strategy STRATEGY runs them. A first run compiles, which takes
    longer than all else. Exit status 1: a clause fails, or a page is lost.
    """
    from strategies.errors import InputError
    from strategies.registry import BASELINE, get

    if not (get(strategy) and strategy != BASELINE):
        raise InputError(f"{strategy!r} tracks nothing; accepted: a strategy that logs")
    from strategies.contract.hold import CLAUSES, hold
    from strategies.contract.score import score, total
    from strategies.terminal import progress_bar

    with progress_bar() as bar:
        task = bar.add_task("clauses", total=len(CLAUSES))
        verdicts = list(hold(strategy, lambda n: bar.advance(task, n)))
        failed = any(one.why for one in verdicts)
        task = bar.add_task("epochs", total=total(strategy), visible=not failed)
        rows = [] if failed else list(score(strategy, lambda n: bar.advance(task, n)))
    if fmt == "json":
        clauses = [one._asdict() for one in verdicts]
        document = {"schema": SCHEMA, "strategy": strategy, "clauses": clauses, "replays": rows}
        click.echo(json.dumps(document, indent=2))
    else:
        _show(strategy, verdicts, rows)
    return int(failed or any(row["lost"] for row in rows if row["strategy"] == strategy))


def _show(strategy, verdicts, rows):
    """Print each clause, then what the recordings showed."""
    from strategies.terminal import echo_columns

    for one in verdicts:
        click.echo(f"{'FAILED' if one.why else 'passed'}  {one.clause}")
        if one.why:
            click.echo(f"        {one.why}")
    passed = sum(one.why is None for one in verdicts)
    cases = sum(one.cases for one in verdicts)
    click.echo(f"\n{strategy}: {passed} of {len(verdicts)} clauses passed, {cases} cases.")
    if not rows:
        return
    click.echo("\nThe recordings: exact counts over all epochs; times of a harvest (measured)")
    head = ("recording", "strategy", "lost", "spurious", "faults", "tlbies", "flushes")
    table = [
        (
            row["trace"],
            *(row[key] for key in head[1:]),
            *(f"{row['harvest_ns'][key] / 1000:.2f}" for key in ("median", "p99")),
        )
        for row in rows
    ]
    echo_columns([(*head, "median us", "p99 us"), *table])
