"""The command `dirtylog advise`."""

import click

from strategies.errors import InputError
from strategies.options import FORMAT, PAGE_SHIFTS
from strategies.units import DURATION, FRACTION, SIZE, WEIGHTS


@click.command()
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
@FORMAT
def advise(profile, weights, max_harvest, max_stall, fmt, **deployment):
    """Recommend a strategy for a deployment, from modelled costs.

    Exit status 3: no strategy meets the limits.
    """
    from analysis.advice.advise import Wish
    from analysis.advice.advise import advise as advice_for
    from analysis.advice.text import text_of
    from analysis.model.profile import load_profile

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
    from analysis.model.estimate import Scenario

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
