"""From a folder of results to the report: run the notebooks, write the page and its files."""

import os
import re
from html import escape
from pathlib import Path

import click

from analysis.report.drawing import write_figure
from analysis.report.executed import (
    TITLES,
    ClaimError,
    execute,
    figures_of,
    section,
    sentences,
    write,
)
from analysis.report.page import page
from analysis.report.shown import RESULTS, describe, load_study
from strategies.errors import InputError
from strategies.files import completed, output_folder

__all__ = ["ClaimError", "around_answer", "folded", "put_answer", "write_report"]

HEADING = "Scan the changed bits, or fault on the first write?"
KINDS = """The numbers of the text are computed in <code>analysis/report/notebooks</code>, and its
claims about them asserted; they ran when the page was made. Numbers are <em>measured</em> (that
machine, this code), <em>exact</em> (counts), <em>modelled</em> (counts times unit costs, a range
over draws of them all), <em>derived</em>, <em>cited</em> or <em>estimated</em>."""
MARK, END = "<!-- results/reference/report/answer.md -->\n", "<!-- end -->"


def write_report(results, out):
    """Run all notebooks on a folder of results; write the page, its figures and the notebooks.

    Parameters
    ----------
    results, out : Path
        Where the results are, and the folder to write into.

    Returns
    -------
    Path
        The page; beside it `answer.md` is the answer as text.

    Raises
    ------
    ClaimError, InputError
    """
    os.environ[RESULTS] = str(Path(results).resolve())
    origin = describe(load_study())
    report = out / "report"
    with output_folder(report, ["answer.md", "index.html"]):
        notebooks = {}
        for name in TITLES:
            click.echo(f"{name} ...", err=True)
            notebooks[name] = execute(name)
        _write_all(report, notebooks, origin)
    return report / "index.html"


def _write_all(report, notebooks, origin):
    """Write the page, its figures and the answer to a folder, and the notebooks beside it."""
    for name, notebook in notebooks.items():
        write(notebook, report.parent / "notebooks" / f"{name}.ipynb")
        for figure, svg in figures_of(notebook):
            write_figure(report, figure, svg)
    answer = notebooks[next(iter(TITLES))]
    with completed(report / "answer.md") as temporary:
        temporary.write_text(sentences(answer), encoding="utf-8")
    sections = {name: section(name, one) for name, one in notebooks.items()}
    whole = page(HEADING, sections, TITLES, (escape(origin), KINDS))
    with completed(report / "index.html") as temporary:
        temporary.write_text(whole, encoding="utf-8")


def put_answer(readme, answer):
    """Replace what stands between the marks of a README by the answer."""
    before, after = around_answer(readme)
    with completed(readme) as temporary:
        temporary.write_text(f"{before}{MARK}{folded(answer)}{after}", encoding="utf-8")


def around_answer(readme):
    """Return what stands before the marks of a README, and from the second one on.

    Raises
    ------
    InputError
        It has no such marks, or is no text.
    """
    try:
        before, rest = readme.read_text(encoding="utf-8").split(MARK)
        return before, rest[rest.index(END) :]
    except ValueError as error:
        marks = f"a line {MARK.strip()} and, after it, {END}"
        raise InputError(
            f"{str(readme)!r} has no place for the answer; accepted: {marks}"
        ) from error


def folded(answer):
    """Return the answer as the README has it: what follows its table behind one click.

    The line to click on has the first, bold words of each paragraph behind it.
    """
    rows = list(re.finditer(r"^\|.*\n", answer, re.MULTILINE))
    if not rows:
        return answer
    end = rows[-1].end()
    said = re.findall(r"^- \*\*(.+?)\.?\*\*", answer[end:], re.MULTILINE)
    summary = f"<details><summary>More: {escape('; '.join(said))}</summary>"
    return f"{answer[:end]}\n{summary}\n{answer[end:]}\n</details>\n"
