"""From a folder of results to the report: run the notebooks, write the page and its files."""

import os
from pathlib import Path

import click

from analysis.report.drawing import on_dark
from analysis.report.executed import TITLES, ClaimError, execute, figures_of, sentences, write
from analysis.report.page import page, section
from analysis.report.shown import RESULTS, describe, load_study

__all__ = ["ClaimError", "write_report"]


def write_report(results, out):
    """Run all notebooks on a folder of results; write the page, its figures and the notebooks.

    Parameters
    ----------
    results, out : Path
        Where the results are, and the folder to write into.

    Returns
    -------
    page : Path
    answer : str
        As Markdown.

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
    answer = sentences(next(iter(notebooks.values())))
    (report / "answer.md").write_text(answer, encoding="utf-8")
    whole = page({name: section(name, one) for name, one in notebooks.items()}, TITLES, origin)
    (report / "index.html").write_text(whole, encoding="utf-8")
    return report / "index.html", answer
