"""What the options of several commands share."""

from collections.abc import Sequence

import click

from strategies.registry import get, names

PAGE_SHIFTS = {"4KiB": 12, "64KiB": 16}
"""Base pages that the machine has, and log2 of their bytes."""

FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["table", "json"]), default="table", show_default=True
)
STRATEGY = click.option(
    "--strategy",
    "chosen",
    multiple=True,
    help="Only this one: NAME, FILE.py:CLASS, each perhaps with :NUMBER.  Repeatable.",
)


def strategy_names(chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the chosen trackers, each once and known to exist, or all of them."""
    for name in chosen:
        get(name)
    return tuple(dict.fromkeys(chosen)) or names()
