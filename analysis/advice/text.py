"""Advice as people read it: what does not fit, the verdict, the trade, the tables, what to set."""

import shutil
import textwrap

import numpy as np

from analysis.advice.text_tables import interval_table, once_table, time, worst_table
from strategies.plural import plural
from strategies.units import (
    draws_text,
    duration,
    number,
    percent,
    share_text,
    size_text,
    two_digits,
)

SHOWN_FLIPS = 5
SHOWN_DRIVERS = 3
WIDTH = 100

AIMS = {"latency": "shortest harvest", "stall": "least guest stall", "cpu": "least CPU time"}


def _aim(wish):
    """Return what decides: one of the three, or their weights."""
    weights = {name: weight for name, weight in wish.weights.items() if weight}
    if len(weights) == 1:
        return AIMS[next(iter(weights))]
    return "least by " + ", ".join(f"{name}={weight:g}" for name, weight in weights.items())


def _verdict(advice, wish):
    """Yield what to deploy, what would be better, and how surely."""
    candidates = [c for c in advice["candidates"] if c["priced"]]
    best, deployable = advice["strategy"], advice["deployable"]
    if best is None:
        nearest = candidates[0]["strategy"]
        yield f"No strategy meets the limits; {nearest} comes nearest. {_reasons(candidates)}."
        return
    if deployable != best:
        yield _deployable(deployable, wish)
    yield _best(advice, wish, candidates)
    if deployable != best:
        one = next(c for c in candidates if c["strategy"] == best)
        yield f"{best} is a proposal here: {one['hypothetical'] or 'no kernel of it has it.'}"


def _deployable(name, wish):
    if name is None:
        return "No kernel of the platform has a strategy that meets the limits."
    return f"{name}: {_aim(wish)} of what a kernel of the platform has."


def _best(advice, wish, candidates):
    """Return the winner, and its rival in the draws."""
    text = f"{advice['strategy']}: {_aim(wish)} in {draws_text(advice['share'])} of the draws"
    if advice["equal"]:
        text += f" ({' and '.join(advice['equal'])} the same)"
    if advice["rival"]:
        share = next(c["share"] for c in candidates if c["strategy"] == advice["rival"])
        text += f", {advice['rival']} in {draws_text(share)}"
    if advice["tie"]:
        text = f"A tie. {text}"
    if advice["margin"] is not None:
        costs = f"{number(1 + advice['margin'])} times the cost"
        costs = costs if advice["margin"] > 0.01 else "the same cost within 1%"
        text += f"; by the constants' values {advice['runner_up']} comes next at {costs}"
    broken = [c for c in candidates if not c["meets"]]
    if broken:
        text += f". Ruled out: {_reasons(broken)}"
    return text + "."


def _reasons(candidates):
    """Say why each candidate is out, those with the same reason together."""
    named = {}
    for candidate in candidates:
        named.setdefault(candidate["why"], []).append(candidate["strategy"])
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in named.items())


TRADES = (
    ("shortest_harvest", "Shortest harvest", "harvest_ns", time),
    ("least_stall", "Least guest stall", "stall_fraction", share_text),
    ("least_cpu", "Least CPU time", "cpu_ns", time),
)


def _trade(advice):
    """Yield for each of the three aims who does best, by how much, and how surely."""
    by_name = {c["strategy"]: c for c in advice["candidates"]}
    for key, label, of, form in TRADES:
        trade = advice["trade"][key]
        value = form(by_name[trade["strategy"]][of]["value"])
        text = f"{label}: {trade['strategy']}, {value}"
        if trade["runner_up"] is None or not by_name[trade["runner_up"]][of]["value"]:
            yield text + "; all the same."
        elif trade["ratio"] == 1:
            yield f"{text}; {trade['runner_up']} the same."
        elif trade["ratio"] is None:
            yield f"{text}; {trade['runner_up']} comes next."
        else:
            yield (
                f"{text}; {trade['runner_up']} {_times(trade['ratio'])} that "
                f"(least in {draws_text(trade['share'])} of the draws)."
            )


def _times(ratio):
    return "hardly more than" if ratio < 1.01 else f"{number(ratio)} times"


def _other_pages(one, is_trace):
    written = "of the same recording" if is_trace else "the same share written"
    return (
        f"With pages of {size_text(one['page_bytes'])}, {written}: {one['strategy']} "
        f"(in {draws_text(one['share'])} of the draws)."
    )


def _flip(flip):
    form = {
        "density": percent,
        "slot_pages": lambda pages: f"{pages:.4g} pages",
        "vcpus": two_digits,
    }
    show = form.get(flip["parameter"], duration)
    change = f"from {show(flip['from'])} to {show(flip['to'])}"
    within = "  (within its range)" if flip["within"] else ""
    return f"  {flip['parameter']:12} {change}: {flip['winner']}{within}"


