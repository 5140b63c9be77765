"""Trackers from outside: `FILE.py:CLASS`, or a name that an installed package gives.

A package names its own in its `pyproject.toml`:

    [project.entry-points."dirtylog.trackers"]
    my_tracker = "my_package.my_module:MyTracker"
"""

import importlib.util
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from zlib import crc32

from strategies.errors import InputError
from strategies.parameter import Parameter

GROUP = "dirtylog.trackers"


def parted(strategy):
    """Return the name of a tracker and what follows it and a colon, or None.

    Before a colon whatever ends in `.py` is a file: `fast.py:Fast:64` is `fast.py:Fast` and "64".
    """
    file, dot, rest = strategy.rpartition(".py:")
    name, colon, text = rest.partition(":")
    return f"{file}{dot}{name}", text if colon else None


def is_file(name):
    """Say whether a name is that of a file and a class."""
    return ".py:" in name


def installed():
    """Return the entry points of trackers that installed packages have, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def load(name):
    """Return the class of a name, a file's or a package's.

    Raises
    ------
    InputError
        It cannot be imported, or is no tracker.
    """
    file, _, kind = name.rpartition(":")
    try:
        found = getattr(_module_of(file), kind, None) if file else installed()[name].load()
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever their code does
        raise InputError(f"strategy {name!r}: {type(error).__name__}: {error}") from error
    return _checked(name, found)


def _module_of(file):
    """Import a file; numba finds its kernels' cache by the file, so the name may be made up."""
    path = Path(file).resolve()
    if not path.is_file():
        raise InputError(f"strategy {file!r}: no such file")
    name = f"tracker_{path.stem}_{crc32(str(path).encode()):x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _checked(name, found):
    from strategies.base import DirtyTracker

    if not (isinstance(found, type) and issubclass(found, DirtyTracker)):
        raise InputError(
            f"strategy {name!r}: accepted is a subclass of strategies.base.DirtyTracker"
        )
    if lacking := ", ".join(sorted(found.__abstractmethods__)):
        raise InputError(f"strategy {name!r} lacks {lacking}")
    if not isinstance(found.parameter, Parameter | None):
        raise InputError(f"strategy {name!r}: parameter must be a strategies.parameter.Parameter")
    return found
