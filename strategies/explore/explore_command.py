"""The command `dirtylog explore`."""

import click

from strategies.options import STRATEGY


@click.command()
@click.argument("program", required=False)
@STRATEGY
@click.option("--bound", type=click.IntRange(0, 9), help="Preemptions at most.")
@click.option(
    "--memory",
    type=click.Choice(["sc", "tso"]),
    help="Sequentially consistent, or as x86: each thread has a store buffer.  [default: sc]",
)
@click.option("--replay", "schedule", help="Run this one schedule of PROGRAM and print its trace.")
@click.option("--defect", help="Switch on a defect of the catalogue.")
@click.option("--long", "is_long", is_flag=True, help="More threads and preemptions: minutes.")
@click.option(
    "--generated",
    type=click.Choice(["pairs", "all"]),
    help="Programs of all pairs of operations, or also of all triples with a harvest.",
)
@click.option("--part", metavar="K/N", help="Of those, every N-th, from K on.")
@click.option("--out", metavar="FILE", help="Note in FILE what was run; go on from there.")
@click.option("--catalogue", is_flag=True, help="Show which known defects are found.")
@click.option("--list", "listed", is_flag=True, help="List the programs.")
def explore(program, chosen, **arguments):
    """Run small programs of the machine under all schedules of few preemptions, for each tracker.

    PROGRAM is one that --list shows; by default all of them. Exit status 1: a schedule fails.
    """
    from strategies.explore.session import run_explore

    return run_explore(program, chosen, **arguments)
