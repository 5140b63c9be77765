"""The command `dirtylog fleet`."""

import json
from pathlib import Path

import click

from strategies.options import FORMAT
from strategies.terminal import echo_columns

SCHEMA = 1
SHOWN = 10
"""VMs in a list, unless --all."""


@click.command()
@click.argument("dataset")
@click.option("--profile", default="x86-kvm", show_default=True, help="Whose prices decide.")
@click.option(
    "--by",
    "aim",
    type=click.Choice(["cpu", "stall", "harvest"]),
    default="cpu",
    show_default=True,
    help="What shall be least.",
)
@click.option("--all", "every", is_flag=True, help="Show all VMs in the table.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for a page with figures.",
)
@FORMAT
def fleet(dataset, profile, aim, every, report, fmt):
    """Answer for a fleet: the strategy of each VM, and what one choice for all costs.

    DATASET is what `dirtylog sweep` wrote.
    """
    from analysis.fleet.extra import need_extra

    need_extra()
    from analysis.fleet.answer import load_fleet

    whole = load_fleet(dataset, profile, aim)
    if report:
        from analysis.fleet.page import write_page

        click.echo(f"wrote {write_page(whole, profile, report)}", err=True)
    if fmt == "json":
        click.echo(json.dumps(_document(whole, profile), indent=1))
    else:
        _show(whole, profile, every)


def _document(whole, profile):
    """Return the answer as JSON holds it: no ratio to nothing, no missing number."""
    from analysis.fleet.answer import by_axis, of_each, of_one_choice

    base = whole.base()
    return {
        "schema": SCHEMA,
        "profile": profile,
        "aim": whole.aim,
        "failed": whole.failed,
        "vms": _records(of_each(base)),
        "one_choice": _records(of_one_choice(base)),
        "by_page_size": _records(by_axis(whole, "page_size")),
        "by_interval": _records(by_axis(whole, "interval_ms")),
    }


def _records(frame):
    """Return the rows of a frame; what is not finite is null."""
    return [
        {name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")
    ]


def _plain(value):
    value = value.item() if hasattr(value, "item") else value
    is_number = isinstance(value, float)
    return None if is_number and not abs(value) < float("inf") else value


def _show(whole, profile, every):
    """Print the answer for people."""
    from analysis.fleet.text import axis_rows, choice_rows, kinds, vm_rows

    base = whole.base()
    for line in kinds(whole, profile):
        click.echo(line)
    click.echo("\nOne choice for all (cores together; mean stall of a vCPU)")
    echo_columns(choice_rows(base))
    for title, rows in axis_rows(whole):
        click.echo(f"\nBy {title} (VMs that have every one)")
        echo_columns(rows)
    names, *rows = vm_rows(base)
    outliers, near = (sum(mark in row[-1] for row in rows) for mark in ("outlier", "near a flip"))
    click.echo(f"\n{outliers} outliers in cost, {near} near a flip; the dearest VMs:")
    echo_columns([names, *(rows if every else rows[:SHOWN])])
