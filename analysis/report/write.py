"""From a folder of results to the report: run the notebooks, write the page and its files."""

import os
from pathlib import Path

import click

from analysis.report.drawing import on_dark
from analysis.report.executed import TITLES, ClaimError, execute, figures_of, sentences, write
from analysis.report.page import page, section
from analysis.report.shown import RESULTS, describe, load_study

__all__ = ["ClaimError", "put_answer", "write_report"]

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
    notebooks = {}
    for name in TITLES:
        click.echo(f"{name} ...", err=True)
        notebooks[name] = execute(name)
    report = out / "report"
    report.mkdir(parents=True, exist_ok=True)
    for name, notebook in notebooks.items():
        write(notebook, out / "notebooks" / f"{name}.ipynb")
        for figure, svg in figures_of(notebook):
            (report / f"{figure}.svg").write_text(svg, encoding="utf-8")
            (report / f"{figure}-dark.svg").write_text(on_dark(svg), encoding="utf-8")
    answer = notebooks[next(iter(TITLES))]
    (report / "answer.md").write_text(sentences(answer), encoding="utf-8")
    whole = page({name: section(name, one) for name, one in notebooks.items()}, TITLES, origin)
    (report / "index.html").write_text(whole, encoding="utf-8")
    return report / "index.html"


def put_answer(readme, answer):
    """Replace what stands between the marks of a README by the answer."""
    before, rest = readme.read_text(encoding="utf-8").split(MARK)
    after = rest[rest.index(END) :]
    readme.write_text(f"{before}{MARK}{answer}{after}", encoding="utf-8")
