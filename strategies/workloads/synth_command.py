"""The command `dirtylog synth`."""

from pathlib import Path

import click

from strategies.errors import InputError
from strategies.options import check_new_file
from strategies.units import FRACTION, PAGES
from strategies.workloads.recipe import Recipe


@click.command()
@click.argument("pattern")
@click.option("--slot", type=PAGES, help="Memory of the slot, instead of --pages.")
@click.option("--pages", type=int, help=f"Pages of 4 KiB of it.  [default: {Recipe.slot_pages}]")
@click.option(
    "--density",
    type=FRACTION,
    default=f"{Recipe.density:.0%}",
    show_default=True,
    help="Pages written per epoch / pages of the slot.",
)
@click.option("--epochs", type=int, default=Recipe.epochs, show_default=True)
@click.option("--epoch-ms", type=float, default=Recipe.epoch_ms, show_default=True)
@click.option("--seed", type=int, default=Recipe.seed, show_default=True)
@click.option("--stores", type=int, help="Stores per epoch.  [default: one to each written page]")
@click.option(
    "--reads", type=int, default=Recipe.reads, show_default=True, help="Pages only read per epoch."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def synth(pattern, slot, pages, out, force, **arguments):
    """Make a synthetic trace.

    PATTERN is uniform, zipf, sequential, clustered or framebuffer.
    """
    from strategies.workloads.synthetic import synthesize
    from strategies.workloads.trace import save_trace, wrote_text

    check_new_file(out, force)
    trace = synthesize(pattern, slot_pages=_slot_pages(slot, pages), **arguments)
    save_trace(trace, out)
    click.echo(wrote_text(trace, out))


def _slot_pages(slot: int | None, pages: int | None) -> int:
    if slot is not None and pages is not None:
        raise InputError("--slot and --pages both give the size; accepted: one of them")
    return pages if pages is not None else slot or Recipe.slot_pages