def _break_even(advice):
    """Yield the density above which a scan costs less than faults."""
    density, share = advice["break_even_density"], advice["crossing_share"]
    if density:
        ends = (density[key] for key in ("p50", "p5", "p95"))
        middle, low, high = ("never" if end is None else share_text(end) for end in ends)
        yield (
            f"A scan takes less CPU time than faults above {middle} written per interval "
            f"({low} to {high}; {draws_text(share)} of the draws have such a density)."
        )
    shown = advice["drivers"][:SHOWN_DRIVERS]
    if shown:
        parts = ", ".join(f"{one['constant']} {draws_text(one['share'])}" for one in shown)
        yield f"The verdict hangs most on: {parts} (share of rank variance)."


def _settings(candidates):
    """Yield for every strategy what to set; why one is not priced stands elsewhere."""
    for c in candidates:
        for one in c["settings"]:
            if one["how"]:
                since = f" (since {one['since']})" if one["since"] else ""
                yield f"  {c['strategy']}: {one['how']}{since}"
            elif c["priced"]:
                yield f"  {c['strategy']}: no kernel has it. {c.get('hypothetical') or ''}".rstrip()


def _reference(advice, priced):
    """Yield what such a harvest takes on the reference machine, where its walks are used."""
    origin = advice["provenance"]["reference"]
    constants = advice["provenance"]["constants"].values()
    if not any("reference machine" in one["source"] for one in constants):
        return
    found = {c["strategy"]: c["reference_harvest_ns"] for c in priced}
    times = ", ".join(f"{name} {time(ns)}" for name, ns in found.items() if ns is not None)
    yield (
        f"Such a harvest of the simulated HPT on the reference machine, {origin['cpu']} "
        f"({origin['date']}), from the fit of measured walks: {times}. The others have no fit."
    )
    if not origin["covers"]:
        yield "Its grid does not reach so far: the costs of its edge are used."


def _scenario(scenario, advice):
    """Return what was asked, in one sentence."""
    written = percent(float(np.mean(scenario.dirty_pages)) / scenario.slot_pages)
    size, of = size_text(scenario.page_bytes), "written every"
    huge = scenario.page_bytes * scenario.entry_pages
    backed = f" in entries of {size_text(huge)}" if scenario.entry_pages > 1 else ""
    return (
        f"{plural(scenario.slot_pages, 'page')} of {size}{backed}, {written} {of} "
        f"{duration(scenario.interval_ns)}, {scenario.vcpus} vCPU; "
        f"{advice['provenance']['title']}. All figures are modelled; ranges are 5 % to 95 % of "
        f"{advice['provenance']['draws']} draws over all constants."
    )


def text_of(advice, scenario, wish):
    """Return the advice as text, at most 100 columns wide.

    Parameters
    ----------
    advice : dict
        As the command puts it together: `analysis.advice.advise.advise`, `note` (what was assumed:
        it comes first) and `other_page_sizes`.
    scenario : Scenario
    wish : Wish
    """
    width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    priced = [c for c in advice["candidates"] if c["priced"]]
    is_trace = np.size(scenario.dirty_pages) > 1
    flips = [_flip(flip) for flip in advice["flips"][:SHOWN_FLIPS]]
    paragraphs = [
        *([advice["note"]] if advice["note"] else []),
        *advice["warnings"],
        *_verdict(advice, wish),
        *_trade(advice),
        *(_other_pages(one, is_trace) for one in advice["other_page_sizes"]),
        "",
        _scenario(scenario, advice),
    ]
    tables = ["", *interval_table(priced, width)]
    if is_trace:
        tables += ["", "Single intervals, by pages written:", *worst_table(priced, width)]
    tables += ["", *once_table(priced, width), ""]
    after = [
        *_break_even(advice),
        "",
        "What would change the winner, the smallest move first:",
        *(flips or ["  nothing within a factor of 1000"]),
        "",
        "What to set:",
        *_settings(advice["candidates"]),
        *(f"  {c['strategy']}: {c['why']}" for c in advice["candidates"] if not c["priced"]),
        "",
        *_reference(advice, priced),
    ]
    return "\n".join([*_wrapped(paragraphs, width), *tables, *_wrapped(after, width)])


def _wrapped(paragraphs, width):
    for text in paragraphs:
        indent = "  " if text.startswith("  ") else ""
        lines = textwrap.wrap(text, width, subsequent_indent=indent * 2, break_long_words=False)
        yield from lines or [""]
