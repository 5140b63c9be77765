"""The command line, `dirtylog`: a table of commands, and how what went wrong is said.

A command is one file and one line here. It imports what it needs when it runs: help must not wait
for numpy and numba.
"""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

import click

from strategies.errors import InputError

COMMANDS = {
    "strategies": "strategies.strategies_command:strategies",
    "traces": "strategies.workloads.traces_command:traces",
    "trace": "strategies.workloads.trace_command:trace",
    "synth": "strategies.workloads.synth_command:synth",
    "import": "strategies.workloads.import_command:import_",
    "replay": "analysis.model.replay_command:replay",
    "record": "strategies.record.record_command:record",
    "lanes": "strategies.lanes.lanes_command:lanes",
    "study": "strategies.study_command:study",
    "report": "analysis.report.report_command:report",
    "contract": "strategies.contract.contract_command:contract",
    "explore": "strategies.explore.explore_command:explore",
    "litmus": "strategies.litmus.litmus_command:litmus",
    "sweep": "analysis.fleet.sweep_command:sweep",
    "fleet": "analysis.fleet.fleet_command:fleet",
    "calibrate": "analysis.model.calibrate_command:calibrate",
    "model": "analysis.model.model_command:model",
    "advise": "analysis.advice.advise_command:advise",
}
"""Name, and where its function is: module, colon, function."""


class Commands(click.Group):
    """The table as click asks for it: a command's module is imported when it is named."""

    def list_commands(self, _ctx):
        """Return the names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _ctx, name):
        """Return a command, or None if there is none of that name."""
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name].partition(":")
        return getattr(import_module(module), function)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dirtylog` and return its exit status.

    What a user got wrong ends in one line on stderr and status 2, an interrupt in 130.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it keeps its fonts
    if hasattr(sys.stdout, "reconfigure"):  # a trace's name may have letters that a terminal lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    return run(cli, arguments or ["--help"], "dirtylog")


def run(command: click.Command, arguments: Sequence[str], name: str) -> int:
    """Run a command line and return its exit status, as `main` does; any program may be run so."""
    try:
        return command(arguments, prog_name=name, standalone_mode=False) or 0
    except click.ClickException as error:
        return _refuse(name, _usage_message(error))
    except InputError as error:
        return _refuse(name, str(error))
    except MemoryError as error:
        return _refuse(name, f"not enough memory ({error}); use a smaller slot or trace")
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{name}: interrupted", err=True)
        return 130
    except OSError as error:
        if not error.filename:  # what is still buffered would fail once more at the exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _refuse(name, f"{error.filename or 'output'}: {error.strerror or error}")


def _show_version(ctx, _param, wanted):
    if wanted:
        click.echo(f"dirtylog {version('dirtylog')}")
        ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli():
    """Compare the dirty-page trackers of a hypervisor on one simulated machine."""


def _usage_message(error: click.ClickException) -> str:
    """Return click's message in one line, with what is accepted or where to read it."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    if context.command is cli:
        return f"{message}; accepted: a command ({', '.join(COMMANDS)}) or --help"
    return f"{message}; see '{context.command_path} --help'"


def _refuse(name: str, message: str) -> int:
    click.echo(f"{name}: error: {' '.join(message.splitlines())}", err=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
