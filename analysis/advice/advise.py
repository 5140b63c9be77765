"""From a deployment to a strategy: rank, say what each choice trades, how surely, and what to set.

Costs are modelled: the table's counts times the unit costs of a profile, each a range. How sure a
verdict is, is in how many draws over all ranges at once it holds.
"""

from dataclasses import replace

import numpy as np

from analysis.advice.estimates import estimates, in_draws, scores, shares
from analysis.advice.flips import flips
from analysis.measured.reference import load_reference
from analysis.measured.walks import MADE_OF
from analysis.model.break_even import SCAN, break_even, cpu_gap, fault_strategies, summary
from analysis.model.deployment import HUGE, scenario_of
from analysis.model.draws import DRAWS, drawn, drivers, spread
from analysis.model.evaluate import names_at, why_not_priced
from analysis.model.scenario import rows_of
from analysis.model.terms import TERMS
from strategies.errors import InputError
from strategies.registry import choices
from strategies.units import draws_text

SCHEMA = 2

CLOSE = 1.01
SURE = 2 / 3
"""Share of the draws in which a strategy must be best, or its win is called a tie."""

TRADED = {
    "shortest_harvest": "harvest_ns",
    "least_stall": "stall_fraction",
    "least_cpu": "cpu_ns",
    "shortest_last_harvest": "last_ns",
}
SHOWN = ("harvest_ns", "stall_fraction", "cpu_ns", "enable_ns", "disable_ns")
INTERVALS = ("p99_harvest_ns", "worst_harvest_ns", "p99_stall", "worst_stall")


def advise(scenario, profile, wish):
    """Return the advice as a JSON document (a dict).

    Parameters
    ----------
    scenario : Scenario
        Numbers, or with an array element for each interval of a recording.
    profile : Profile
    wish : Wish

    Returns
    -------
    dict
        `strategy` (None when none meets the limits: the first candidate comes nearest),
        `deployable` (the best that a kernel of the platform has), `equal` (others that cost the
        same), `runner_up`, `margin` (runner-up / best - 1), `share` (of draws in which the
        strategy is best), `tie`, `trade`,
        `candidates` (best first), `flips` (smallest move first), `break_even_density`,
        `crossing_share`, `drivers`, `warnings` and `provenance`.
    """
    profile = profile.at(scenario)
    found, draws = estimates(scenario, profile), in_draws(scenario, profile)
    score = dict(zip(found, scores(found, wish)[:, 0], strict=True))
    ranked = sorted(found, key=lambda name: (score[name], not profile.is_offered(name)))
    share = dict(zip(found, shares(scores(draws, wish)).tolist(), strict=True))
    fitting = [name for name in ranked if _excess(found[name], wish) <= 1]
    best, *others = fitting or [None]
    equal = [name for name in others if np.isclose(score[name], score[best], rtol=1e-9)]
    others = [name for name in others if name not in equal]
    candidates = [_candidate(name, found, draws, wish, share, profile) for name in ranked]
    return {
        "schema": SCHEMA,
        "strategy": best,
        "deployable": next((name for name in fitting if profile.is_offered(name)), None),
        "equal": equal,
        "runner_up": others[0] if others else None,
        "rival": max(others, key=share.get, default=None),
        "margin": _margin(score, best, others),
        "share": share[best] if best else None,
        "tie": bool(others) and (share[best] < SURE or _is_close(score, best, others)),
        "trade": {name: _trade(found, draws, of, profile) for name, of in TRADED.items()},
        "candidates": [
            *(one | _reference(scenario, one["strategy"]) for one in candidates),
            *_unpriced(profile),
        ],
        "flips": flips(scenario, profile, wish),
        **_break_even(scenario, profile, draws, [ranked[0], *others][:2]),
        "warnings": [
            *_warnings(scenario, found, _of_interest(ranked, profile)),
            *_over_reported(scenario, profile),
        ],
        "provenance": _provenance(profile, scenario),
    }


