"""What the options of several commands share."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from strategies.errors import InputError
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


def given_options() -> set[str]:
    """Return what the command line gave of the command that runs: --out, or an argument's name."""
    context = click.get_current_context()
    return {
        parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def check_new_file(out: Path, force: bool) -> None:
    """Raise InputError if a file cannot be written there, or is there and may not be replaced.

    It is called before there is work to lose.
    """
    if out.exists() and not force:
        raise InputError(f"{str(out)!r} exists; give another --out, or --force to replace it")
    folder = out.absolute().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise InputError(
            f"cannot write {str(out)!r}; accepted: a file in a folder that exists and is writable"
        )
