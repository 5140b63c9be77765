"""The command `dirtylog model`: the table of terms, to be checked line by line."""

import json

import click

from analysis.model.deployment_options import deployment_options
from strategies.options import FORMAT, STRATEGY, strategy_names
from strategies.registry import BASELINE, base_of
from strategies.terminal import echo_columns

SCHEMA = 1
SHOWN = ("strategy", "phase", "payer", "unit", "value", "low", "high", "in", "kind")


@click.command()
@STRATEGY
@click.option("--profile", default="x86-kvm", show_default=True, help="Its name, or a TOML file.")
@deployment_options
@FORMAT
def model(chosen, profile, fmt, **deployment):
    """Print the cost model: who pays what, how often, and where the unit cost comes from.

    With a deployment (--slot, --density and --interval, or --trace) each line also has its count
    and what it costs there.
    """
    from analysis.model.deployment import Options, scenario_of
    from analysis.model.profile import load_profile

    platform = load_profile(profile)
    options = Options(**deployment)
    scenario = scenario_of(options, platform)[0] if options.says_anything else None
    names = [name for name in strategy_names(chosen) if base_of(name) in platform.strategies()]
    rows = [row for name in names for row in _rows(name, platform, scenario)]
    if fmt == "json":
        click.echo(json.dumps(rows, indent=2))
    else:
        _show(rows, platform, scenario, chosen)


def _rows(strategy, profile, scenario):
    """Yield the terms of a strategy as JSON rows, priced if there is a scenario."""
    from analysis.model.evaluate import named, terms_of

    profile = profile if scenario is None else profile.at(scenario)
    names = None if scenario is None else named(strategy, _names(scenario, profile))
    for term in terms_of(strategy):
        row = {"schema": SCHEMA, "strategy": strategy, **term._asdict()}
        row |= _unit_cost(term.unit, profile, scenario)
        yield row if names is None else row | _placed(term, names)


def _names(scenario, profile):
    """Return all that counts may name, of the mean interval of a scenario."""
    from analysis.model.evaluate import names_at
    from analysis.model.scenario import rows_of

    rows, weights = rows_of(scenario)
    names = names_at(rows, profile.values() | {"resend": scenario.resend_ns})
    return names | {"weights": weights}


def _placed(term, names):
    """Return how often a term occurs in the mean interval, and what it costs there."""
    import numpy as np

    from analysis.model.evaluate import value_of

    weights = names["weights"]
    count = float((np.broadcast_to(value_of(term.count, names), weights.shape) * weights).sum())
    return {"count_value": count, "ns": count * float(names[term.unit])}


def _unit_cost(unit, profile, scenario):
    """Return value, range, kind and source of a unit cost."""
    if unit == "resend":
        value = 0.0 if scenario is None else scenario.resend_ns
        source = "the deployment's own, 0 unless --resend gives it"
        return {"value": value, "low": value, "high": value, "in": "ns", "kind": "given",
                "source": source}  # fmt: skip
    one = profile.constants[unit]
    return {"value": one.value, "low": one.low, "high": one.high, "in": one.unit,
            "kind": one.kind, "source": one.source}  # fmt: skip


def _show(rows, profile, scenario, chosen):
    """Print the table, then what its names mean."""
    from analysis.model.evaluate import why_not_priced
    from analysis.model.profile import COSTS, MECHANISMS, REFERENCE
    from analysis.model.terms import COUNTS, TERMS

    priced = () if scenario is None else ("count_value", "ns")
    shown = (*SHOWN, *priced, "count")  # last, for some counts are long
    click.echo(f"{profile.title}. Cost of a term: count x unit.")
    if any(row["in"] == REFERENCE for row in rows):
        click.echo(
            "In 'reference': times what the walk takes on the reference machine, which depends "
            "on the slot; a deployment's is in ns."
        )
    click.echo()
    echo_columns([shown, *([_text(row[key]) for key in shown] for row in rows)])
    click.echo("\nCounts")
    echo_columns([(f"  {name}", formula) for name, formula in COUNTS.items()])
    click.echo("\nWhat the platform does (mechanisms)")
    echo_columns(
        [(f"  {name}", f"{profile.constants[name].value:g}", text, profile.constants[name].source)
         for name, text in MECHANISMS.items()]
    )  # fmt: skip
    click.echo("\nUnit costs")
    echo_columns(
        [(f"  {name}", text, profile.constants[name].source) for name, text in COSTS.items()]
    )
    for name in strategy_names(chosen):
        if base_of(name) not in {*TERMS, *profile.unavailable, BASELINE}:
            click.echo(f"{name} is {why_not_priced(name)}")
    chosen = set(map(base_of, chosen))
    for name, why in profile.unavailable.items():
        if not chosen or name in chosen:
            click.echo(f"{name} is unavailable: {why}")
    for name, why in profile.hypothetical.items():
        if not chosen or name in chosen:
            click.echo(f"{name} is a proposal here: {why}")


def _text(value):
    """Return a cell: of a number, numpy's too, four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
