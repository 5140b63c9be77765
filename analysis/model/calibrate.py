"""A profile of one's own host: what the lanes tell of its unit costs, the rest transferred."""

import json
import tomllib
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from analysis.model.evaluate import value_of
from analysis.model.lanes import COUNTED, columns, names_of
from analysis.model.profile import COSTS, bundled_text
from analysis.model.scenario import scenario_of_trace
from strategies.errors import InputError
from strategies.lanes.cells import WARMS_UP, cell_trace
from strategies.lanes.session import check_slot, replay_traces
from strategies.lanes.speed import NO_PATIENCE, Speed
from strategies.terminal import progress_bar

PROFILE_COUNTS = {
    "uffd_async": {"call": "harvests", "page_scan": "slot_pages", "page_clear": "dirty_pages"},
    "kvm_bitmap": {
        "call": "harvests",
        "word_read": "words",
        "word_take": "touched_words",
        "page_rearm": "dirty_pages",
    },
}
"""Which lane's harvest tells which constants of a profile; KVM's guest tells `fault` besides.

A profile's terms know no page tables and have no `call`: a constant's range says what that costs.
"""

TIMES = ("harvest_ns", "lost_ns")
MOST_NOISE = 0.10
"""Median deviation of repetitions from their cell's median, above which nothing is trusted."""
GROUPS = 16
"""Of rounds: what constants differ by between them widens their ranges."""
SHARE = 0.3
"""A cell tells a constant's range where the constant is this much of its harvest."""
RANGE = (5, 95)
LOWER_QUARTILE, MEDIAN = 25, 50
ROUNDS, LEAST_ERROR = 12, 0.2
"""Of the weighing, and the relative error below which a cell has no more weight: that is noise."""


@dataclass(frozen=True)
class Measured:
    """A unit cost in nanoseconds, and its range over the cells that tell it."""

    value: float
    low: float
    high: float


def run_lane(lane, traces, patience=NO_PATIENCE):
    """Return for each trace by name the nanoseconds of each epoch, all run by one process.

    `harvest_ns`; `lost_ns`, what the guest lost before; `clock_ns` and `crowding`, as of Speed.
    Time that other work had the CPU is left out. Where pages did not stay open for the second
    stores, for a ring was full, the first two tell nothing: NaN.

    Raises
    ------
    InputError
        The lane failed or was not exact, or memory is short.
    """
    for trace in traces:
        check_slot(trace)
    with progress_bar() as bar:
        results = replay_traces(traces, lane, thp=False, bar=bar, patience=patience)
    return [_times(lane, result) for result in results]


def _times(lane, result):
    if any(result.lost) or any(result.spurious):
        raise InputError(f"lane {lane} was not exact: its times mean nothing")
    harvest, write, again = (
        np.minimum(getattr(result, name), result.cpu_ns[name]).astype(float)
        for name in ("harvest_ns", "write_ns", "again_ns")
    )
    times = {"harvest_ns": harvest, "lost_ns": write - again}
    times = {name: np.where(result.opened, ns, np.nan) for name, ns in times.items()}
    speeds = np.array(result.speed, float).T
    return times | dict(zip(Speed._fields, speeds, strict=True))


def cell_samples(lane, slots, repetitions, seed=0, *, is_steady=False, patience=NO_PATIENCE):
    """Return what a lane did with cells of slots: arrays with an entry for each epoch.

    Parameters
    ----------
    lane : str
    slots : dict of int to sequence of Cell
        By MiB.
    repetitions, seed, is_steady
        As of `cell_trace`.
    patience : Patience

    Returns
    -------
    dict of str to array
        `cell` counts the cells of all slots; the others are `slot_pages`, `dirty_pages`, COUNTED,
        TIMES, the fields of Speed.
    """
    cells = [
        cell_trace(mib << 8, repetitions, seed + mib, kinds, is_steady=is_steady)
        for mib, kinds in slots.items()
    ]
    firsts = np.cumsum([0, *map(len, slots.values())])
    times = run_lane(lane, [trace for trace, _ in cells], patience)
    parts = [
        _samples(trace, order, first, found)
        for (trace, order), first, found in zip(cells, firsts[:-1], times, strict=True)
    ]
    return joined(parts)


