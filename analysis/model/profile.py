"""Cost profiles: what the events of a tracker cost on a platform, each with range and source."""

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from reprlib import repr as short

from analysis.measured.reference import WALKS, load_reference
from analysis.model.estimate import MODELS
from strategies.errors import InputError

CONSTANTS = {
    "page_scan": "look at one clean page (rmap lock, HPTE)",
    "page_clear": "clear the changed bit of one dirty page, its invalidation apart",
    "word_read": "read one bitmap word, 64 pages",
    "page_rearm": "make one dirty page read-only, its invalidation apart",
    "page_unmap": "make one page of the slot absent, its invalidation apart",
    "tlbie": "invalidate one translation everywhere, one vCPU running",
    "tlbie_vcpu": "the same, for each further running vCPU",
    "flush": "flush all translations of the guest, one vCPU running",
    "flush_vcpu": "the same, for each further running vCPU",
    "fault": "a first-write fault from exit to entry, one vCPU storing",
    "fault_vcpu": "the same, for each further vCPU that stores",
    "grace": "wait until the fault handlers of before have left",
    "set_changed": "the hardware sets the changed bit at a first store",
}
KINDS = ("cited", "derived", "estimated", "measured")
MAX_COST = 1e12
"""A quarter of an hour for one event: no unit cost is larger, and every product stays finite."""

NS, REFERENCE = "ns", "reference"
UNITS = (NS, REFERENCE)
"""REFERENCE: times what the same walk costs on the reference machine, for the slot's size and
density (`analysis.measured.reference`)."""


@dataclass(frozen=True)
class Constant:
    """One unit cost, in nanoseconds or times the reference machine's, and what is known of it."""

    value: float
    low: float
    high: float
    unit: str
    kind: str
    source: str


@dataclass(frozen=True)
class Profile:
    """The unit costs of a platform.

    Attributes
    ----------
    name, title : str
    unavailable : tuple of str
        Strategies that the hardware does not offer.
    constants : dict of str to Constant
        One for each of CONSTANTS.
    """

    name: str
    title: str
    unavailable: tuple[str, ...]
    constants: dict[str, Constant]

    def costs(self, scenario, which="value"):
        """Return every constant's value, low or high in nanoseconds, by name.

        Parameters
        ----------
        scenario : Scenario
            Whose slot size and density matter to what is given in units of the reference.
        which : {"value", "low", "high"}
        """
        costs = {name: getattr(constant, which) for name, constant in self.constants.items()}
        measured = [name for name, c in self.constants.items() if c.unit == REFERENCE]
        if measured:
            walk = load_reference().walk_ns(scenario.slot_pages, scenario.density)
            costs |= {name: costs[name] * walk[name] for name in measured}
        return costs


def bundled():
    """Return the names of the profiles that come with the package, sorted."""
    names = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_profile(name_or_path):
    """Load a bundled profile by its name, or a user's own from a TOML file.

    Raises
    ------
    InputError
        No such profile, not TOML, or a constant that is missing, unknown, negative or without
        its range, kind and source.
    """
    label = f"profile {str(name_or_path)!r}"
    try:
        document = tomllib.loads(_locate(name_or_path).read_text(encoding="utf-8"))
        return _parse(document)
    except InputError as error:
        raise InputError(f"{label}: {error}") from error
    except OSError as error:
        raise InputError(f"{label}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label} is not TOML: {error}") from error


def _folder():
    return resources.files("analysis.model") / "profiles"


def _locate(name_or_path):
    if name_or_path in bundled():
        return _folder() / f"{name_or_path}.toml"
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(f"no such file; accepted: a TOML file, or one of {', '.join(bundled())}")
    return path


def _parse(document):
    name, title = (_text(document, key) for key in ("name", "title"))
    unavailable = document.get("unavailable", [])
    strategies = tuple(MODELS)
    if not isinstance(unavailable, list) or not all(name in strategies for name in unavailable):
        raise InputError(
            f"unavailable must be a list of strategy names; accepted: {', '.join(strategies)}"
        )
    if len(set(unavailable)) == len(strategies):
        raise InputError("unavailable must leave a strategy to choose")
    tables = document.get("constants")
    if not isinstance(tables, dict):
        raise InputError("lacks [constants.*]")
    for wrong, names in (
        ("lacks", CONSTANTS.keys() - tables.keys()),
        ("has unknown", tables.keys() - CONSTANTS.keys()),
    ):
        if names:
            accepted = ", ".join(CONSTANTS)
            raise InputError(f"{wrong} constants {', '.join(sorted(names))}; accepted: {accepted}")
    constants = {key: _constant(key, tables[key]) for key in CONSTANTS}
    return Profile(name, title, tuple(unavailable), constants)


def _text(table, key):
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key} must be text")
    return value


def _constant(name, table):
    """Return a constant from its table, every field checked."""
    if not isinstance(table, dict):
        raise InputError(f"{name} must be a table with value, low, high, unit, kind, source")
    numbers = []
    for key in ("value", "low", "high"):
        number = table.get(key)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise InputError(f"{key} of {name} must be a number")
        if not 0 <= number <= MAX_COST:
            raise InputError(
                f"{key} of {name} must be at most {MAX_COST:g} and 0 or more, not {short(number)}"
            )
        numbers.append(float(number))
    value, low, high = numbers
    if not low <= value <= high:
        raise InputError(f"{name} must have low <= value <= high, not {low}, {value}, {high}")
    unit = table.get("unit")
    accepted = UNITS if name in WALKS else (NS,)
    if unit not in accepted:
        raise InputError(f"unit of {name} must be {' or '.join(map(repr, accepted))}")
    if table.get("kind") not in KINDS:
        raise InputError(f"kind of {name} must be one of {', '.join(KINDS)}")
    try:
        source = _text(table, "source")
    except InputError as error:
        raise InputError(f"{error} in {name}: where the figure comes from") from error
    return Constant(value, low, high, unit, table["kind"], source)
