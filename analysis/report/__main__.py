"""Run the notebooks and write one page of HTML that needs nothing else.

`python -m analysis.report --results DIR --out DIR`: the first holds asv's results in `raw`, and the
CSV files of the replays in `replay`. Written are `report/index.html`, beside it its figures (for
light and for dark pages) and `answer.md`, the answer as text, and the executed notebooks in
`notebooks`. A claim of a notebook that does not hold ends it with status 1.
"""

import sys
import time
from pathlib import Path

import click

from strategies.errors import InputError

MARK, END = "<!-- results/reference/report/answer.md -->\n", "<!-- end -->"


def put_answer(readme, answer):
    """Replace what stands between the marks of a README by the answer."""
    before, rest = readme.read_text(encoding="utf-8").split(MARK)
    after = rest[rest.index(END) :]
    readme.write_text(f"{before}{MARK}{answer}{after}", encoding="utf-8")


@click.command()
@click.option("--results", type=click.Path(path_type=Path), default="results/local")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write into.  [default: that of the results]",
)
@click.option(
    "--readme",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Put the answer between the marks of this file, too.",
)
def main(results, out, readme):
    """Write the offline report of a folder of results."""
    try:
        from analysis.report.build import ClaimError, write_report
    except ModuleNotFoundError as error:
        click.echo(f"error: no module {error.name}: pip install 'dirtylog[report]'", err=True)
        sys.exit(2)
    start = time.monotonic()
    try:
        page, answer = write_report(results, out or results)
        if readme:
            put_answer(readme, answer)
    except (ClaimError, InputError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1 if isinstance(error, ClaimError) else 2)
    click.echo(f"wrote {page} in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
