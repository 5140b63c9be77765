"""Tables and figures as HTML: for the page, and for a notebook that is open."""

import re
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.report.drawing import themed
from strategies.units import number

TINT = (0, 114, 178)
"""Of a heat map: what is greatest has most of it; the text stays readable on light and dark."""

MOST_TINT = 0.55
WITH_UNIT = re.compile(r" (?=(?:[KMGT]iB|ns|us|ms|s|\*)(?:\W|$))")
"""The spaces at which a cell shall not be broken: before a unit or a star."""


class HeatMap(NamedTuple):
    """A table whose cells are tinted by a value.

    Attributes
    ----------
    texts : DataFrame
        What stands in the cells; the first columns are labels.
    values : DataFrame
        By row and column of `texts`, labels left out; missing where a cell has no tint.
    """

    texts: pd.DataFrame
    values: pd.DataFrame


def heat_map(frame, rows, column, value):
    """Return a HeatMap of a long frame whose `text` says what its column `value` is.

    Parameters
    ----------
    frame : DataFrame
        In the order in which rows and columns shall stand.
    rows : list of str
        Columns that name a row.
    column : str
        The column that names a column.
    value : str
        The column that tints.
    """
    order = list(dict.fromkeys(frame[column]))
    index = pd.MultiIndex.from_frame(frame[rows].drop_duplicates())
    if len(rows) == 1:
        index = index.get_level_values(0)
    wide = frame.pivot(index=rows, columns=column, values=["text", value]).reindex(index)
    texts = wide["text"][order].fillna("-").reset_index()
    return HeatMap(texts, wide[value][order].astype(float).reset_index(drop=True))


def tints(values):
    """Return how much of TINT each value has, 0 to 1, on a logarithmic scale."""
    cells = np.asarray(values, float)
    usable = cells[np.isfinite(cells) & (cells > 0)]
    low, high = np.log([usable.min(), usable.max()]) if usable.size else (0.0, 0.0)
    with np.errstate(divide="ignore"):
        scaled = (np.log(cells) - low) / ((high - low) or 1.0)
    return pd.DataFrame(np.clip(scaled, 0, 1), values.index, values.columns)


def table_html(frame, caption, values=None):
    """Return a table under its caption; on a phone each of its rows becomes a card."""
    shades = tints(values) if values is not None else pd.DataFrame(index=frame.index)
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in frame.columns)
    body = "".join(
        f"<tr>{''.join(_cell(frame, shades, row, name) for name in frame.columns)}</tr>\n"
        for row in frame.index
    )
    said = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    return (
        f'<div class="table">{said}<table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody>\n</table></div>"
    )


def _cell(frame, shades, row, name):
    value = frame.at[row, name]
    text = number(value) if isinstance(value, float) else str(value)
    style = ""
    if name in shades and np.isfinite(shades.at[row, name]):
        color = ",".join(map(str, TINT))
        style = f' style="background:rgba({color},{MOST_TINT * shades.at[row, name]:.2f})"'
    shown = escape(WITH_UNIT.sub("\u00a0", text)).replace("_", "_<wbr>")
    return f'<td data-label="{escape(str(name))}"{style}>{shown}</td>'


def table_markdown(frame):
    """Return a table of texts as Markdown."""
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def figure_html(svg, name, message, caption):
    """Return a figure with its caption, in the colours of the page it stands in.

    Its letters are outlines: who cannot see them is told its message and its caption.
    """
    said, told = escape(caption), escape(f"{message}. {caption}")
    image = themed(svg).replace("<svg ", f'<svg role="img" aria-label="{told}" ', 1)
    return f'<figure id="{name}">{image}<figcaption>{said}</figcaption></figure>'


def folded(summary, html):
    """Return HTML that is shown when its summary is clicked."""
    return f"<details><summary>{escape(summary)}</summary>{html}</details>"
