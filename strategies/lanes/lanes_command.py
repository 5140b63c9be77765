"""The command `dirtylog lanes`."""

import json

import click

from strategies.options import FORMAT
from strategies.terminal import echo_columns

SCHEMA = 1


@click.command()
@FORMAT
def lanes(fmt):
    """List the trackers of this machine's kernel, each after a self test of seven pages."""
    from strategies.lanes.session import table

    rows = [{"schema": SCHEMA, **row} for row in table()]
    if fmt == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    shown = ("lane", "available", "kernel", "backend", "needs")
    cells = (
        (row["lane"], row["reason"] or "yes", row["kernel"], row["backend"] or "-", row["needs"])
        for row in rows
    )
    echo_columns([shown, *cells])
