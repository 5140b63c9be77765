"""The command `dirtylog lanes`."""

import json

import click

from strategies.options import FORMAT
from strategies.terminal import echo_columns

SCHEMA = 1
COUNTS = ("pages_written", "harvests", "lost", "spurious", "live_stores", "live_differing")


@click.command()
@click.option(
    "--check",
    "writes",
    type=click.IntRange(1000, 10**9),
    help="Make so many page writes on each and judge the harvests; status 1 if one is wrong.",
)
@FORMAT
def lanes(writes, fmt):
    """List the trackers of this machine's kernel, each after a self test of seven pages."""
    from strategies.lanes.session import check_all, table

    rows = [{"schema": SCHEMA, **row} for row in table()]
    exact = check_all(rows, writes) if writes else True
    if fmt == "json":
        click.echo(json.dumps(rows, indent=2))
    else:
        _show(rows)
    return 0 if exact else 1


def _show(rows):
    head = ("lane", "available", "kernel", "backend", "needs")
    cells = (
        (row["lane"], row["reason"] or "yes", row["kernel"], row["backend"] or "-", row["needs"])
        for row in rows
    )
    echo_columns([head, *cells])
    for row in rows:
        if "error" in row:
            click.echo(f"{row['lane']}: {row['error']}")
    checked = [row for row in rows if "check" in row]
    if checked:
        click.echo("\nPages written and judged by contents; pages that differ after a live loop")
        echo_columns([("lane", *(key.replace("_", " ") for key in COUNTS)), *map(_counts, checked)])


def _counts(row):
    return (row["lane"], *(row["check"][key] for key in COUNTS))
