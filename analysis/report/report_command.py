"""The command `dirtylog report`."""

import time
from pathlib import Path

import click

from strategies.errors import lacks_extra


@click.command()
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default="results/local",
    show_default=True,
    help="Folder of `raw`, which asv wrote, and `replay`.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write `report` and `notebooks` into.  [default: that of the results]",
)
@click.option(
    "--readme",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the answer between the marks of this file, too.",
)
def report(results, out, readme):
    """Write the report of a folder of results: one page that needs nothing else.

    Beside it are its figures and the answer as text, and in `notebooks` the executed notebooks.

    A claim that does not hold for these results ends it with status 1.
    """
    try:
        from analysis.report.write import ClaimError, around_answer, put_answer, write_report
    except ModuleNotFoundError as error:
        raise lacks_extra(error.name, "report") from error

    start = time.monotonic()
    if readme:
        around_answer(readme)  # before the work
    try:
        page = write_report(results, out or results)
    except ClaimError as error:
        click.echo(f"dirtylog: error: {error}", err=True)
        return 1
    if readme:
        put_answer(readme, page.with_name("answer.md").read_text(encoding="utf-8"))
    click.echo(f"wrote {page} in {time.monotonic() - start:.0f} s")
    return 0