def verdict(scenario, profile, wish):
    """Return the strategy that is least by a wish, meeting its limits or not, and its share."""
    profile = profile.at(scenario)
    by_value = scores(estimates(scenario, profile), wish)[:, 0]
    best = by_value.argmin()
    share = shares(scores(in_draws(scenario, profile), wish))[best]
    return profile.strategies()[best], float(share)


def at_other_page_sizes(options, profile, wish):
    """Return the verdict with each other base page that a platform has, the same share written.

    A recording is merged into pages of that size. Sizes that do not fit the slot are left out.
    """
    rows = []
    for size in profile.page_bytes:
        used = options.page_size or profile.page_bytes[0]
        if max(size, used) >= HUGE or size == used:
            continue
        try:
            scenario, _ = scenario_of(replace(options, page_size=size), profile)
        except InputError:
            continue
        strategy, share = verdict(scenario, profile, wish)
        rows.append({"page_bytes": size, "strategy": strategy, "share": share})
    return rows


def _of_interest(ranked, profile):
    """Return the best strategy and those that a kernel of the platform has."""
    return [name for name in ranked if name == ranked[0] or profile.is_offered(name)]


def _excess(one, wish):
    return float(wish.excess(one.worst_harvest_ns, one.worst_stall)[0])


def _is_close(score, best, others):
    """Say whether the next costs the same within a per cent: nobody will see the difference."""
    return bool(score[others[0]] <= score[best] * CLOSE)


def _margin(score, best, others):
    """Return by how much the runner-up costs more; None where there is none, or nothing to pay."""
    if not others or not score[best]:
        return None
    return float(score[others[0]] / score[best] - 1)


def _candidate(name, found, draws, wish, share, profile):
    """Return one strategy's part of the document."""
    one, in_all = found[name], draws[name]
    return {
        "strategy": name,
        "priced": True,
        "offered": profile.is_offered(name),
        "hypothetical": profile.hypothetical.get(name),
        **{of: spread(getattr(one, of), getattr(in_all, of)) for of in SHOWN},
        "last_harvest_ns": spread(one.last_ns, in_all.last_ns),
        **{of: spread(getattr(one, of), getattr(in_all, of)) for of in INTERVALS},
        "share": share[name],
        "meets": _excess(one, wish) <= 1,
        "why": _why(one, in_all, wish),
        "settings": profile.settings_of(name),
    }


def _why(one, draws, wish):
    """Say which limits a strategy breaks in its worst interval, and in how many draws."""
    limits = (
        ("harvest latency", "harvest_ns", wish.max_harvest_ns),
        ("guest stall", "stall", wish.max_stall),
    )
    said = []
    for label, of, limit in limits:
        if limit is None:
            continue
        worst, p99 = (getattr(one, f"{rank}_{of}")[0] > limit for rank in ("worst", "p99"))
        often = (getattr(draws, f"worst_{of}") > limit).mean()
        if worst:
            ranks = "worst interval and in the p99" if p99 else "worst interval, not in the p99"
            said.append(f"exceeds the limit of {label} in the {ranks}")
        elif often:
            said.append(f"meets the limit of {label}, but not in {draws_text(often)} of the draws")
    if said:
        return "; ".join(said)
    is_limited = any(limit is not None for *_, limit in limits)
    return "meets the limits" if is_limited else "no limits were set"


def _trade(found, draws, of, profile):
    """Return which strategy has least of something, over the next, and in how many draws."""
    values = {name: float(getattr(one, of)[0]) for name, one in found.items()}
    ranked = sorted(values, key=lambda name: (values[name], not profile.is_offered(name)))
    table = np.array([np.broadcast_to(getattr(draws[name], of), DRAWS) for name in ranked])
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    has_ratio = second is not None and values[best] > 0
    return {
        "strategy": best,
        "runner_up": second,
        "ratio": values[second] / values[best] if has_ratio else None,
        "share": float(shares(table)[0]),
    }


