"""What the notebooks share: where the results are, and how prose, tables and figures are shown."""

import base64
import os
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from IPython.display import HTML, Markdown, display

from analysis.measured.harvests import harvests, read_replays
from analysis.measured.load import FAILED, latest, load_machine, load_results
from strategies.units import number

RESULTS = "DIRTYLOG_RESULTS"
"""Environment variable that names the folder; `analysis.report` sets it."""

DPI = 110


class Study(NamedTuple):
    """The results under study.

    Attributes
    ----------
    frame : DataFrame
        All cells of all benchmarks, as from `analysis.measured.load.load_results`.
    cells : DataFrame
        The measured harvests, as from `analysis.measured.harvests.harvests`.
    replays : DataFrame
        Summaries of the replayed recordings.
    machine : dict
        asv's description of the machine.
    """

    frame: pd.DataFrame
    cells: pd.DataFrame
    replays: pd.DataFrame
    machine: dict


def load_study():
    """Return the results of the folder that the environment names."""
    folder = Path(os.environ.get(RESULTS, "results/local"))
    raw = folder / "raw"
    frame = latest(load_results(raw))
    return Study(frame, harvests(frame), read_replays(folder / "replay"), load_machine(raw))


def describe(study):
    """Return one line: on which machine, when and from which commit the times were measured."""
    frame, origin = study.frame, study.machine
    date, commit = frame["started_at"].max().date(), frame["commit"].iloc[0][:8]
    failed = (frame["status"] == FAILED).sum()
    return (
        f"Measured on {origin['cpu']}, {origin['num_cpu']} CPUs, {origin['os']}, on {date}, "
        f"commit or snapshot {commit}; {failed} benchmark cells failed."
    )


def say(text):
    """Show a sentence, Markdown allowed."""
    display(Markdown(text))


def table(frame, caption):
    """Show a DataFrame as a table under its caption, which says what kind its numbers are."""
    rows = frame.rename_axis(columns=None).to_html(index=False, border=0, float_format=number)
    display(HTML(f'<div class="table"><p class="caption">{caption}</p>{rows}</div>'))


def show(figure, name, caption):
    """Show a figure as a picture inside the page; the report writes it to a file of that name."""
    picture = BytesIO()
    figure.savefig(picture, dpi=DPI)
    data = base64.b64encode(picture.getvalue()).decode()
    source = f"data:image/png;base64,{data}"
    display(HTML(f'<figure><img id="{name}" alt="{caption}" src="{source}"></figure>'))
