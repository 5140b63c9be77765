"""What the notebooks share: where the results are, and how prose, tables and figures are shown."""

import base64
import json
import os
from io import BytesIO
from pathlib import Path

from IPython.display import HTML, Markdown, display

from analysis.derive import harvests, read_replays
from analysis.load import FAILED, latest, load_results

RESULTS = "DIRTYLOG_RESULTS"
"""Environment variable that names the folder; `analysis.report` sets it."""

DPI = 110


def load_study():
    """Return the measured harvests and the summaries of the replays of the folder under study."""
    folder = Path(os.environ.get(RESULTS, "results/local"))
    return harvests(latest(load_results(folder / "asv"))), read_replays(folder)


def describe_study():
    """Return one line: on which machine, when and from which commit the times were measured."""
    folder = Path(os.environ.get(RESULTS, "results/local"))
    frame = latest(load_results(folder / "asv"))
    origin = json.loads(next((folder / "asv").glob("*/machine.json")).read_text())
    date, commit = frame["started_at"].max().date(), frame["commit"].iloc[0][:8]
    failed = (frame["status"] == FAILED).sum()
    return (
        f"Measured on {origin['cpu']}, {origin['num_cpu']} CPUs, {origin['os']}, on {date}, "
        f"commit or snapshot {commit}; {failed} benchmark cells failed."
    )


def number(value):
    """Return a number to three digits, never with an exponent below a million."""
    return f"{float(f'{value:.3g}'):,g}"


def say(text):
    """Show a sentence, Markdown allowed."""
    display(Markdown(text))


def table(frame, caption):
    """Show a DataFrame as a table under its caption, which says what kind its numbers are."""
    rows = frame.rename_axis(columns=None).to_html(index=False, border=0, float_format=number)
    display(HTML(f'<div class="table"><p class="caption">{caption}</p>{rows}</div>'))


def show(figure, caption):
    """Show a figure as a picture inside the page."""
    picture = BytesIO()
    figure.savefig(picture, dpi=DPI)
    data = base64.b64encode(picture.getvalue()).decode()
    source = f"data:image/png;base64,{data}"
    display(HTML(f'<figure><img alt="{caption}" src="{source}"></figure>'))
