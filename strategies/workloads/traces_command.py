"""The command `dirtylog traces`."""

import click

from strategies.terminal import echo_columns


@click.command()
def traces():
    """List the recordings that come with the package."""
    from strategies.workloads.trace import bundled, load_trace

    rows = [("trace", "slot pages", "epochs", "epoch ms", "mean density", "program")]
    for trace in map(load_trace, bundled()):
        density, program = f"{trace.density:.3%}", trace.meta["program"]
        rows.append(
            (trace.name, trace.slot_pages, trace.epochs, f"{trace.epoch_ms:g}", density, program)
        )
    echo_columns(rows)
