"""Advice as people read it."""

from strategies.units import duration, number, percent

SHOWN_FLIPS = 5


def _spread(quantity, form):
    return f"{form(quantity['value'])} ({form(quantity['low'])} to {form(quantity['high'])})"


def _verdict(advice):
    """Return the first line: what to deploy."""
    candidates = advice["candidates"]
    if advice["strategy"] is None:
        nearest = candidates[0]
        return f"No strategy meets the limits; {nearest['strategy']} comes nearest."
    best, runner_up, margin = advice["strategy"], advice["runner_up"], advice["margin"]
    if runner_up is None:
        return f"{best}: the only strategy that meets the limits."
    if margin is None:
        return f"{best}: costs nothing measurable here; {runner_up} comes next."
    if advice["tie"]:
        return f"{best} or {runner_up}: a tie, {percent(margin)} apart is within the noise."
    return f"{best}; the runner-up, {runner_up}, costs {number(1 + margin)} times as much."


def _decides(advice, wish):
    """Say what decided: the weights, or a limit that cheaper strategies break."""
    broken = [c for c in advice["candidates"] if not c["meets"]]
    if advice["strategy"] is None:
        return "; ".join(f"{c['strategy']} {c['why']}" for c in broken) + "."
    weights = ", ".join(f"{name}={weight:g}" for name, weight in wish.weights.items() if weight)
    text = f"Decided by least cost, weights {weights}"
    if broken:
        text += "; ruled out: " + ", ".join(f"{c['strategy']} ({c['why']})" for c in broken)
    return text + "."


def _table(candidates):
    yield f"{'strategy':22} {'harvest latency':32} {'guest stall':30} CPU time per interval"
    for c in candidates:
        harvest = _spread(c["harvest_ns"], duration)
        stall = _spread(c["stall_fraction"], percent)
        yield f"{c['strategy']:22} {harvest:32} {stall:30} {_spread(c['cpu_ns'], duration)}"


def _flip(flip):
    form = {"density": percent, "slot_pages": lambda pages: f"{pages:.4g} pages"}
    show = form.get(flip["parameter"], duration)
    change = f"from {show(flip['from'])} to {show(flip['to'])}"
    return f"  {flip['parameter']:12} {change}: {flip['winner']}"


def _measured(advice):
    """Yield what was measured on the reference machine, and whether the grid has this slot."""
    origin = advice["provenance"]["reference"]
    times = ", ".join(
        f"{c['strategy']} {duration(c['reference_harvest_ns'])}" for c in advice["candidates"]
    )
    where = f"{origin['cpu']} ({origin['date']}, measured undisturbed, its tlbie simulated)"
    yield f"Harvest on {where}: {times}."
    if not origin["covers"]:
        (least, most), (sparse, dense) = origin["slot_pages"], origin["densities"]
        yield (
            f"Outside the measured grid, {least} to {most} pages and {percent(sparse)} to "
            f"{percent(dense)} written: the costs of its edge are used."
        )


def text_of(advice, scenario, wish):
    """Return the advice as text.

    Parameters
    ----------
    advice : dict
        As from `analysis.advice.advise.advise`.
    scenario : Scenario
    wish : Wish
    """
    provenance = advice["provenance"]
    flips = [_flip(flip) for flip in advice["flips"][:SHOWN_FLIPS]]
    lines = [
        _verdict(advice),
        _decides(advice, wish),
        "",
        f"{scenario.slot_pages} pages, {percent(scenario.density)} of them written every "
        f"{duration(scenario.interval_ns)}, {scenario.vcpus} vCPU; {provenance['title']}. "
        "All figures are modelled (low to high).",
        *_table(advice["candidates"]),
        *_measured(advice),
        "",
        "What would change the winner, the smallest move first:",
        *(flips or ["  nothing within a factor of 1000"]),
    ]
    if any(c["stall_fraction"]["value"] > 1 for c in advice["candidates"]):
        lines.append("A stall above 100%: the guest cannot write that fast, tracking throttles it.")
    if provenance["unavailable"]:
        lines.append(f"Not offered by this hardware: {', '.join(provenance['unavailable'])}.")
    return "\n".join(lines)
