"""The command `dirtylog study`."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/local"),
    show_default=True,
    help="Folder for the CSV files and the plots.",
)
def study(out):
    """Replay every bundled recording through every tracker."""
    from strategies.registry import names
    from strategies.replay.session import run_replay
    from strategies.workloads.trace import bundled, load_trace

    for name in bundled():
        trace = load_trace(name)
        status = run_replay(trace, names(), label=name, vcpus=1, mapping="linear", out=out)
        if status:
            return status
    return 0
