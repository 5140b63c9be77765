"""The command `dirtylog strategies`."""

import json

import click

from strategies.options import FORMAT
from strategies.outside import installed
from strategies.registry import TRACKERS, get, line_of
from strategies.terminal import echo_columns

SCHEMA = 3


@click.command()
@FORMAT
def strategies(fmt):
    """List the trackers, and those that installed packages bring."""
    lines = TRACKERS | {name: line_of(name) for name in installed()}
    rows = [
        {
            "schema": SCHEMA,
            "name": name,
            "family": entry.family,
            "year": entry.year,
            "place": entry.place,
            "parameter": entry.parameter and entry.parameter._asdict(),
            "summary": (get(name).__doc__ or "").strip().partition("\n")[0],
        }
        for name, entry in lines.items()
    ]
    if fmt == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    shown = ("name", "family", "year", "place", "summary")
    head = ("strategy", "family", "year", "place", "what it does")
    echo_columns([head, *([row[key] or "-" for key in shown] for row in rows)])
    echo_columns(
        [
            (f"{name}:{one.name}", f"{one.what}: {one.accepted}; {one.default} where none is given")
            for name, entry in lines.items()
            if (one := entry.parameter)
        ]
    )
