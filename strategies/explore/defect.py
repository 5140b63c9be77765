"""A known defect: mutated copies of functions, put in the place of the real ones for a while."""

import inspect
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
    """Return (name of the module, holder) of all modules of the package and their classes."""
    modules = [each for each in sys.modules.items() if each[0].startswith("strategies.")]
    classes = [
        (module_name, member)
        for module_name, module in modules
        for member in vars(module).values()
        if inspect.isclass(member) and member.__module__ == module_name
    ]
    return modules + classes


def _places(holders, original, apart):
    """Return (holder, name) of each attribute that is it, but for those of one module apart."""
    return [
        (holder, name)
        for module_name, holder in holders
        if module_name != apart
        for name, value in vars(holder).items()
        if value is original
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
    done, replaces = [], tuple(replaces)
    holders = _holders() if replaces else []
    try:
        for original, instead in replaces:
            places = _places(holders, original, instead.__module__)
            if not places:
                raise ValueError(f"{original.__qualname__} is nowhere in the package")
            for holder, name in places:
                setattr(holder, name, instead)
                done.append((holder, name, original))
        yield
    finally:
        for holder, name, original in reversed(done):
            setattr(holder, name, original)
