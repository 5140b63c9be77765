"""The command line, `dirtylog`.

Every command imports what it needs when it runs: help must not wait for numpy and numba.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from strategies.errors import InputError
from strategies.terminal import echo_columns
from strategies.units import DURATION, FRACTION, SIZE, WEIGHTS

PAGE_SHIFTS = {"4KiB": 12, "64KiB": 16}
FORMAT = click.Choice(["table", "json"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dirtylog` and return its exit status.

    What a user got wrong ends in one line on stderr and status 2, an interrupt in 130.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.
    """
    try:
        return cli(argv, prog_name="dirtylog", standalone_mode=False) or 0
    except click.ClickException as error:
        return _refuse(_usage_message(error))
    except InputError as error:
        return _refuse(str(error))
    except MemoryError as error:
        return _refuse(f"not enough memory ({error}); use a smaller slot or trace")
    except (click.Abort, KeyboardInterrupt):
        click.echo("dirtylog: interrupted", err=True)
        return 130
    except OSError as error:
        return _system_failed(error)


@click.group(no_args_is_help=False)
def cli():
    """Compare the dirty-page trackers of a hypervisor on one simulated machine."""


@cli.command()
@click.option("--format", "fmt", type=FORMAT, default="table", show_default=True)
def strategies(fmt):
    """List the trackers."""
    import json

    from strategies.registry import get, names

    rows = [(name, get(name).__doc__.strip().splitlines()[0]) for name in names()]
    if fmt == "json":
        click.echo(json.dumps([{"name": name, "summary": text} for name, text in rows], indent=2))
    else:
        echo_columns([("strategy", "what it does"), *rows])


@cli.command()
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


