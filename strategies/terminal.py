"""How the commands show columns and progress."""

import click


def echo_columns(rows):
    """Print rows of cells, each column as wide as its widest cell."""
    table = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
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
