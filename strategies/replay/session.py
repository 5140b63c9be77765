"""The main job, `dirtylog replay`: build machines, replay, judge, show and save."""

import json
import warnings
from contextlib import nullcontext

import click

from strategies.costs import X86_KVM
from strategies.files import completed, output_folder
from strategies.lanes.session import replay_lanes
from strategies.replay.figure import harvest_time_per_epoch, read_harvests
from strategies.replay.lane_output import LANE_COLUMNS, lane_epochs, lane_row, lanes_text
from strategies.replay.output import (
    HARVEST_COLUMNS,
    document,
    harvest_rows,
    summary_rows,
    text_of,
    write_csv,
)
from strategies.replay.run import build, replay
from strategies.terminal import progress_bar


def run_replay(
    trace,
    names,
    *,
    label,
    vcpus,
    mapping,
    out=None,
    fmt="table",
    price=None,
    lanes=(),
    thp=False,
    unit_costs=X86_KVM,
):
    """Replay a trace through trackers and lanes, print what came of it, and save it.

    Parameters
    ----------
    trace : Trace
        Of the page size that the machine shall have.
    names : sequence of str
        Trackers.
    label : str
        What the files are named after.
    vcpus : int
    mapping : {"linear", "scattered"}
    out : Path, optional
        Folder for `<label>.harvests.csv`, `<label>.summary.csv` and `<label>.png`, and with
        lanes `<label>.lanes.csv`.
    fmt : {"table", "json"}
    price : callable, optional
        From a Replay to what it would cost on a platform (a dict of ranges), or None.
    lanes : sequence of str
        Trackers of this machine's kernel, known to be available.
    thp : bool
        Whether the lanes ask for huge pages.
    unit_costs : UnitCosts
        By which trackers choose that do.

    Returns
    -------
    int
        Exit status: 1 if a page was lost, else 0.
    """
    suffixes = ("harvests.csv", "summary.csv", "png", *["lanes.csv"] * bool(lanes))
    files = [f"{label}.{suffix}" for suffix in suffixes]
    with output_folder(out, files) if out else nullcontext():
        vm, replays = None, []
        with progress_bar() as bar:
            for name in names:
                vm = None  # give its memory back first
                vm, result = _replay_one(bar, trace, name, vcpus, mapping, unit_costs)
                replays.append(result)
            kernel_replays = replay_lanes(trace, lanes, thp=thp, bar=bar)
        lane_rows = [lane_row(result, thp) for result in kernel_replays]
        doc = document(trace, vm, replays, price, lane_rows)
        shown = "\n".join((text_of(doc), *lanes_text(lane_rows)))
        click.echo(json.dumps(doc, indent=2) if fmt == "json" else shown)
        if out:
            _save(out, files, trace, replays, doc, kernel_replays)
    return _report_lost(replays + kernel_replays)


def _replay_one(bar, trace, name, vcpus, mapping, unit_costs):
    """Build a machine and replay a trace through one tracker, showing progress."""
    task = bar.add_task(f"{trace.name}: {name} (the first run compiles)", total=trace.slot_pages)
    page_shift = trace.page_size.bit_length() - 1
    vm, slot = build(
        trace,
        vcpus=vcpus,
        page_shift=page_shift,
        mapping=mapping,
        unit_costs=unit_costs,
        progress=lambda pages: bar.advance(task, pages),
    )
    bar.update(task, description=f"{trace.name}: {name}", total=trace.epochs, completed=0)
    result = replay(trace, name, vm, slot, progress=lambda epochs: bar.advance(task, epochs))
    bar.remove_task(task)
    return vm, result


def _save(out, files, trace, replays, doc, kernel_replays):
    """Write the CSV files, and the plot from what they say."""
    harvests, summary, picture, *lanes = (out / name for name in files)
    write_csv(harvests, [HARVEST_COLUMNS, *harvest_rows(trace, replays)])
    write_csv(summary, summary_rows(doc))
    figure = harvest_time_per_epoch(read_harvests(harvests), trace.epoch_ms)
    with completed(picture) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trace's name may have letters that the font lacks
        figure.savefig(temporary, format="png", dpi=120, facecolor="none")
    for path in lanes:
        write_csv(path, [LANE_COLUMNS, *lane_epochs(trace, kernel_replays)])
    others = ", ".join(path.name for path in (summary, picture, *lanes))
    click.echo(f"wrote {harvests}, {others}", err=True)


def _report_lost(replays):
    """Name the first lost page of each tracker and lane on stderr; return the exit status."""
    status = 0
    for result in replays:
        if result.first_lost:
            epoch, gfn = result.first_lost
            click.echo(f"dirtylog: LOST: {result.name}, epoch {epoch}, gfn {gfn}", err=True)
            status = 1
    return status
