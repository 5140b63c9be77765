"""Which trackers a function serves: whose own kernels reach it, by the names that they use."""

import ast
from functools import cache

from operators import ROOT

from strategies import registry

GUEST = ("strategies.core.vm", "strategies.core.guest", "strategies.base")
"""What every machine runs, whatever the tracker."""

ONE_OF_EACH_MODE = (
    "c_bit_scan",
    "write_protect_batched",
    "hpt_sweep:1048576",
    "pte_flush",
    "pml",
    "dirty_ring",
    "dbm_hybrid",
)
"""Enough to judge what all share: each asks something else of the machine (a sweep that it looks
where C is without a lock)."""

SERVES = {
    "groups": ("dbm_hybrid", "adaptive"),
    "heat": ("adaptive",),
    "logs": ("dirty_ring", "pml"),
    "pml": ("pml",),
    "rings": ("dirty_ring",),
}
"""Modules of core that every fault reaches, and yet serve some trackers alone."""


@cache
def _names_used(module):
    """Return the names that each part of a module uses, and where its own and imported ones live.

    Parts are functions and classes, and "" for the rest.
    """
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text())
    homes, uses = {}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("strategies"):
            homes |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    for node in tree.body:
        part = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
        used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        uses.setdefault(part, set()).update(used)
    homes |= {part: (module, part) for part in uses if part}
    return homes, uses


@cache
def _reached(modules):
    """Return every (module, part) that some modules reach."""
    ahead = [(module, part) for module in modules for part in _names_used(module)[1]]
    found = set(ahead)
    while ahead:
        module, part = ahead.pop()
        homes, uses = _names_used(module)
        for name in uses.get(part, ()):
            home = homes.get(name)
            if home and home not in found and (ROOT / (home[0].replace(".", "/") + ".py")).exists():
                found.add(home)
                ahead.append(home)
    return found


def trackers_of(mutant):
    """Return the trackers that a mutant concerns, those first whose own kernels reach it."""
    module = mutant.file.removesuffix(".py").replace("/", ".")
    part = mutant.function.partition(".")[0]
    own = [
        tracker
        for tracker in registry.judged()
        if _serves(module, part, _reached((registry.module_of(registry.base_of(tracker)),)))
    ]
    if own and not _serves(module, part, _reached(GUEST)):
        return tuple(own)
    served = SERVES.get(module.rpartition(".")[2], ())
    return tuple(dict.fromkeys((*served, *own, *ONE_OF_EACH_MODE)))


def _serves(module, part, reached):
    if part.startswith("<"):
        return module in {home for home, _ in reached}
    return (module, part) in reached
