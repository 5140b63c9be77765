"""The command `dirtylog advise`."""

import click

from strategies.options import FORMAT
from strategies.units import DENSITY, DURATION, FRACTION, RATE, SIZE, WEIGHTS


def deployment_options(command):
    """Add the options that describe a deployment to a command."""
    for option in reversed(DEPLOYMENT):
        command = option(command)
    return command


DEPLOYMENT = (
    click.option("--slot", type=SIZE, help="Memory of the slot."),
    click.option(
        "--page-size",
        type=SIZE,
        help="4KiB, 64KiB, 2MiB or 16MiB, as the platform has them.  [default: its usual one]",
    ),
    click.option(
        "--density",
        type=DENSITY,
        help="Pages written per interval / pages of the slot; or by the second, as 0.5%/s.",
    ),
    click.option("--dirty-rate", type=RATE, help="Instead of --density, as 264MiB/s."),
    click.option("--interval", type=DURATION, help="Time between two harvests, as 100ms or 60Hz."),
    click.option("--trace", help="Take slot, density and interval from a recording instead."),
    click.option("--vcpus", type=click.IntRange(1, 4096), default=1, show_default=True),
    click.option(
        "--reads",
        type=FRACTION,
        default="0",
        show_default=True,
        help="Pages only read per interval / pages of the slot.",
    ),
    click.option(
        "--mapping",
        type=click.Choice(["linear", "scattered"]),
        default="linear",
        show_default=True,
        help="How the guest's addresses map to its memory (hashed page tables).",
    ),
    click.option(
        "--resend",
        type=DURATION,
        help="What sending a page costs: the price of one reported in excess.  [default: none]",
    ),
)


@click.command()
@deployment_options
@click.option("--profile", default="x86-kvm", show_default=True, help="Its name, or a TOML file.")
@click.option("--max-harvest", type=DURATION, help="Limit of the harvest latency.")
@click.option("--max-stall", type=FRACTION, help="Limit of vCPU time lost to tracking.")
@click.option("--weights", type=WEIGHTS, default="latency=0,stall=0,cpu=1", show_default=True)
@FORMAT
def advise(profile, weights, max_harvest, max_stall, fmt, resend, **deployment):
    """Recommend a strategy for a deployment, from modelled costs.

    Exit status 3: no strategy meets the limits.
    """
    from analysis.advice.advise import advise as advice_for
    from analysis.advice.deployment import Options, at_other_page_sizes, scenario_of
    from analysis.advice.text import text_of
    from analysis.advice.wish import Wish
    from analysis.model.profile import load_profile

    wish = Wish(weights, max_harvest, max_stall)
    platform = load_profile(profile)
    options = Options(resend=resend or 0.0, **deployment)
    scenario, note = scenario_of(options, platform)
    advice = advice_for(scenario, platform, wish) | {
        "note": note,
        "other_page_sizes": at_other_page_sizes(options, platform, wish),
    }
    if fmt == "json":
        import json

        click.echo(json.dumps(advice, indent=2))
    else:
        click.echo(text_of(advice, scenario, wish))
    return 0 if advice["strategy"] else 3
