"""The page of a fleet: the answer's tables and figures, on a page like the report's."""

from html import escape

import pandas as pd

from analysis.fleet.figures import DRAWN
from analysis.fleet.text import axis_rows, choice_rows, kinds, vm_rows
from analysis.report.drawing import svg_of, write_figure
from analysis.report.markup import figure_html, folded, table_html
from analysis.report.page import page
from strategies.files import completed
from strategies.plural import plural

HEADING = "Which strategy for which VM?"
TITLES = {"fleet": "One choice for all", "axes": "Page size and interval", "vms": "The VMs"}
NOTE = "How a fleet is counted and priced, and what is sure about it: analysis/fleet/README.md."
DEAREST = 10
"""VMs that are shown; the others fold out."""


def write_page(whole, profile, folder):
    """Write `index.html` and its figures, each also as a file, to a folder; return the page's path.

    Parameters
    ----------
    whole : analysis.fleet.answer.Fleet
    profile : str
    folder : Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = whole.base()
    shown = {}
    for name, (draw, caption) in DRAWN.items():
        figure = draw(base)
        svg = svg_of(figure)
        write_figure(folder, name, svg)
        shown[name] = figure_html(svg, name, figure.get_suptitle(), caption)
    said = "".join(f'<p class="origin">{escape(line)}</p>' for line in kinds(whole, profile))
    sections = {
        "fleet": said + _choice(base) + shown["regret"] + shown["distribution"],
        "axes": _axes(whole),
        "vms": shown["heat_map"] + _vms(base),
    }
    sections = {
        name: f'<section id="{name}">\n<h2>{escape(TITLES[name])}</h2>\n{html}\n</section>'
        for name, html in sections.items()
        if html
    }
    path = folder / "index.html"
    with completed(path) as temporary:
        temporary.write_text(page(HEADING, sections, TITLES, (NOTE,)), encoding="utf-8")
    return path


def _table(rows, caption):
    """Return rows, the first of which names the columns, as a table of HTML."""
    names, *rows = rows
    return table_html(pd.DataFrame(rows, columns=names), caption)


def _choice(base):
    return _table(choice_rows(base), "Modelled: cores of all VMs together, mean stall of a vCPU")


def _axes(whole):
    parts = []
    for title, rows in axis_rows(whole):
        parts.append(_table(rows, f"Modelled: by {title}, of the VMs that have every one"))
    return "\n".join(parts)


def _vms(base):
    names, *rows = vm_rows(base)
    dearest = table_html(pd.DataFrame(rows[:DEAREST], columns=names), "Modelled: the dearest VMs")
    if len(rows) <= DEAREST:
        return dearest
    rest = table_html(pd.DataFrame(rows[DEAREST:], columns=names), "")
    return dearest + folded(plural(len(rows) - DEAREST, "more VM"), rest)