def joined(parts):
    """Return samples of several slots or rounds as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _samples(trace, order, first, times):
    """Return the samples of a slot, its cells counted from `first`, without epochs that warm up."""
    counted = scenario_of_trace(trace).counted
    samples = {"cell": order + first, "slot_pages": np.full(len(order), float(trace.slot_pages))}
    samples |= {"dirty_pages": np.diff(trace.offsets)}
    samples |= {name: counted[name] for name in COUNTED} | times
    return {name: values[order != WARMS_UP] for name, values in samples.items()}


def middles(samples, percent=LOWER_QUARTILE):
    """Return for each cell a percentile of its times and the mean of its counts, as arrays.

    What disturbs a time mostly adds to it: so few repetitions tell most by their lower quartile.
    A cell without times has NaN.
    """
    cells = [samples["cell"] == one for one in np.unique(samples["cell"])]
    middle = {name: partial(_percentile, percent) if name in TIMES else np.mean for name in samples}
    return {
        name: np.array([middle[name](values[cell]) for cell in cells])
        for name, values in samples.items()
    }


def _percentile(percent, values):
    known = values[np.isfinite(values)]
    return np.percentile(known, percent) if known.size else np.nan


def noise(rounds):
    """Return how much harvests of a cell deviate, in all rounds: the median over all, as a share.

    Parameters
    ----------
    rounds : list of dict
        As from `cell_samples`.
    """
    both = joined([{name: one[name] for name in ("cell", "harvest_ns")} for one in rounds])
    cell, ns = both["cell"], both["harvest_ns"]
    known = [ns[(cell == one) & np.isfinite(ns)] for one in np.unique(cell)]
    deviations = [np.abs(one / np.median(one) - 1) for one in known if one.size]
    return float(np.median(np.concatenate(deviations)))


def fit(columns, ns):
    """Return unit costs by name, from counts and times.

    Least absolute relative errors (by squares that are weighed anew), none negative: a cell that
    was disturbed turns nothing.

    Parameters
    ----------
    columns : dict of str to float64[n]
        How often each is paid.
    ns : float64[n]

    Returns
    -------
    tuple
        A dict of Measured, and the median relative error of the fit.
    """
    known = ns > 0  # neither lost in noise nor NaN
    matrix, ns = np.column_stack(list(columns.values()))[known], ns[known]
    weights = np.ones(len(ns))
    for _ in range(ROUNDS):
        found = _non_negative(matrix * (weights / ns)[:, None], weights)
        weights = 1 / np.sqrt(np.maximum(np.abs(matrix @ found / ns - 1), LEAST_ERROR))
    parts = matrix * found
    predicted = parts.sum(axis=1)
    measured = {}
    for index, name in enumerate(columns):
        tells = parts[:, index] > SHARE * predicted
        implied = (ns - predicted + parts[:, index])[tells] / matrix[tells, index]
        value = found[index]
        low, high = np.percentile(implied, RANGE) if tells.any() else (value, value)
        measured[name] = Measured(value, max(0.0, min(low, value)), max(high, value))
    return measured, float(np.median(np.abs(predicted / ns - 1)))


def _non_negative(matrix, target):
    """Return x >= 0 that brings matrix @ x nearest to a target: the best over sets of columns."""
    count = matrix.shape[1]
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1  # no cell tells of it: it stays 0
    gram, moment = (matrix / scale).T @ (matrix / scale), (matrix / scale).T @ target
    best, most = np.zeros(count), 0.0
    for chosen in range(1, 1 << count):
        some = [column for column in range(count) if chosen >> column & 1]
        solution = np.linalg.lstsq(gram[np.ix_(some, some)], moment[some], rcond=None)[0]
        explained = solution @ moment[some]
        if (solution >= 0).all() and explained > most:
            best, most = np.zeros(count), explained
            best[some] = solution
    return best / scale


def fit_stores(lane, names, lost_ns):
    """Return what the guest's stores cost by unit, fitted to cells with written pages."""
    written = names["dirty_pages"] > 0
    counts = {unit: n[written] for unit, n in columns(lane, "interval", names).items()}
    return fit(counts, lost_ns[written])[0]


def costs_of(lane, cells, cached):
    """Return what a lane's cells tell: unit costs, constants of a profile, and the fit's error.

    Parameters
    ----------
    lane : str
    cells : dict of str to float64[n]
        As from `middles`.
    cached : int
        As from `analysis.model.lanes.cached_pages`.

    Returns
    -------
    tuple
        Two dicts of Measured, and the median relative error of the harvests.
    """
    names = names_of(cells["slot_pages"], cells["dirty_pages"], cells, cached)
    units, error = fit(columns(lane, "harvest", names), cells["harvest_ns"])
    units |= fit_stores(lane, names, cells["lost_ns"])
    return units, _of_profile(lane, names, cells), error


