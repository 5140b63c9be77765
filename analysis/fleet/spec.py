"""What a sweep is to run: axes, recordings and synthetic workloads, from TOML and options."""

import itertools
import tomllib
from dataclasses import dataclass, replace

from strategies.errors import InputError
from strategies.options import PAGE_SHIFTS
from strategies.registry import TRACKERS, base_of, get, names
from strategies.units import parse_duration, parse_fraction, parse_pages
from strategies.workloads.checks import MAX_EPOCH_STORES, MAX_EPOCHS, MAX_SLOT_PAGES
from strategies.workloads.recipe import Recipe
from strategies.workloads.synthetic import check_recipe

MAPPINGS = ("linear", "scattered")
MAX_VCPUS = 64


def _one_of(accepted):
    def parse(value):
        if value not in accepted:
            raise InputError(f"{value!r}: accepted are {', '.join(accepted)}")
        return value

    return parse


def _whole(least, most):
    def parse(value):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InputError(f"{value!r}: accepted are whole numbers from {least} to {most}")
        return value

    return parse


def _strategy(name):
    get(name)
    if base_of(name) not in TRACKERS:
        raise InputError(f"{name!r} is from outside: accepted are {', '.join(TRACKERS)}")
    return name


def _interval(text):
    if not isinstance(text, str):
        raise InputError(f"{text!r}: accepted are durations as in '100ms', or 'recorded'")
    return None if text == "recorded" else parse_duration(text) / 1e6


AXES = {
    "strategy": _strategy,
    "page_size": lambda text: 1 << PAGE_SHIFTS[_one_of(PAGE_SHIFTS)(text)],
    "mapping": _one_of(MAPPINGS),
    "vcpus": _whole(1, MAX_VCPUS),
    "interval": _interval,
    "seed": _whole(0, (1 << 32) - 1),
}
"""Axis, and how a value is read: page sizes in bytes, intervals in ms (None: as recorded)."""

DEFAULTS = {
    "strategy": names(),
    "page_size": (4096,),
    "mapping": ("linear",),
    "vcpus": (1,),
    "interval": (None,),
    "seed": (0,),
}


WORKLOAD = {
    "pattern": ("pattern", str),
    "slot": ("slot_pages", parse_pages),
    "density": ("density", parse_fraction),
    "epochs": ("epochs", _whole(1, MAX_EPOCHS)),
    "epoch": ("epoch_ms", lambda text: parse_duration(text) / 1e6),
    "stores": ("stores", _whole(0, MAX_EPOCH_STORES)),
    "reads": ("reads", _whole(0, MAX_SLOT_PAGES)),
}
"""Keys of a synthetic workload: what each says of a `Recipe`, and how it is read."""


@dataclass(frozen=True)
class Sweep:
    """What to run.

    Attributes
    ----------
    traces : tuple of str
        Names of bundled recordings, and patterns of paths of npz files on any file system.
    workloads : tuple of (str, Recipe)
        Name and recipe of synthetic workloads; the seed is an axis.
    axes : dict of str to tuple
        Values of each of AXES.
    """

    traces: tuple[str, ...]
    workloads: tuple[tuple[str, Recipe], ...]
    axes: dict[str, tuple]

    def settings(self):
        """Return all combinations of the axes, as dicts."""
        return [
            dict(zip(self.axes, values, strict=True))
            for values in itertools.product(*self.axes.values())
        ]


def read_spec(path):
    """Read a sweep from a TOML file.

    Raises
    ------
    InputError
        No such file, not TOML, or a key or value that is none.
    """
    label = f"spec {str(path)!r}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return _parse(document)
    except InputError as error:
        raise InputError(f"{label}: {error}") from error
    except OSError as error:
        raise InputError(f"{label}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label} is not TOML: {error}") from error


def merge(spec, traces, options):
    """Return a sweep (or None: an empty one) with more recordings, and other values of axes.

    Parameters
    ----------
    spec : Sweep or None
    traces : sequence of str
    options : dict of str to sequence
        Values by axis, as written; an empty sequence leaves the axis as it is.
    """
    spec = spec or Sweep((), (), DEFAULTS)
    axes = spec.axes | {axis: _axis(axis, list(given)) for axis, given in options.items() if given}
    spec = replace(spec, traces=(*spec.traces, *traces), axes=axes)
    if not spec.traces and not spec.workloads:
        raise InputError("nothing to run; accepted: a spec, --traces 'DIR/*.npz', or both")
    return spec


def _parse(document):
    _refuse_unknown("", document, ("traces", "axes", "workload"))
    axes = document.get("axes", {})
    _refuse_unknown("axes.", axes, AXES)
    traces, workloads = document.get("traces", []), document.get("workload", [])
    if not isinstance(traces, list) or not all(isinstance(text, str) for text in traces):
        raise InputError('traces must be a list of paths, as in ["vms/*.npz"]')
    if not isinstance(workloads, list) or not all(isinstance(one, dict) for one in workloads):
        raise InputError("workloads must be tables, [[workload]]")
    named = dict(pair for one in workloads for pair in _workloads(one))
    read = {axis: _axis(axis, values) for axis, values in axes.items()}
    return Sweep(tuple(traces), tuple(named.items()), DEFAULTS | read)


def _refuse_unknown(place, table, accepted):
    if not isinstance(table, dict):
        raise InputError(f"{place.rstrip('.')} must be a table")
    for key in table:
        if key not in accepted:
            raise InputError(f"has {place}{key}; accepted: {', '.join(accepted)}")


def _axis(axis, values):
    """Return the values of an axis, each once and read."""
    values = values if isinstance(values, list) else [values]
    if not values:
        raise InputError(f"{axis} is empty; accepted: one value or more")
    try:
        return tuple(dict.fromkeys(AXES[axis](value) for value in values))
    except (InputError, TypeError) as error:
        raise InputError(f"{axis}: {error}") from error


def _workloads(table):
    """Yield name and recipe of the synthetic workloads of a table: lists are axes."""
    _refuse_unknown("workload.", table, WORKLOAD)
    if "pattern" not in table:
        raise InputError("a workload lacks its pattern")
    lists = {key: one if isinstance(one, list) else [one] for key, one in table.items()}
    for values in itertools.product(*lists.values()):
        written = dict(zip(lists, values, strict=True))
        yield "-".join(f"{value}" for value in written.values()), _recipe(written)


def _recipe(written):
    try:
        read = ((*WORKLOAD[key], value) for key, value in written.items())
        recipe = Recipe(**{name: parse(value) for name, parse, value in read})
        check_recipe(recipe)
    except (InputError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"workload: {error}") from error
    return recipe
