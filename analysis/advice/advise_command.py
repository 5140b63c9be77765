"""The command `dirtylog advise`."""

import click

from analysis.model.deployment_options import deployment_options
from strategies.options import FORMAT
from strategies.units import DURATION, FRACTION, WEIGHTS


@click.command()
@deployment_options
@click.option("--profile", default="x86-kvm", show_default=True, help="Its name, or a TOML file.")
@click.option("--max-harvest", type=DURATION, help="Limit of the harvest latency.")
@click.option("--max-stall", type=FRACTION, help="Limit of vCPU time lost to tracking.")
@click.option("--weights", type=WEIGHTS, default="latency=0,stall=0,cpu=1", show_default=True)
@FORMAT
def advise(profile, weights, max_harvest, max_stall, fmt, **deployment):
    """Recommend a strategy for a deployment, from modelled costs.

    Exit status 3: no strategy meets the limits.
    """
    from analysis.advice.advise import advise as advice_for
    from analysis.advice.advise import at_other_page_sizes
    from analysis.advice.text import text_of
    from analysis.advice.wish import Wish
    from analysis.model.deployment import Options, scenario_of
    from analysis.model.profile import load_profile

    wish = Wish(weights, max_harvest, max_stall)
    platform = load_profile(profile)
    options = Options(**deployment)
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