def _reference(scenario, name):
    """Return what a harvest of the mean interval takes on the reference machine, if measured."""
    if name not in MADE_OF:
        return {"reference_harvest_ns": None}
    at = (scenario.slot_pages, float(np.mean(scenario.dirty_pages)))
    ns = load_reference().harvest_ns(name, *at, scenario.page_bytes, scenario.mapping)
    return {"reference_harvest_ns": ns}


def _unpriced(profile):
    """Return the choices that have no price here, each with the reason."""
    rows = []
    for name in choices():
        reason = profile.unavailable.get(name)
        if reason is None and name in TERMS:
            continue
        why = f"unavailable: {reason}" if reason else why_not_priced(name)
        settings = profile.settings_of(name)
        rows.append({"strategy": name, "priced": False, "why": why, "settings": settings})
    return rows


def _break_even(scenario, profile, draws, rivals):
    """Return the break-even of scan against faults over the draws, and what the verdict hangs on.

    The verdict is that of CPU time between scan and faults; where a platform lacks one of the two,
    between the two best that differ.
    """
    one = scenario.at_density(float(np.mean(scenario.dirty_pages)) / scenario.slot_pages)
    density, share = _finite(*summary(break_even(one, profile)))
    if SCAN in draws and fault_strategies(profile):
        rows, weights = rows_of(one)
        effect = (cpu_gap(rows, profile, drawn(profile)) * weights).sum(axis=0)
    else:
        costs = [np.broadcast_to(draws[name].cpu_ns, DRAWS) for name in rivals]
        effect = costs[0] / np.maximum(costs[-1], 1.0)
    return {
        "break_even_density": density,
        "crossing_share": share,
        "drivers": [{"constant": n, "share": s} for n, s in drivers(effect, profile).items()],
    }


def _finite(density, share):
    """Return a break-even as JSON has it: None where faults cost less up to all pages."""
    if density is None:
        return None, share
    return {key: value if np.isfinite(value) else None for key, value in density.items()}, share


def _warnings(scenario, found, ranked):
    """Say first what does not fit: a harvest longer than its interval, a stall above all time."""
    said = []
    for name in ranked:
        one = found[name]
        if one.worst_harvest_ns[0] > scenario.interval_ns:
            times = one.worst_harvest_ns[0] / scenario.interval_ns
            said.append(f"{name}: a harvest takes {times:.3g} times the interval.")
        if one.worst_stall[0] > 1:
            said.append(
                f"{name}: tracking takes {one.worst_stall[0]:.3g} times the vCPUs' time; "
                "the guest cannot write that fast, it is throttled."
            )
    return said


def _over_reported(scenario, profile):
    """Say how much is reported where one entry speaks for many pages: all of it is sent again."""
    names = names_at(scenario, profile.values())
    reported = float(np.mean(names["reported_pages"]))
    if reported > 1.5 * float(np.mean(scenario.dirty_pages)):
        share = reported / scenario.slot_pages
        yield (
            f"One entry speaks for {names['tracked_pages']:g} pages and the host cannot split it: "
            f"{share:.2g} of all pages are reported and sent again (--resend prices it)."
        )


def _provenance(profile, scenario):
    """Return where the numbers come from: the profile, and the reference results."""
    reference = load_reference()
    density = float(np.mean(scenario.dirty_pages)) / scenario.slot_pages
    at = (scenario.slot_pages, density, scenario.page_bytes, scenario.mapping)
    return {
        "kind": "modelled: the table's counts x unit costs; ranges are 5 % to 95 % of the draws",
        "draws": DRAWS,
        "profile": profile.name,
        "title": profile.title,
        "unavailable": profile.unavailable,
        "hypothetical": profile.hypothetical,
        "constants": {
            name: {
                "value": one.value, "low": one.low, "high": one.high,
                "unit": one.unit, "kind": one.kind, "source": one.source,
            }
            for name, one in profile.constants.items()
        },
        "reference": reference.origin | {"covers": bool(reference.covers(*at))},
    }  # fmt: skip
