"""How all figures of the report are drawn: letters, axes, panels, and how they become files.

A figure is transparent; on dark pages each of its colours is another (ON_DARK). It is narrow and
its letters are large, for a phone shows it at half its size.
"""

import re
import textwrap
from functools import wraps
from io import BytesIO, StringIO

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from strategies import styles
from strategies.units import duration, size_text

WIDTH = 6.4
"""Inches of every figure: 400 pixels of a phone leave 58 for each."""

INK = "#424a53"
ON_DARK = styles.ON_DARK | {INK: "#c9d1d9"}
"""Letters and axes, and what each colour becomes on a dark page."""

DPI = 130
NOTE_LETTERS = 98
LONG_NUMBER = re.compile(r"([1-9]\d*\.\d\d)\d+")
GRID = {"alpha": 0.3, "linewidth": 0.6}
DENSITIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""What axes of densities are labelled with."""

SETTINGS = {
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.framealpha": 0.0,
    "legend.edgecolor": "none",
    "savefig.facecolor": "none",
    "svg.hashsalt": "dirtylog",
}


def drawn(function):
    """Draw with SETTINGS: the figure that `function` returns has its ticks already."""

    @wraps(function)
    def with_settings(*args, **kwargs):
        with mpl.rc_context(SETTINGS):
            figure = function(*args, **kwargs)
            figure.draw_without_rendering()
            return figure

    return with_settings


def svg_of(figure):
    """Return a figure as text of SVG; the same figure gives the same text."""
    file = StringIO()
    with mpl.rc_context(SETTINGS):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    return LONG_NUMBER.sub(r"\1", text[text.index("<svg") :])


def write_figure(folder, name, svg):
    """Write a figure's SVG to a folder, and as `-dark` what it is on a dark page."""
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    for light, dark in ON_DARK.items():
        svg = svg.replace(light, dark)
    (folder / f"{name}-dark.svg").write_text(svg, encoding="utf-8")


def themed(svg):
    """Return a figure's SVG in CSS variables, `--424a53` for #424a53, for a page that sets them."""
    for light in ON_DARK:
        svg = svg.replace(light, f"var(--{light[1:]}, {light})")
    return svg


def png_of(figure):
    """Return a figure as the bytes of a picture, on white."""
    file = BytesIO()
    with mpl.rc_context(SETTINGS):
        options = {"dpi": DPI, "facecolor": "white", "metadata": {"Software": None}}
        figure.savefig(file, format="png", **options)
    return file.getvalue()


def titled(figure, message, note):
    """Put a figure's message above it, and below what its marks mean."""
    figure.suptitle(message)
    figure.supxlabel(_filled(note), fontsize=9)


def _filled(note):
    return "\n".join(textwrap.fill(line, NOTE_LETTERS) for line in note.splitlines())


def noted_legend(figure, note, **options):
    """Put the legend below a figure, under a note of what its marks mean."""
    figure.legend(
        loc="outside lower center",
        ncols=2,
        title=_filled(note),
        title_fontsize=9,
        **options,
    )


def percent_text(fraction, _position=None):
    """Return a fraction in per cent, as short as it goes."""
    return f"{float(f'{100 * fraction:.3g}'):g}%"


def time_text(ns, _position=None):
    """Return nanoseconds in the unit that suits."""
    return duration(ns).replace("us", "µs")


def density_axis(axis, densities=DENSITIES):
    """Label an axis of densities in per cent."""
    axis.set_major_locator(FixedLocator(densities))
    axis.set_major_formatter(FuncFormatter(percent_text))
    axis.set_minor_formatter(NullFormatter())


def time_axis(axis):
    """Label an axis of nanoseconds in ns, µs, ms and s."""
    axis.set_major_locator(LogLocator(base=10, numticks=8))
    axis.set_major_formatter(FuncFormatter(time_text))
    axis.set_minor_formatter(NullFormatter())


def size_axis(axis, base=16):
    """Label an axis of bytes in MiB and GiB."""
    axis.set_major_locator(LogLocator(base=base))
    axis.set_major_formatter(FuncFormatter(lambda value, _: size_text(value)))
    axis.set_minor_formatter(NullFormatter())


def panels_of(count, height, columns=2, **options):
    """Return a figure of panels, as many as needed, and those panels."""
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, height * rows + 1.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **options).flat
    for panel in panels[count:]:
        panel.set_axis_off()
    return figure, list(panels[:count])
