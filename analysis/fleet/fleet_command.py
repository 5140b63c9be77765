"""The command `dirtylog fleet`."""

import json
from pathlib import Path

import click

from strategies.options import FORMAT
from strategies.terminal import echo_columns
from strategies.units import number, percent, size_text

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
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for three figures.",
)
@FORMAT
def fleet(dataset, profile, aim, every, figures, fmt):
    """Answer for a fleet: the strategy of each VM, and what one choice for all costs.

    DATASET is what `dirtylog sweep` wrote.
    """
    from analysis.fleet.extra import need_extra

    need_extra()
    from analysis.fleet.answer import load_fleet

    whole = load_fleet(dataset, profile, aim)
    if fmt == "json":
        click.echo(json.dumps(_document(whole, profile), indent=1))
    else:
        _show(whole, profile, every)
    if figures:
        from analysis.fleet.figures import save_figures

        save_figures(whole.base(), figures)


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
    from analysis.fleet.answer import by_axis, of_each, of_one_choice

    base = whole.base()
    each = of_each(base)
    click.echo(
        f"{len(each)} VMs, least {whole.aim} by {profile}; all costs are modelled, of exact "
        f"counts; {whole.failed} rows failed and are left out"
    )
    click.echo("\nOne choice for all (cores together; mean stall of a vCPU)")
    echo_columns(_choice_rows(of_one_choice(base)))
    for title, axis, text in (
        ("page size", "page_size", size_text),
        ("interval", "interval_ms", lambda ms: f"{ms:g} ms"),
    ):
        frame = by_axis(whole, axis)
        if len(frame):
            click.echo(f"\nBy {title} (VMs that have every one)")
            echo_columns(_axis_rows(frame, axis, title, text))
    outliers, near = each[each["outlier"]], each[each["near_flip"]]
    click.echo(f"\n{len(outliers)} outliers in cost, {len(near)} near a flip; the dearest VMs:")
    dearest = each.sort_values(whole.aim, ascending=False, kind="stable")
    echo_columns(_vm_rows(dearest if every else dearest.head(SHOWN)))


def _choice_rows(frame):
    yield ("strategy", "right for", "CPU", "stall", "against the best", "worst VM")
    for row in frame.itertuples():
        ratios = (_times(row.regret), _times(row.worst))
        yield (row.strategy, row.right_for, number(row.cpu), percent(row.stall), *ratios)


def _axis_rows(frame, axis, title, text):
    yield (title, "strategy", "right for", "CPU", "stall", "against the best")
    for row in frame.to_dict("records"):
        costs = (number(row["cpu"]), percent(row["stall"]), _times(row["regret"]))
        yield (text(row[axis]), row["strategy"], row["right_for"], *costs)


def _vm_rows(frame):
    yield ("VM", "strategy", "runner-up", "margin", "sure", "CPU", "stall", "")
    for row in frame.itertuples():
        marks = ["outlier"] * row.outlier + ["near a flip"] * row.near_flip
        yield (
            row.trace,
            row.strategy,
            row.runner_up or "-",
            _times(row.margin) if row.runner_up else "-",
            percent(row.sure),
            number(row.cpu),
            percent(row.stall),
            ", ".join(marks),
        )


def _times(ratio):
    """Return a ratio in words: where the least is nothing at all, there is none."""
    return f"{number(ratio)}x" if ratio < float("inf") else "from 0"
