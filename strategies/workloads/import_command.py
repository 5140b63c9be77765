"""The command `dirtylog import`."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click

from strategies.errors import InputError
from strategies.options import check_new_file, given_options
from strategies.units import PAGES
from strategies.workloads.imports import FORMATS


@dataclass(frozen=True)
class Options:
    """What the readers are told besides the files."""

    name: str
    slot_pages: int | None
    epoch_ms: float
    epochs: int
    instructions: int
    seed: int

    def meta(self, slot_pages, epochs, source):
        """Return the meta of a trace of 4 KiB pages."""
        return {
            "name": self.name,
            "page_size": 4096,
            "slot_pages": slot_pages,
            "epoch_ms": self.epoch_ms,
            "epochs": epochs,
            "imported": source,
        }

    def refuse_slot(self, fmt):
        """Raise InputError if a slot was given to a format that makes its own."""
        if self.slot_pages is not None:
            raise InputError(f"--slot is not of {fmt}: its addresses make the slot")


ONLY_OF = {"--instructions": "lackey", "--epochs": "dirty-rate", "--seed": "dirty-rate"}
"""Options that one format reads alone."""


def _refuse_others(fmt):
    """Raise InputError if an option was given that the format does not read."""
    for option in sorted(given_options() & ONLY_OF.keys()):
        if fmt != ONLY_OF[option]:
            raise InputError(f"{option} is not of {fmt}; accepted: with {ONLY_OF[option]}")


def _help():
    return "\b\n" + "\n".join(f"{name:<11} {text}" for name, (_, text) in FORMATS.items())


@click.command(
    "import",
    help=f"Make a trace of other people's data.\n\nFORMAT is one of\n\n{_help()}",
    context_settings={"max_content_width": 110},
)
@click.argument("fmt", metavar="FORMAT")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option(
    "--slot", "slot_pages", type=PAGES, help="Memory of the slot, where the data do not tell."
)
@click.option("--epoch-ms", type=float, default=10.0, show_default=True)
@click.option("--epochs", type=int, default=100, show_default=True, help="Of a made-up trace.")
@click.option(
    "--instructions",
    type=click.IntRange(1),
    default=10_000_000,
    show_default=True,
    help="Of an epoch of lackey.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def import_(fmt, files, out, slot_pages, force, **rest):
    """Make a trace of other people's data."""
    if fmt not in FORMATS:
        raise InputError(f"no format {fmt!r}; accepted: {', '.join(FORMATS)}")
    check_new_file(out, force)
    _refuse_others(fmt)
    if len(files) > 1 and fmt != "bitmap":
        raise InputError(f"{len(files)} files; accepted: one, several of bitmap alone")
    from strategies.workloads.trace import save_trace, wrote_text

    module, _, function = FORMATS[fmt][0].partition(":")
    reader = getattr(import_module(f"strategies.workloads.imports.{module}"), function)
    options = Options(name=out.stem, slot_pages=slot_pages, **rest)
    trace = reader(files, options)
    save_trace(trace, out)
    error = trace.meta.get("curve_worst_error")
    made_up = "" if error is None else f"; made up, its curve off by {error:.1%} at most"
    click.echo(wrote_text(trace, out) + made_up)
