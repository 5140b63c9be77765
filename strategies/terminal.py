"""How the commands show columns and progress."""

import click


def echo_columns(rows):
    """Print rows of cells, each column as wide as its widest cell."""
    rows = [[*row] for row in rows]
    widths = _widths(rows)
    for row in rows:
        _echo_row(row, widths)


def begin_columns(header, beginnings):
    """Print the header of columns; return a function that prints a row of them.

    Parameters
    ----------
    header : sequence of str
    beginnings : sequence of tuple
        The first cells of each row, known before. The others are to fit below the header.
    """
    widths = _widths([header, *((*cells, *header[len(cells) :]) for cells in beginnings)])
    _echo_row(header, widths)
    return lambda row: _echo_row(row, widths)


def _widths(rows):
    return [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]


def _echo_row(row, widths):
    cells = (str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
    click.echo("  ".join(cells).rstrip())


def progress_bar(console=None):
    """Return a progress bar that leaves nothing behind; silent unless someone looks.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where it is shown, and where lines may be printed above it; by default stderr.
    """
    # Imported here: commands that show no progress start without it.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    console = console or Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.file.isatty(),
    )