def costs_of_rounds(lane, rounds, cached):
    """Return as `costs_of` what all rounds tell together, with ranges as wide as GROUPS differ.

    By medians: a quarter or so of KVM's visits are quick ones (METHODOLOGY), so that a lower
    quartile is now of these and now of the others.

    Parameters
    ----------
    lane : str
    rounds : list of dict
        As from `cell_samples`, the same cells in each.
    cached : int
    """
    units, constants, error = costs_of(lane, middles(joined(rounds), MEDIAN), cached)
    groups = min(GROUPS, len(rounds))
    others = [
        costs_of(lane, middles(joined(_all_but(rounds, at, groups)), MEDIAN), cached)
        for at in range(groups)
    ]
    return (
        _widened(units, [one for one, _, _ in others]),
        _widened(constants, [one for _, one, _ in others]),
        error,
    )


def _all_but(rounds, at, groups):
    return [one for number, one in enumerate(rounds) if number % groups != at]


def _widened(measured, others):
    """Return constants whose ranges reach as far, both ways, as groups of rounds lie apart.

    Each of `others` is of all groups but one, which leave it out in turn: so they lie apart by one
    part in their number less one of what the groups themselves would (a jackknife), and none lacks
    a cell.
    """
    reaches = {
        name: (len(others) - 1) * np.ptp([other[name].value for other in others])
        for name in measured
    }
    return {
        name: replace(
            one,
            low=max(0.0, min(one.low, one.value - reaches[name])),
            high=max(one.high, one.value + reaches[name]),
        )
        for name, one in measured.items()
    }


def _of_profile(lane, names, cells):
    """Return the constants of a profile that a lane's cells tell, by name."""
    formulas = PROFILE_COUNTS.get(lane, {})
    counts = {
        unit: value_of(count, names) + 0 * cells["harvest_ns"] for unit, count in formulas.items()
    }
    measured = fit(counts, cells["harvest_ns"])[0] if counts else {}
    measured.pop("call", None)
    if lane == "kvm_bitmap":
        measured["fault"] = fault(cells["lost_ns"], cells["dirty_pages"])
    return measured


def fault(lost_ns, pages):
    """Return what a first write costs the guest, exit and entry in it, from epochs with writes."""
    known = (pages > 0) & np.isfinite(lost_ns)
    ratios = lost_ns[known] / pages[known]
    value = max(0.0, float(np.median(ratios)))
    low, high = np.percentile(ratios, RANGE)
    return Measured(value, max(0.0, min(low, value)), max(high, value))


def profile_text(measured, by_lane, *, base, name, title, source):
    """Return a profile as TOML: the measured constants, all others transferred from `base`.

    Parameters
    ----------
    measured : dict of str to Measured
    by_lane : dict of str to dict of str to Measured
        What the units of `analysis.model.lanes` cost on this machine's lanes.
    base : str
        A bundled profile.
    name, title : str
    source : str
        Of what was measured: host, kernel, date, command, repetitions.
    """
    document = tomllib.loads(bundled_text(base)) | {"name": name, "title": title}
    constants = document.pop("constants")
    if "fault" in measured:
        measured = measured | {"exit": Measured(0.0, 0.0, 0.0)}
    for key, table in constants.items():
        if key in measured:
            one = measured[key]
            values = {"value": one.value, "low": one.low, "high": one.high}
            said = "part of fault, which no lane can divide; " if key == "exit" else ""
            table |= values | {"unit": "ns", "kind": "measured", "source": said + source}
        else:
            table |= {"kind": "transferred", "source": f"from {base}: {table['source']}"}
    assert measured.keys() <= COSTS.keys()
    return "\n".join((*_toml(document, constants), *_lanes(by_lane))) + "\n"


def _toml(document, constants):
    """Yield the lines of a profile's document."""
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    for key in document.keys() - tables.keys():
        yield f"{key} = {json.dumps(document[key])}"
    for key, table in tables.items():
        if key == "settings":
            for strategy, rows in table.items():
                for row in rows:
                    yield from ("", f"[[settings.{strategy}]]", *_pairs(row))
        else:
            yield from ("", f"[{key}]", *_pairs(table))
    for key, table in constants.items():
        yield from ("", f"[constants.{key}]", *_pairs(table))


def _lanes(by_lane):
    """Yield the lines of what lanes cost: nanoseconds, lowest and highest."""
    for lane, costs in by_lane.items():
        yield from ("", f"[lanes.{lane}]")
        for unit, one in costs.items():
            yield f"{unit} = {json.dumps([one.value, one.low, one.high])}"


def _pairs(table):
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]
