"""The command `dirtylog record`."""

from pathlib import Path

import click

from strategies.errors import InputError
from strategies.options import check_new_file
from strategies.units import DURATION


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--interval", type=DURATION, default="10ms", show_default=True, help="An epoch.")
@click.option("--duration", type=DURATION, help="End the program after this; the status is then 0.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The trace.  [default: the program's name with .npz]",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--pid", hidden=True)
def record(command, interval, duration, out, force, pid):
    """Run a program and record which of its pages it writes: -- COMMAND ARGUMENT...

    The exit status is the program's. It must be dynamically linked; its children are recorded too.
    """
    if pid is not None:
        raise InputError(
            "--pid is refused: a process can only protect its own pages, from its start on; "
            "accepted: dirtylog record -- COMMAND ARGUMENT..."
        )
    if not command:
        raise InputError("no command; accepted: dirtylog record -- COMMAND ARGUMENT...")
    out = out or Path(f"{Path(command[0]).name}.npz")
    check_new_file(out, force)
    from strategies.record.program import run_record
    from strategies.workloads.checks import check_name

    check_name(out.stem)  # before the program runs: it may run for long

    return run_record(command, interval_ns=interval, duration_ns=duration, out=out)
