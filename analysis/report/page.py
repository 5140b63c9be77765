"""One page of HTML that needs nothing else."""

from html import escape

from analysis.report.drawing import ON_DARK

LIGHT = "; ".join(f"--{light[1:]}: {light}" for light in ON_DARK)
DARK = "; ".join(f"--{light[1:]}: {dark}" for light, dark in ON_DARK.items())

STYLE = (
    f"""
:root {{ color-scheme: light dark; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0;
  --page: #fff; {LIGHT} }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #d1d7e0; --quiet: #9198a1; --line: #3d444d; --page: #0d1117; {DARK} }}
}}
"""
    + """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem;
  color: var(--text); background: var(--page); }
a { color: var(--0072b2); }
p, li { max-width: 46rem; overflow-wrap: break-word; }
ul { padding-left: 1.2rem; margin: 0.6rem 0; }
li p { margin: 0; }
figure { margin: 1rem 0; max-width: 46rem; }
figure svg { display: block; width: 100%; height: auto; }
h1 { font-size: 1.5rem; margin: 0.3rem 0; }
h2 { font-size: 1.2rem; margin: 1.6rem 0 0.4rem; }
figcaption, .origin { font-size: 0.85rem; color: var(--quiet); max-width: 46rem; }
@media print, (min-width: 64rem) {
  .output:has(> :first-child figure):has(> :nth-child(2) figure) {
    display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; }
}
.table { margin: 1rem 0; }
.caption { font-weight: 600; margin: 0.3rem 0; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums;
  max-width: 100%; }
th, td { padding: 0.25rem 0.6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
thead th { border-bottom: 2px solid var(--quiet); }
summary { cursor: pointer; margin: 0.6rem 0; }
@media screen and (max-width: 48rem) {
  thead { display: none; }
  table, tbody, tr, td { display: block; }
  tr { border-bottom: 2px solid var(--line); padding: 0.4rem 0; }
  td { display: flex; justify-content: space-between; gap: 1rem; border: 0; text-align: right;
    padding: 0.1rem 0.3rem; }
  td::before { content: attr(data-label); color: var(--quiet); text-align: left;
    flex: 0 1 auto; min-width: 30%; }
  td:first-child { font-weight: 600; text-align: left; }
  td:first-child::before { content: none; }
}
nav a { display: inline-block; margin: 0.2rem 1.2rem 0.2rem 0; }
section { border-top: 3px solid var(--line); margin-top: 1rem; }
.anchor-link, .jp-InputPrompt, .jp-OutputPrompt, .prompt { display: none; }
@media print {
  html { font-size: 10pt; }
  body { font-size: 1rem; max-width: none; padding: 0; }
  nav { display: none; }
  p, li { max-width: none; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.1rem 0.3rem; }
  figure, tr { break-inside: avoid; }
  h1, h2, .caption { break-after: avoid; }
  figure svg { max-height: 9in; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
)


def page(heading, sections, titles, notes):
    """Return the whole page; it refers to nothing outside itself.

    Parameters
    ----------
    heading : str
    sections, titles : dict of str to str
        By name: HTML, and what the link to it says.
    notes : sequence of str
        HTML of the last lines: which machine the numbers are of, and of what kind they are.
    """
    links = "".join(f'<a href="#{name}">{escape(titles[name])}</a>' for name in sections)
    links += '<a href="#numbers">About the numbers</a>'
    body = "\n".join(sections.values())
    last = "\n".join(f'<p class="origin">{note}</p>' for note in notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dirtylog: {escape(heading)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(heading)}</h1>
<nav>{links}</nav>
{body}
<section id="numbers">
{last}
</section>
</body>
</html>
"""
