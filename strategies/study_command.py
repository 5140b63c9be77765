"""The command `dirtylog study`: the study itself is `benchmarks/steps.py`, which no package has."""

import sys
from pathlib import Path

import click

from strategies.errors import InputError

CHECKOUT = Path(__file__).resolve().parent.parent
"""Where `benchmarks` is, unless the package was installed by copying it."""


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="results/local",
    show_default=True,
    help="Folder of the results, kept and completed by the next call.",
)
def study(out):
    """Run the benchmarks, replay all recordings, write the report, print the answer.

    What was made before of the same code and data is kept. It needs a checkout of the project.
    """
    sys.path.append(str(CHECKOUT))
    try:
        from benchmarks.steps import run_study
    except ModuleNotFoundError as error:
        raise InputError(
            f"this needs {error.name}; accepted: `make study` in a checkout of the project"
        ) from error
    try:
        return run_study(out)
    except KeyboardInterrupt:
        click.echo("\ndirtylog: interrupted; the same command goes on from what is there", err=True)
        return 130
