"""The command `dirtylog explore`."""

import click

from strategies.errors import InputError
from strategies.options import STRATEGY, given_options

TAKEN = {
    "--list": (),
    "--catalogue": (),
    "--generated": ("--strategy", "--bound", "--memory", "--part", "--out"),
    "--replay": ("PROGRAM", "--strategy", "--bound", "--memory", "--defect"),
    "--defect": ("PROGRAM", "--strategy", "--bound", "--memory"),
    None: ("PROGRAM", "--strategy", "--bound", "--memory", "--long"),
}
"""What is asked for, by default programs, and what may stand beside it."""


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
    _refuse_ignored(given_options())
    from strategies.explore.session import run_explore

    return run_explore(program, chosen, **arguments)


def _refuse_ignored(given):
    """Raise InputError if an option was given that would say nothing."""
    mode = next((mode for mode in TAKEN if mode in given), None)
    ignored = sorted(given - {mode, *TAKEN[mode]})
    if ignored:
        beside = f" beside {mode}" if mode else " alone"
        owners = [owner or "no other" for owner, taken in TAKEN.items() if ignored[0] in taken]
        accepted = f"with {' or '.join(owners)}" if owners else "one of them"
        raise InputError(f"{ignored[0]} says nothing{beside}; accepted: {accepted}")
