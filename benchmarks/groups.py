"""Which cells are measured, and in which groups: one asv invocation each."""

import importlib
import inspect
import os
import re
from dataclasses import dataclass
from itertools import product

from strategies import registry

MODULES = (
    "machine_costs",
    "get_dirty_log",
    "logging_toggle",
    "guest_interval",
    "events",
    "contention",
    "recordings",
    "relative_to_c",
)


@dataclass
class Group:
    """What one asv invocation runs.

    Attributes
    ----------
    name : str
    pattern : str
        Matches `module.Class.method(param, ...)` of its cells.
    cells : set of (benchmark, params, version)
        Params as asv writes them: a tuple of each one's repr.
    """

    name: str
    pattern: str
    cells: set


def patterns(is_full, variants):
    """Yield name and pattern of each group, in the order in which they run."""
    yield "cost of a call", r"^get_dirty_log\.GetDirtyLogCall\."
    harvest = r"^get_dirty_log\.GetDirtyLog\.time_get_dirty_log\("
    for (page_bytes, mapping), slots in variants.items():
        if is_full:
            pattern = rf"{harvest}.*, {page_bytes}, '{mapping}'\)"
            yield f"harvest, {page_bytes >> 10} KiB pages, {mapping}", pattern
        else:
            for slot in slots:
                yield f"harvest, {slot >> 20} MiB", rf"{harvest}'\w+', {slot}, "
    yield "enable and disable", r"^logging_toggle\."
    yield "guest interval", r"^guest_interval\."
    if is_full:
        yield "machine costs", r"^machine_costs\."
        yield "harvest against copy", r"^get_dirty_log\.GetDirtyLog\.track_relative_to_copy\("
        few = "lost_pages|racing_faults|harvest|store"
        yield "contention", rf"^contention\.Contention\.track_({few})\("
    else:
        yield "simulated tlbie", r"^machine_costs\.MachineCosts\.track_tlbie\("
        yield "events", r"^events\.Events\.track_exact_(faults|tlbies)\("
        yield "contention", r"^contention\.Contention\.track_lost_pages\("


def suite_cells():
    """Yield (benchmark, params, version) of every cell that this revision has."""
    lacking = set(importlib.import_module("benchmarks.common").STRATEGIES) - set(registry.names())
    for module in MODULES:
        for name, suite in vars(importlib.import_module(f"benchmarks.{module}")).items():
            if not (inspect.isclass(suite) and hasattr(suite, "params")):
                continue
            for method in (m for m in dir(suite) if m.startswith(("time_", "track_"))):
                skip = getattr(getattr(suite, method), "skip_params", None)
                skip = set(getattr(suite, "skip_params", ()) if skip is None else skip)
                for params in product(*suite.params):
                    if params not in skip and not lacking & set(params):
                        cell = tuple(map(repr, params))
                        yield f"{module}.{name}.{method}", cell, suite.version


def groups_of(is_full):
    """Return the groups of a grid; sets the environment variable that the grid goes by."""
    os.environ["DIRTYLOG_GRID"] = "full" if is_full else "small"
    common = importlib.import_module("benchmarks.common")
    cells = list(suite_cells())
    return [
        Group(
            name,
            pattern,
            {cell for cell in cells if re.search(pattern, f"{cell[0]}({', '.join(cell[1])})")},
        )
        for name, pattern in patterns(is_full, common.VARIANTS)
    ]
