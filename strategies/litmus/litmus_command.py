"""The command `dirtylog litmus`."""

import click


@click.command()
@click.option("--out", metavar="DIR", help="Write the tests to this folder.")
@click.option("--run", "is_run", is_flag=True, help="Let herd7 judge them; it must be on the path.")
def litmus(out, is_run):
    """Show what arm64's memory model says of the order of each tracker's steps.

    Without an option the recorded verdicts are shown, each beside the explorer's. Exit status 1:
    herd7 judges otherwise than it is recorded.
    """
    from strategies.litmus.session import run_litmus

    return run_litmus(out, is_run)
