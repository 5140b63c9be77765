"""The command `dirtylog replay`: the machine counts, and a profile prices what it counted."""

from pathlib import Path

import click

from strategies.errors import InputError
from strategies.options import FORMAT, PAGE_SHIFTS, STRATEGY, strategy_names
from strategies.units import DURATION


@click.command()
@click.argument("trace")
@STRATEGY
@click.option("--vcpus", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--page-size", type=click.Choice(list(PAGE_SHIFTS)), default="4KiB", show_default=True
)
@click.option("--interval", type=DURATION, help="Merge epochs: the nearest whole multiple.")
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
@click.option(
    "--lane",
    "wanted_lanes",
    multiple=True,
    help="Also on real memory, by this tracker of the kernel's, or all.  Repeatable.",
)
@click.option("--thp", is_flag=True, help="Ask for huge pages for the lanes' memory.")
@click.option(
    "--profile",
    help="Price the counts by a platform: its name, or a TOML file; adaptive chooses by it.",
)
@FORMAT
def replay(
    trace, chosen, vcpus, page_size, interval, mapping, out, wanted_lanes, thp, profile, fmt
):
    """Run a trace through the trackers.

    TRACE is a name that `dirtylog traces` lists, or an npz file.
    """
    from functools import partial

    from strategies.workloads.checks import check_work
    from strategies.workloads.trace import load_trace

    # First, so that what is wrong here is said before the machine is imported.
    loaded = load_trace(trace).coarsen(PAGE_SHIFTS[page_size])
    if interval is not None:
        loaded = loaded.at_interval(interval)
    names = strategy_names(chosen)
    setting = {"vcpus": vcpus, "mapping": mapping}
    lanes = _lanes(wanted_lanes, loaded) if wanted_lanes else ()
    check_work(loaded)
    if thp and not wanted_lanes:
        raise InputError("--thp is of lanes; accepted: with --lane")
    price, costs = None, {}
    if profile:
        from analysis.model.pricing import price as price_of
        from analysis.model.pricing import unit_costs_of
        from analysis.model.profile import load_profile

        platform = load_profile(profile)
        price = partial(price_of, trace=loaded, profile=platform, **setting)
        costs["unit_costs"] = unit_costs_of(platform, loaded, **setting)

    from strategies.replay.session import run_replay

    return run_replay(
        loaded,
        names,
        label=Path(trace).stem,
        out=out,
        fmt=fmt,
        price=price,
        lanes=lanes,
        thp=thp,
        **setting,
        **costs,
    )


def _lanes(wanted, trace):
    """Return the lanes that are wanted and available; say on stderr which are not, and why."""
    from strategies.lanes.session import check_slot, choose

    check_slot(trace)
    names, missing = choose(wanted)
    for name, reason in missing.items():
        click.echo(f"skipped {name}: {reason}", err=True)
    return names
