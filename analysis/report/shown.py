"""What the notebooks share: where the results are, and how prose, tables and figures are shown."""

import base64
import os
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from IPython.display import HTML, Markdown, display

from analysis.measured.harvests import read_replays
from analysis.measured.load import FAILED, UNKNOWN, latest, load_machine, load_results
from analysis.measured.reference import load_reference
from analysis.report.tables import by_pass, over_passes
from strategies.errors import InputError
from strategies.units import number

RESULTS = "DIRTYLOG_RESULTS"
"""Environment variable that names the folder; `dirtylog report` sets it."""

DPI = 130
COUNTED = ("pages_scanned", "pages_cleared", "pages_rearmed", "words_taken", "changed_bits_set")
"""Counts of a replay's summary that its pricing needs."""


class Study(NamedTuple):
    """The results under study.

    Attributes
    ----------
    frame : DataFrame
        All cells of all benchmarks, as from `analysis.measured.load.load_results`.
    passes : DataFrame
        The measured harvests of each pass, as from `analysis.report.tables.by_pass`.
    cells : DataFrame
        Their medians over passes, as from `analysis.report.tables.over_passes`.
    replays : DataFrame
        Summaries of the replayed recordings.
    machine : dict
        asv's description of the machine.
    is_reference : bool
        Whether these are the results that the POWER profiles' walks were fitted to.
    """

    frame: pd.DataFrame
    passes: pd.DataFrame
    cells: pd.DataFrame
    replays: pd.DataFrame
    machine: dict
    is_reference: bool

    @property
    def times(self):
        """How many passes there were, where the least and the greatest are shown, too."""
        several = self.frame["pass"].nunique() > 1
        return f"{self.medians}, in brackets the least and the greatest" if several else "one pass"

    @property
    def medians(self):
        """How many passes there were, where no range is shown."""
        count = self.frame["pass"].nunique()
        return f"median of {count} passes" if count > 1 else "one pass"

    @property
    def walks(self):
        """What to add to the kind of a number that rests on walks of the reference machine."""
        return "" if self.is_reference else ", with walks of the reference machine, not yours"


def load_study():
    """Return the results of the folder that the environment names.

    Raises
    ------
    InputError
        There are none, or the replays are of an earlier version.
    """
    folder = Path(os.environ.get(RESULTS, "results/local"))
    raw = folder / "raw"
    frame = latest(load_results(raw))
    replays = read_replays(folder / "replay")
    missing = [name for name in COUNTED if name not in replays]
    if missing:
        raise InputError(
            f"the replays in {str(folder / 'replay')!r} lack {', '.join(missing)}: accepted are "
            "those of this version's `dirtylog study`"
        )
    passes, machine = by_pass(frame), load_machine(raw, frame["machine"].iloc[0])
    return Study(frame, passes, over_passes(passes), replays, machine, _is_reference(frame))


def _is_reference(frame):
    """Say whether results are those that the committed fits were made of."""
    origin, first = load_reference().origin, frame.iloc[0]
    return (first["machine"], first["commit"]) == (origin["machine"], origin["commit"])


def _hardware(machine):
    """Return a machine in words."""
    if all(machine[field] == UNKNOWN for field in ("cpu", "num_cpu", "os")):
        return f"{machine['machine']}, a machine that asv noted nothing of"
    parts = (("cpu", "{}", "CPU"), ("num_cpu", "{} CPUs", "number of CPUs"), ("os", "{}", "OS"))
    return ", ".join(
        f"{what} {UNKNOWN}" if machine[field] == UNKNOWN else text.format(machine[field])
        for field, text, what in parts
    )


def describe(study):
    """Return one line: on which machine, when and from which commit the times were measured."""
    frame, origin = study.frame, study.machine
    date, commit = frame["started_at"].max().date(), frame["commit"].iloc[0][:8]
    failed, count = (frame["status"] == FAILED).sum(), frame["pass"].nunique()
    said = (
        f"Measured on {_hardware(origin)}, on {date}, "
        f"commit or snapshot {commit}, {count} {'passes' if count > 1 else 'pass'}; {failed} "
        "benchmark cells failed."
    )
    if study.is_reference:
        return said
    other = load_reference().origin
    return (
        f"{said} What is modelled for hashed page tables rests on walks that were measured on the "
        f"reference machine, {other['cpu']} ({other['date']}), not yours; it says so."
    )


def say(text):
    """Show a sentence, Markdown allowed."""
    display(Markdown(text))


def say_table(frame):
    """Show a table of texts as Markdown, so that the answer has it, too."""
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    say("\n".join(f"| {' | '.join(map(str, row))} |" for row in rows))


def table(frame, caption):
    """Show a DataFrame as a table under its caption, which says what kind its numbers are."""
    rows = frame.rename_axis(columns=None).to_html(index=False, border=0, float_format=number)
    display(HTML(f'<div class="table"><p class="caption">{caption}</p>{rows}</div>'))


def show(figure, name, caption):
    """Show a figure as a picture inside the page; the report writes it to a file of that name."""
    file = BytesIO()
    figure.savefig(file, dpi=DPI)
    data = base64.b64encode(file.getvalue()).decode()
    source = f"data:image/png;base64,{data}"
    picture = f'<img id="{name}" alt="{caption}" src="{source}">'
    display(HTML(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"))
