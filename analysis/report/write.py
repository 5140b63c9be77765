"""Run the notebooks and write one page of HTML that needs nothing else.

Of a folder that holds asv's results in `raw`, and the CSV files of the replays in `replay`. Beside
the page are its figures as pictures, and `answer.md`, the answer as text.
"""

import base64
import os
import re
from html import escape
from pathlib import Path

import click
import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

from analysis.report.shown import RESULTS, describe, load_study

NOTEBOOKS = Path(__file__).parent / "notebooks"
ORDER = ("00_answer", "01_takuya", "02_paul", "03_trade_off")

ANSWER = ORDER[0]
PICTURE = re.compile(r'id="(\w+)" src="data:image/png;base64,([^"]+)"')
CELL_ID = re.compile(r' id="cell-id=\w+"')
"""Drawn anew at each run; without them the same results give the same page."""

MARK, END = r"(<!-- \S+answer\.md -->\n)", "<!-- end -->"

CELL_TIMEOUT_S = 300
TITLES = {
    "00_answer": "The answer",
    "01_takuya": "Takuya's concern: the harvest",
    "02_paul": "Paul's concern: the guest",
    "03_trade_off": "The trade-off",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem;
  color: #222; background: #fff; }
p, li { max-width: 46rem; }
figure { margin: 1rem 0; max-width: 52rem; }
img { max-width: 100%; height: auto; }
h1 { font-size: 1.5rem; margin: 0.3rem 0; }
figcaption { font-size: 0.85rem; color: #555; max-width: 46rem; }
.origin { font-size: 0.85rem; color: #555; }
@media (min-width: 64rem) {
  figure:has(#at_a_glance) { float: right; width: 50%; margin: 0 0 1rem 1.5rem; }
}
.table, .output_markdown { overflow-x: auto; }
.table { margin: 1rem 0; }
.caption { font-weight: 600; margin: 0.3rem 0; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; text-align: left; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #888; }
.output_markdown td { min-width: 6.5rem; }
nav a { margin-right: 1.2rem; }
section { border-top: 3px solid #ccc; margin-top: 1rem; clear: both; }
.anchor-link, .jp-InputPrompt, .jp-OutputPrompt, .prompt { display: none; }
"""


class ClaimError(Exception):
    """A notebook's claim does not hold for these results."""


def execute(path):
    """Return the executed notebook of a py:percent file.

    Raises
    ------
    ClaimError
        A cell failed: a claim does not hold, or the results lack what it needs.
    """
    client = NotebookClient(
        jupytext.read(path),
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        return client.execute()
    except CellExecutionError as error:
        reason = f"{error.ename}: {error.evalue}"
        raise ClaimError(f"{path.name} does not hold for these results: {reason}") from error


def section(name, notebook):
    """Return a notebook as a section of the page: its prose and outputs, not its code."""
    exporter = HTMLExporter(template_name="basic", exclude_input=True)
    body, _ = exporter.from_notebook_node(notebook)
    body = CELL_ID.sub("", body)
    return f'<section id="{name}">\n{body}\n</section>'


def page(sections, origin):
    """Return the whole page; it refers to nothing outside itself."""
    links = "".join(f'<a href="#{name}">{escape(TITLES[name])}</a>' for name in sections)
    body = "\n".join(sections.values())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dirtylog: the study</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Scan the changed bits, or fault on the first write?</h1>
<nav>{links}</nav>
{body}
<section>
<p class="origin">{escape(origin)}</p>
<p class="origin">Each claim is an assertion in <code>analysis/report/notebooks</code>, which ran
when the page was made. Numbers are <em>measured</em> (that machine, this code), <em>exact</em>
(counts), <em>modelled</em> (counts times unit costs, a range over draws of them all),
<em>cited</em> or <em>estimated</em>; each says which.</p>
</section>
</body>
</html>
"""


def sentences(notebook):
    """Return what a notebook says, as Markdown."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    said = (output.get("data", {}).get("text/markdown") for output in outputs)
    return "\n\n".join(text for text in said if text) + "\n"


def write_report(results, out):
    """Execute all notebooks on a folder of results; write the page, its pictures and the answer.

    Raises
    ------
    ClaimError, InputError
    """
    os.environ[RESULTS] = str(Path(results).resolve())
    origin = describe(load_study())
    notebooks = {}
    for name in ORDER:
        click.echo(f"{name} ...", err=True)
        notebooks[name] = execute(NOTEBOOKS / f"{name}.py")
    whole = page({name: section(name, one) for name, one in notebooks.items()}, origin)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(whole, encoding="utf-8")
    out.with_name("answer.md").write_text(sentences(notebooks[ANSWER]), encoding="utf-8")
    for name, data in PICTURE.findall(whole):
        out.with_name(f"{name}.png").write_bytes(base64.b64decode(data))


def put_answer(readme, answer):
    """Replace what stands between the marks of a README by the answer."""
    before, mark, rest = re.split(MARK, readme.read_text(encoding="utf-8"), maxsplit=1)
    after = rest[rest.index(END) :]
    readme.write_text(f"{before}{mark}{answer}{after}", encoding="utf-8")