@cli.command()
@click.argument("pattern")
@click.option("--slot", type=SIZE, help="Memory of the slot.  [default: 256MiB]")
@click.option("--pages", type=int, help="Pages of 4 KiB of the slot, instead of --slot.")
@click.option(
    "--density",
    type=FRACTION,
    default="1%",
    show_default=True,
    help="Pages written per epoch / pages of the slot.",
)
@click.option("--epochs", type=int, default=100, show_default=True)
@click.option("--epoch-ms", type=float, default=10.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--stores", type=int, help="Stores per epoch.  [default: one to each written page]")
@click.option("--reads", type=int, default=0, show_default=True, help="Pages only read per epoch.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def synth(pattern, slot, pages, out, force, **arguments):
    """Make a synthetic trace.

    PATTERN is uniform, zipf, sequential, clustered or framebuffer.
    """
    from strategies.workloads.synthetic import synthesize
    from strategies.workloads.trace import save_trace

    if out.exists() and not force:
        raise InputError(f"{str(out)!r} exists; give another --out, or --force to replace it")
    trace = synthesize(pattern, slot_pages=_slot_pages(slot, pages), **arguments)
    save_trace(trace, out)
    click.echo(
        f"wrote {click.format_filename(out)}: {trace.slot_pages} pages of 4 KiB, "
        f"{trace.epochs} epochs of {trace.epoch_ms:g} ms, mean density {trace.density:.3%}"
    )


@cli.command()
@click.argument("trace")
@click.option("--strategy", "chosen", multiple=True, help="Only this one.  Repeatable.")
@click.option("--vcpus", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--page-size",
    type=click.Choice(list(PAGE_SHIFTS)),
    default="4KiB",
    show_default=True,
)
@click.option(
    "--mapping",
    type=click.Choice(["linear", "scattered"]),
    default="linear",
    show_default=True,
    help="How the guest's addresses map to its memory.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    help="Folder for the CSV files and the plot.",
)
@click.option("--format", "fmt", type=FORMAT, default="table", show_default=True)
def replay(trace, chosen, vcpus, page_size, mapping, out, fmt):
    """Run a trace through the trackers.

    TRACE is a name that `dirtylog traces` lists, or an npz file.
    """
    from strategies.workloads.trace import load_trace

    # First, so that what is wrong here is said before the machine is imported.
    loaded = load_trace(trace).coarsen(PAGE_SHIFTS[page_size])
    names = _strategy_names(chosen)

    from strategies.replay.command import run_replay

    label = Path(trace).stem
    return run_replay(loaded, names, label=label, vcpus=vcpus, mapping=mapping, out=out, fmt=fmt)


@cli.command()
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
    from strategies.workloads.trace import bundled, load_trace

    from strategies.replay.command import run_replay  # isort: skip

    for name in bundled():
        trace = load_trace(name)
        status = run_replay(trace, names(), label=name, vcpus=1, mapping="linear", out=out)
        if status:
            return status
    return 0


@cli.command()
@click.argument("program", required=False)
@click.option("--strategy", "chosen", multiple=True, help="Only this one.  Repeatable.")
@click.option("--bound", type=click.IntRange(0, 9), help="Preemptions at most.")
@click.option("--replay", "schedule", help="Run this one schedule of PROGRAM and print its trace.")
@click.option("--defect", help="Switch on a defect of the catalogue.")
@click.option("--long", "is_long", is_flag=True, help="More threads and preemptions: minutes.")
@click.option("--catalogue", is_flag=True, help="Show which known defects are found.")
@click.option("--list", "listed", is_flag=True, help="List the programs.")
def explore(program, chosen, **arguments):
    """Run small programs of the machine under all schedules, for every tracker.

    PROGRAM is one that --list shows; by default all of them. Exit status 1: a schedule fails.
    """
    from strategies.explore.command import run_explore

    return run_explore(program, chosen, **arguments)


@cli.command()
@click.option("--slot", type=SIZE, help="Memory of the slot.")
@click.option("--page-size", type=click.Choice(list(PAGE_SHIFTS)), default="4KiB")
@click.option("--density", type=FRACTION, help="Pages written per interval / pages of the slot.")
@click.option("--interval", type=DURATION, help="Time between two harvests, as 100ms.")
@click.option("--trace", help="Take slot, density and interval from a recording instead.")
@click.option("--vcpus", type=click.IntRange(1, 4096), default=1, show_default=True)
@click.option("--profile", default="x86-kvm", show_default=True, help="Its name, or a TOML file.")
@click.option("--max-harvest", type=DURATION, help="Limit of the harvest latency.")
@click.option("--max-stall", type=FRACTION, help="Limit of vCPU time lost to tracking.")
@click.option("--weights", type=WEIGHTS, default="latency=0,stall=0,cpu=1", show_default=True)
@click.option("--format", "fmt", type=FORMAT, default="table", show_default=True)
def advise(profile, weights, max_harvest, max_stall, fmt, **deployment):
    """Recommend a strategy for a deployment, from modelled costs.

    Exit status 3: no strategy meets the limits.
    """
    from analysis.advice_text import text_of
    from analysis.advise import Wish
    from analysis.advise import advise as advice_for
    from analysis.cost_profile import load_profile

    scenario = _scenario(**deployment)
    wish = Wish(weights, max_harvest, max_stall)
    advice = advice_for(scenario, load_profile(profile), wish)
    if fmt == "json":
        import json

        click.echo(json.dumps(advice, indent=2))
    else:
        click.echo(text_of(advice, scenario, wish))
    return 0 if advice["strategy"] else 3


def _scenario(slot, page_size, density, interval, trace, vcpus):
    """Return the scenario of `advise` from its options, or from a recording."""
    from analysis.model import Scenario

    given = {"--slot": slot, "--density": density, "--interval": interval}
    if trace is None:
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise InputError(f"advise lacks {', '.join(missing)}; accepted: all three, or --trace")
        page_bytes = 1 << PAGE_SHIFTS[page_size]
        if slot % page_bytes:
            raise InputError(f"--slot must be a multiple of {page_size}, not {slot} bytes")
        pages = slot // page_bytes
        return Scenario(pages, pages * density, interval, vcpus)
    if any(value is not None for value in given.values()):
        raise InputError(
            "--trace gives slot, density and interval; accepted: it or those, not both"
        )
    from strategies.workloads.trace import load_trace

    loaded = load_trace(trace).coarsen(PAGE_SHIFTS[page_size])
    dirty_pages = loaded.density * loaded.slot_pages
    return Scenario(loaded.slot_pages, dirty_pages, loaded.epoch_ms * 1e6, vcpus)


def _slot_pages(slot_bytes: int | None, pages: int | None) -> int:
    if slot_bytes is not None and pages is not None:
        raise InputError("--slot and --pages both give the size; accepted: one of them")
    if pages is not None:
        return pages
    slot_bytes = slot_bytes or 256 << 20
    if slot_bytes % 4096:
        raise InputError(f"--slot must be a multiple of 4KiB, not {slot_bytes} bytes")
    return slot_bytes // 4096


def _strategy_names(chosen: Sequence[str]) -> tuple[str, ...]:
    """Return the chosen trackers, each once and known to exist, or all of them."""
    from strategies.registry import get, names

    for name in chosen:
        get(name)
    return tuple(dict.fromkeys(chosen)) or names()


def _usage_message(error: click.ClickException) -> str:
    """Return click's message in one line, with what is accepted or where to read it."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    if context.command is cli:
        return f"{message}; accepted: a command ({', '.join(cli.commands)}) or --help"
    return f"{message}; see '{context.command_path} --help'"


def _refuse(message: str) -> int:
    click.echo(f"dirtylog: error: {' '.join(message.splitlines())}", err=True)
    return 2


def _system_failed(error: OSError) -> int:
    # Output that is still buffered would fail once more when the interpreter exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return _refuse(f"{error.filename or 'output'}: {error.strerror or error}")


if __name__ == "__main__":
    sys.exit(main())
