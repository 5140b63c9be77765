"""A known defect: mutated copies of functions, put in the place of the real ones for a while."""

import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from strategies import registry


@dataclass(frozen=True)
class Defect:
    """A defect that the explorer must find.

    Attributes
    ----------
    name : str
    what : str
        One sentence: what the code did.
    origin : str
        The kernel commit that fixed it, or the rule of the design that forbids it.
    lived : str
        From when to when the kernel had it, as "2011-12 to 2012-12", or "-".
    program : str
        Name of the program that finds it: of `programs`, of the catalogue, or a generated one.
    strategy : str
        The tracker under which it does.
    replaces : tuple of (callable, callable)
        The original functions and their mutated copies.
    memory : {"sc", "tso"}
        The memory model under which it does; see `MEMORIES`.
    """

    name: str
    what: str
    origin: str
    lived: str
    program: str
    strategy: str
    replaces: tuple[tuple[Callable, Callable], ...]
    memory: str = "sc"


def _holders():
    """Yield (name of the module, holder) of all modules of the package and their classes."""
    for module_name, module in [*sys.modules.items()]:
        if module_name.startswith("strategies."):
            yield module_name, module
            for member in vars(module).values():
                if isinstance(member, type) and member.__module__ == module_name:
                    yield module_name, member


def _places(instead_of):
    """Return (holder, name, original) of each attribute that is one of some, told by their ids.

    But for those of the module of what shall stand in its place.
    """
    return [
        (holder, name, value)
        for module_name, holder in _holders()
        for name, value in vars(holder).items()
        if id(value) in instead_of and instead_of[id(value)].__module__ != module_name
    ]


@contextmanager
def substituted(replaces):
    """Replace functions wherever the package holds them: modules import each other's by name.

    Parameters
    ----------
    replaces : iterable of (callable, callable)
        The functions as they are and what shall stand in their place. The module of a mutated
        copy keeps the original, so that a copy can call it. The JIT must be disabled.
    """
    for name in registry.names():
        registry.get(name)  # a tracker that is imported later would hold the copy for ever
    replaces = tuple(replaces)
    instead_of = {id(original): instead for original, instead in replaces}
    places = _places(instead_of) if replaces else []
    found = {id(original) for _, _, original in places}
    for original, _ in replaces:
        if id(original) not in found:
            raise ValueError(f"{original.__qualname__} is nowhere in the package")
    try:
        for holder, name, original in places:
            setattr(holder, name, instead_of[id(original)])
        yield
    finally:
        for holder, name, original in places:
            setattr(holder, name, original)
