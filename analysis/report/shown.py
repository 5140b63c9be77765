"""What the notebooks share: where the results are, and how prose, tables and figures are shown."""

import base64
import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from IPython.display import HTML, Markdown, display

import analysis
from analysis.measured.carried import load_carried
from analysis.measured.harvests import read_replays
from analysis.measured.load import FAILED, UNKNOWN, latest, load_machine, load_results
from analysis.measured.reference import load_reference
from analysis.report import markup
from analysis.report.drawing import png_of, svg_of
from analysis.report.tables import by_pass, over_passes
from strategies.errors import InputError

RESULTS = "DIRTYLOG_RESULTS"
"""Environment variable that names the folder; `dirtylog report` sets it."""

ROOT = Path(analysis.__file__).parents[1] / "results"
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
        if self.pass_count == 1:
            return "one pass"
        return f"{self.medians}, in brackets the least and the greatest"

    @property
    def pass_count(self):
        """How many passes there were."""
        return self.frame["pass"].nunique()

    @property
    def medians(self):
        """The same, where no range is shown."""
        return f"median of {self.pass_count} passes" if self.pass_count > 1 else "one pass"

    @property
    def walks(self):
        """What to add to the kind of a number that rests on walks of the reference machine."""
        return "" if self.is_reference else ", with walks of the reference machine, not yours"

    @property
    def elsewhere(self):
        """What to add to a figure in which nothing was measured on the machine of the results."""
        return "" if self.is_reference else ", nothing of your machine"


def results_folder():
    """Return the folder that the environment names, else this checkout's study, else the reference.

    It does not hang on where a notebook runs.
    """
    if RESULTS in os.environ:
        return Path(os.environ[RESULTS])
    local = ROOT / "local"
    return local if (local / "raw").is_dir() and (local / "replay").is_dir() else ROOT / "reference"


def load_study():
    """Return the results under study.

    Raises
    ------
    InputError
        There are none, or the replays are of an earlier version.
    """
    folder = results_folder()
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


def load_second(study):
    """Return the reference beside the second machine.

    Returns
    -------
    analysis.measured.carried.Carried or None
        None where no second machine was measured, or where other results are under study.
    """
    if not study.is_reference:
        return None
    return load_carried(ROOT / "reference" / "derived", ROOT / "second" / "derived")


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
    failed, count = (frame["status"] == FAILED).sum(), study.pass_count
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
    """Show a table of texts that the answer has, too."""
    markdown, html = markup.table_markdown(frame), markup.table_html(frame, "")
    display({"text/markdown": markdown, "text/html": html}, raw=True)


def table(frame, caption):
    """Show a DataFrame, or a HeatMap, under a caption that says what kind its numbers are."""
    display(HTML(_html(frame, caption)))


def fold(frame, summary):
    """Show a DataFrame, or a HeatMap, when its summary is clicked."""
    display(HTML(markup.folded(summary, _html(frame, ""))))


def _html(frame, caption):
    if isinstance(frame, markup.HeatMap):
        return markup.table_html(frame.texts, caption, frame.values)
    return markup.table_html(frame, caption)


def show(figure, name, caption):
    """Show a figure; the report writes it to files of that name."""
    svg = svg_of(figure)
    forms = {
        "text/html": markup.figure_html(svg, name, figure.get_suptitle(), caption),
        "image/svg+xml": svg,
        "image/png": base64.b64encode(png_of(figure)).decode(),
        "text/plain": caption,
    }
    display(forms, raw=True, metadata={"figure": name})
