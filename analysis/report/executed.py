"""The notebooks: their texts, run, and kept as notebooks that show what came out."""

import re
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

FOLDER = Path(__file__).parent / "notebooks"
TITLES = {
    "00_answer": "The answer",
    "01_advice": "Advice and published times",
    "02_takuya": "Takuya's concern: the harvest",
    "03_paul": "Paul's concern: the guest",
    "04_since": "What nobody had in 2011",
    "05_kernels": "On real kernels",
}
"""By the name of its text, in the order of the page."""

CELL_ID = re.compile(r' id="cell-id=[\w-]+"')
CELL_TIMEOUT_S = 300
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


class ClaimError(Exception):
    """A notebook's claim does not hold for these results."""


def execute(name):
    """Return the executed notebook of a text.

    Raises
    ------
    ClaimError
        A cell failed: a claim does not hold, or the results lack what it needs.
    """
    client = NotebookClient(
        read(name),
        timeout=CELL_TIMEOUT_S,
        kernel_name=KERNEL["name"],
        extra_arguments=["--log-level=CRITICAL"],
    )
    try:
        return client.execute()
    except AssertionError as error:
        if client.km is None:  # an interrupt took the kernel away
            raise KeyboardInterrupt from error
        raise
    except CellExecutionError as error:
        reason = f"{error.ename}: {error.evalue}"
        raise ClaimError(f"{name}.py does not hold for these results: {reason}") from error


def read(name):
    """Return the notebook of a text, its cells numbered, so that it is the same each time."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {}
    notebook["metadata"] = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def figures_of(notebook):
    """Yield the name and the SVG of each figure that a notebook shows."""
    for output in _outputs(notebook):
        if "figure" in output.get("metadata", {}):
            yield output["metadata"]["figure"], output["data"]["image/svg+xml"]


def sentences(notebook):
    """Return what a notebook says, as Markdown."""
    said = (output.get("data", {}).get("text/markdown") for output in _outputs(notebook))
    return "\n\n".join(text for text in said if text) + "\n"


def section(name, notebook):
    """Return a notebook as a section of the page: its prose and outputs, not its code."""
    exporter = HTMLExporter(template_name="basic", exclude_input=True)
    body, _ = exporter.from_notebook_node(notebook)
    body = CELL_ID.sub("", body)
    return f'<section id="{name}">\n{body}\n</section>'


def write(notebook, path):
    """Write an executed notebook as a file that does not tell when and where it ran.

    Of a figure it has the picture alone, which every viewer shows.
    """
    kept = nbformat.from_dict(notebook)
    kept["metadata"] = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in kept.cells:
        cell["metadata"] = {}
    for output in _outputs(kept):
        if "image/png" in output.get("data", {}):
            output["data"] = {key: output["data"][key] for key in ("image/png", "text/plain")}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(kept, path)


def _outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]
