"""The command `dirtylog trace`: what is in a trace."""

import json
from pathlib import Path

import click

from strategies.options import FORMAT, PAGE_SHIFTS
from strategies.units import DURATION

SCHEMA = 1


@click.command()
@click.argument("trace")
@click.option(
    "--page-size", type=click.Choice(list(PAGE_SHIFTS)), default="4KiB", show_default=True
)
@click.option("--interval", type=DURATION, help="Merge epochs: the nearest whole multiple.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw it, with a map of place against time: FILE.png or FILE.svg.",
)
@FORMAT
def trace(trace, page_size, interval, out, fmt):
    """Show what is in a trace: distinct pages by interval, density, working set, runs.

    TRACE is a name that `dirtylog traces` lists, or an npz file.
    """
    from strategies.errors import InputError
    from strategies.workloads.trace import load_trace

    if out is not None and out.suffix not in (".png", ".svg"):
        raise InputError(f"--out {str(out)!r}: accepted is FILE.png or FILE.svg")
    loaded = load_trace(trace).coarsen(PAGE_SHIFTS[page_size])
    if interval is not None:
        loaded = loaded.at_interval(interval)
    document = describe(loaded)
    if out is not None:
        _draw(loaded, out)  # first: what is refused prints nothing
    click.echo(json.dumps(document, indent=2) if fmt == "json" else text_of(document))


def describe(trace):
    """Return what is in a trace as a JSON document (a dict); all counts are exact."""
    import numpy as np

    from strategies.replay.output import percentile_99
    from strategies.workloads import shape

    shares = shape.densities(trace)
    lengths, by_run = shape.runs(trace), shape.pages_by_run(trace).tolist()
    return {
        "schema": SCHEMA,
        "trace": trace.name,
        "page_bytes": trace.page_size,
        "slot_pages": trace.slot_pages,
        "epoch_ms": trace.epoch_ms,
        "epochs": trace.epochs,
        "intervals": shape.distinct_by_interval(trace),
        "density": {
            "mean": float(shares.mean()),
            "median": float(np.median(shares)),
            "p99": percentile_99(np.diff(trace.offsets)) / trace.slot_pages,
            "max": float(shares.max()),
            "empty_epochs": int(np.count_nonzero(shares == 0)),
        },
        "working_set": {
            "written_pages": len(shape.writes_by_page(trace)),
            **{f"pages_of_{share:.0%}": n for share, n in shape.working_set(trace).items()},
        },
        "runs": {
            "mean_pages": float(lengths.mean()) if len(lengths) else 0.0,
            "shares": dict(zip(shape.run_classes(), by_run, strict=True)),
        },
    }


def text_of(document):
    """Return it as text for people."""
    from strategies.plural import plural
    from strategies.replay.output import columns
    from strategies.units import duration, number, percent, size_text

    page, slot = document["page_bytes"], document["slot_pages"]
    epoch = duration(document["epoch_ms"] * 1e6)
    dense, hot, runs = (document[key] for key in ("density", "working_set", "runs"))
    rows = [
        (duration(row["interval_ms"] * 1e6), number(row["pages"]), percent(row["density"]))
        for row in document["intervals"]
    ]
    shares = [(length, percent(share)) for length, share in runs["shares"].items()]
    return "\n".join(
        (
            f"{document['trace']}: {plural(document['epochs'], 'epoch')} of {epoch}, "
            f"{plural(slot, 'page')} of {size_text(page)}. Exact counts.",
            "",
            columns([("interval", "distinct pages, mean", "of the slot"), *rows]),
            "",
            f"Written in an epoch: mean {percent(dense['mean'])} of the slot, median "
            f"{percent(dense['median'])}, p99 {percent(dense['p99'])}, most "
            f"{percent(dense['max'])}; nothing in {plural(dense['empty_epochs'], 'epoch')}.",
            f"Working set: {plural(hot['written_pages'], 'page')} ever written; half of the "
            f"writes go to {hot['pages_of_50%']} of them, 90% to {hot['pages_of_90%']}, "
            f"99% to {hot['pages_of_99%']}.",
            "",
            columns([("adjacent pages in a run", "of the pages"), *shares]),
            f"Pages in a run: {number(runs['mean_pages'])}, mean.",
        )
    )


def _draw(trace, out):
    """Write the figure, completely or not at all."""
    import warnings

    from strategies.files import completed
    from strategies.workloads.figure import trace_figure

    with completed(out) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trace's name may have letters that the font lacks
        trace_figure(trace).savefig(temporary, format=out.suffix[1:], dpi=120)
    click.echo(f"wrote {out}", err=True)
