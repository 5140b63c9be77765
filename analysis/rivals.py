"""What `adaptive` costs beside the best other tracker of a platform: `python -m analysis.rivals`.

Its own cost is that of a replay by the platform's unit costs, exact counts priced; the others' is
what the model says of the same trace, epoch by epoch, which a test holds to their counts. No time
is measured, so that the same sources give the same table.
"""

import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd

from analysis.model.adversaries import ADVERSARIES, make, search
from analysis.model.clairvoyant import least_cpu_ns, page_costs
from analysis.model.evaluate import costs
from analysis.model.pricing import counts_of, sums, unit_costs_of
from analysis.model.profile import load_profile
from analysis.model.scenario import Scenario, scenario_of_trace
from strategies.cli import run
from strategies.files import write_table
from strategies.replay.run import build, replay
from strategies.workloads.trace import bundled, load_trace

NAME = "adaptive"
PROFILES = ("x86-kvm", "arm64-dbm", "power9-radix", "power9", "power8")
"""Those with a changed bit: elsewhere it is unavailable."""

OTHER_KIND = ("pml", "dbm_hybrid", NAME)
"""Not among its rivals: a log of the hardware, which no software offers, and its own relative."""

OF_2011 = ("c_bit_scan", "write_protect", "double_buffer")
PER_EPOCH = ("write_faults", "pages_opened", "pages_rearmed", "groups_opened", "groups_closed")
SHOWN = (
    "trace",
    "profile",
    "page_scan_ns",
    "best",
    "ratio",
    "times_better_than_2011",
    "times_possible_than_2011",
)
NS_PER_US = 1000


def others(trace, profile):
    """Return what the rivals cost, all epochs together, by name (analysis.model.evaluate.Cost)."""
    names = [name for name in profile.strategies() if name not in OTHER_KIND]
    scenario = scenario_of_trace(trace)
    found = costs(names, scenario, profile.at(scenario).values())
    return {
        name: {
            key: float(np.broadcast_to(getattr(cost, key), trace.epochs).sum())
            for key in ("cpu_ns", "stall_ns", "harvest_ns")
        }
        for name, cost in found.items()
    }


def own(trace, profile):
    """Return what adaptive costs by the profile's unit costs (dict), and its Replay."""
    unit_costs = unit_costs_of(profile, trace)
    vm, slot = build(
        trace,
        vcpus=1,
        page_shift=trace.page_size.bit_length() - 1,
        mapping="linear",
        unit_costs=unit_costs,
    )
    done = replay(trace, NAME, vm, slot)
    one = Scenario(trace.slot_pages, 0.0, trace.epoch_ms * 1e6, page_bytes=trace.page_size)
    counted = counts_of(done.events, sum(done.reported), trace)
    return sums(NAME, one, profile.at(one).values(), counted), done


def compare(trace, profile):
    """Return a row: what adaptive and the best others cost, in us an epoch, and the ratios.

    `least_cpu_us` is what choosing costs at least (analysis.model.clairvoyant), and
    `times_possible_than_2011` how many times better than the best of 2011 that is.
    """
    cost, done = own(trace, profile)
    rivals = others(trace, profile)
    best = min(rivals, key=lambda name: rivals[name]["cpu_ns"])
    seed = min(OF_2011, key=lambda name: rivals[name]["cpu_ns"])
    batched = rivals["write_protect_batched"]
    least = least_cpu_ns(trace, page_costs(profile, trace))
    scale = NS_PER_US * trace.epochs
    return {
        "trace": trace.name,
        "profile": profile.name,
        "page_scan_ns": profile.at(scenario_of_trace(trace)).values()["page_scan"],
        "cpu_us": cost["cpu_ns"] / scale,
        "best": best,
        "best_cpu_us": rivals[best]["cpu_ns"] / scale,
        "ratio": cost["cpu_ns"] / rivals[best]["cpu_ns"],
        "best_of_2011": seed,
        "times_better_than_2011": rivals[seed]["cpu_ns"] / cost["cpu_ns"],
        "least_cpu_us": least / scale,
        "times_possible_than_2011": rivals[seed]["cpu_ns"] / least,
        "stall_us": cost["stall_ns"] / scale,
        "best_stall_us": rivals[best]["stall_ns"] / scale,
        "write_protect_stall_us": batched["stall_ns"] / scale,
        "harvest_us": cost["harvest_ns"] / scale,
        "best_harvest_us": rivals[best]["harvest_ns"] / scale,
        "write_protect_harvest_us": batched["harvest_ns"] / scale,
        **{event: done.events[event] / trace.epochs for event in PER_EPOCH},
        "lost": sum(done.lost),
        "spurious": sum(done.spurious),
    }


def over_page_scan(profile):
    """Yield a profile with its page_scan at the low end, the value, and the high end."""
    constant = profile.constants["page_scan"]
    for value in (constant.low, constant.value, constant.high):
        at = replace(constant, value=value)
        yield replace(profile, constants=profile.constants | {"page_scan": at})


@click.command()
@click.argument("traces", nargs=-1)
@click.option("--profile", "profiles", multiple=True, default=PROFILES, help="Repeatable.")
@click.option("--adversaries", is_flag=True, help="The named adversaries, not recordings.")
@click.option("--search", "tries", type=int, help="Look for worse adversaries, so often.")
@click.option("--page-scan", is_flag=True, help="Over the range of page_scan.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A CSV file.")
def main(traces, profiles, adversaries, tries, page_scan, out):
    """Compare adaptive with all other trackers, on TRACES or on all recordings."""
    profiles = [load_profile(name) for name in profiles]
    if tries:
        for profile in profiles:
            _search(profile, tries)
        return
    if page_scan:
        profiles = [one for profile in profiles for one in over_page_scan(profile)]
    if adversaries:
        made = (make(*one) for one in ADVERSARIES)
    else:
        made = map(load_trace, traces or bundled())
    rows = pd.DataFrame([compare(trace, profile) for trace in made for profile in profiles])
    shown = rows[list(SHOWN)]
    click.echo(shown.to_string(index=False, float_format="%.3f"))
    if out:
        write_table(rows, out)


def _search(profile, tries):
    """Print each adversary that is worse than all before."""
    most = 0.0
    for name, ratio in search(lambda trace: compare(trace, profile)["ratio"], tries):
        if ratio > most:
            most = ratio
            click.echo(f"{profile.name}: {ratio:.3f} {name}")


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:], "python -m analysis.rivals"))
