"""Cost profiles: what the events of a tracker cost on a platform, each with range and source."""

import tomllib
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from reprlib import repr as short

from analysis.measured.reference import WALKS, load_reference
from analysis.model.lanes import LANE_TERMS
from analysis.model.terms import COUNTED_TERMS, TERMS
from strategies.errors import InputError
from strategies.registry import TRACKERS, choices
from strategies.units import parse_size

COSTS = {
    "page_scan": "look at one clean page during a scan",
    "page_pass": "look at one clean page, its HPTE fetched ahead, without a lock",
    "block_sweep": "read 128 bytes of the HPT or the rmap in the order of memory",
    "page_clear": "clear the changed bit of one dirty page, its invalidation apart",
    "word_read": "read one bitmap word, 64 pages, that is 0",
    "word_take": "take and hand over a word that has bits, in addition",
    "page_rearm": "make one dirty page read-only again, its invalidation apart",
    "page_protect": "make one page read-only, or give it back, in a walk of the whole slot",
    "tlbie": "invalidate one translation everywhere, one vCPU running",
    "tlbie_vcpu": "the same, for each further running vCPU",
    "tlbie_shared": "invalidate one translation everywhere, the wait for it apart",
    "shared_wait": "wait until the invalidations begun before are complete",
    "flush": "flush all translations of the guest, one vCPU running",
    "flush_vcpu": "the same, for each further running vCPU",
    "exit": "leave the guest and enter it again around a first-write fault",
    "fault": "the host's handling of a first-write fault, uncontended, invalidations apart",
    "fault_wait": "what each further contending vCPU adds to a fault",
    "set_changed": "the hardware sets the changed bit at a first store",
    "log_push": "append one page to a ring or to the log of the hardware, and take it from there",
    "grace": "wait until the fault handlers of before have left",
    "split": "split one huge page while logging",
}
"""Unit costs in nanoseconds, by name."""

MECHANISMS = {
    "tlbie_each": "1: a scan makes a tlbie for each entry it clears; 0: one flush ends it",
    "fault_tlbies": "tlbies in the handler of a first write to a valid entry",
    "definitive_tlbies": "1: TLBs may keep changed bits back: the last scan makes a tlbie for each "
    "writable entry, clean or not, and entries are absent while a batch of them is cleared",
    "manual_protect": "1: the last harvest can leave pages as they are (GET without CLEAR)",
    "initially_all_set": "1: enabling can start with all bits set and walk nothing",
    "enable_clears": "1: enabling clears the changed bits there are, as KVM HV did in 2012-2017",
    "toggle_unmaps": "1: enabling and disabling unmap the slot, a tlbie for each entry",
    "vcore_threads": "hardware threads that stand still while one of them is in the host",
    "uncontended_vcpus": "vCPUs that fault at once before one waits for another",
    "splits": "1: huge pages are split while logging",
}
"""What a platform does: numbers in the formulas of counts."""

FLAGS = MECHANISMS.keys() - {"fault_tlbies", "vcore_threads", "uncontended_vcpus"}
CONSTANTS = COSTS | MECHANISMS
KINDS = ("cited", "derived", "estimated", "measured", "transferred")
MAX_COST = 1e12
"""A quarter of an hour for one event: no unit cost is larger, and every product stays finite."""

NS, NUMBER, REFERENCE = "ns", "1", "reference"
"""REFERENCE: times what the same walk costs on the reference machine, for the working set, page
size and mapping of a scenario (`analysis.measured.reference`)."""

SIGMAS = 2
"""Standard errors of a fitted walk by which its range is widened."""


@dataclass(frozen=True)
class Constant:
    """One unit cost or mechanism: its range, unit, kind, and where it comes from."""

    value: float
    low: float
    high: float
    unit: str
    kind: str
    source: str

    def times(self, factor, error):
        """Return the constant in ns: times a measured walk and its relative standard error."""
        wide = 1 + SIGMAS * error
        return replace(
            self,
            value=self.value * factor,
            low=self.low * factor / wide,
            high=self.high * factor * wide,
            unit=NS,
        )


@dataclass(frozen=True)
class Profile:
    """The unit costs of a platform, and what may be deployed there.

    Attributes
    ----------
    name, title : str
    page_bytes : tuple of int
        Base pages first, the usual one before others, then huge ones.
    unavailable : dict of str to str
        Strategies that the platform cannot run, each with a sentence that says why.
    hypothetical : dict of str to str
        Strategies that are priced, though no mainline kernel of the platform has them: what it
        does instead.
    settings : dict of str to list of dict
        What to set: `how` (None: no kernel has it), `since`, `source`.
    constants : dict of str to Constant
        One for each of CONSTANTS.
    lanes : dict of str to dict of str to float
        Nanoseconds of the units of `analysis.model.lanes`, by lane, where they were measured.
    """

    name: str
    title: str
    page_bytes: tuple[int, ...]
    constants: dict[str, Constant]
    unavailable: dict[str, str] = field(default_factory=dict)
    hypothetical: dict[str, str] = field(default_factory=dict)
    settings: dict[str, list] = field(default_factory=dict)
    lanes: dict[str, dict] = field(default_factory=dict)

    def strategies(self):
        """Return the strategies that can be priced here, in the order of the registry."""
        return tuple(n for n in choices() if n in TERMS and n not in self.unavailable)

    def prices_replays(self, strategy):
        """Say whether a replay of a strategy can be priced here, by what it counted."""
        return strategy in self.strategies() or (
            strategy in COUNTED_TERMS and strategy not in self.unavailable
        )

    def settings_of(self, strategy):
        """Return what to set for a strategy: a list of platform, how, since and source."""
        known = self.settings.get(strategy) or [{}]
        keys = ("how", "since", "source")
        return [{"platform": self.name, **{key: one.get(key) for key in keys}} for one in known]

    def is_offered(self, strategy):
        """Say whether a kernel of today has a strategy on the platform."""
        is_there = any(one["how"] for one in self.settings_of(strategy))
        return is_there and strategy not in self.hypothetical

    def at(self, scenario):
        """Return the profile with all walks in nanoseconds, as they are in a scenario."""
        if all(constant.unit != REFERENCE for constant in self.constants.values()):
            return self
        walks = load_reference().walks(scenario.slot_pages, scenario.page_bytes, scenario.mapping)
        constants = {
            name: constant.times(*walks[name]) if constant.unit == REFERENCE else constant
            for name, constant in self.constants.items()
        }
        return replace(self, constants=constants)

    def values(self, which="value"):
        """Return every constant's value, low or high, by name."""
        return {name: getattr(constant, which) for name, constant in self.constants.items()}


def bundled():
    """Return the names of the profiles that come with the package, sorted."""
    names = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def bundled_text(name):
    """Return the TOML text of a bundled profile."""
    return (_folder() / f"{name}.toml").read_text(encoding="utf-8")


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
        return read_profile(_locate(name_or_path).read_text(encoding="utf-8"))
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
        found = "not a regular file" if path.exists() else "no such file"
        raise InputError(f"{found}; accepted: a TOML file, or one of {', '.join(bundled())}")
    return path


def read_profile(text):
    """Return the profile of a TOML text.

    Raises
    ------
    InputError, ValueError
        As by `load_profile`; or it is not TOML.
    """
    document = tomllib.loads(text)
    name, title = (_text(document, key) for key in ("name", "title"))
    unavailable, hypothetical = (_sentences(document, k) for k in ("unavailable", "hypothetical"))
    if set(unavailable) >= set(TERMS):
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
    settings = _settings(document)
    pages = _page_sizes(document)
    lanes = _lanes(document)
    return Profile(name, title, pages, constants, unavailable, hypothetical, settings, lanes)


def _text(table, key):
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key} must be text")
    return value


def _page_sizes(document):
    """Return the page sizes in bytes; 4 KiB where a profile says nothing."""
    texts = document.get("page_sizes", ["4KiB"])
    if not (isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)):
        raise InputError('page_sizes must be a list of sizes, as in ["4KiB", "2MiB"]')
    return tuple(map(parse_size, texts))


def _lanes(document):
    """Return by lane what each unit costs; `dirtylog calibrate` writes its range beside it."""
    table = document.get("lanes", {})
    if not isinstance(table, dict) or not table.keys() <= LANE_TERMS.keys():
        raise InputError(f"lanes must be tables: [lanes.NAME]; accepted: {', '.join(LANE_TERMS)}")
    found = {}
    for lane, costs in table.items():
        units = [term.unit for term in LANE_TERMS[lane]]
        if not isinstance(costs, dict) or sorted(costs) != sorted(units):
            raise InputError(f"lanes.{lane} must have {', '.join(units)}")
        for unit, numbers in costs.items():
            if not (isinstance(numbers, list) and len(numbers) == 3):
                raise InputError(f"{unit} of lanes.{lane} must be a list: value, low, high")
            values = [_number(f"{unit} of lanes.{lane}", {"number": n}, "number") for n in numbers]
            found.setdefault(lane, {})[unit] = values[0]
    return found


def _check_strategies(label, table):
    unknown = table.keys() - TRACKERS.keys()
    if unknown:
        names, accepted = ", ".join(sorted(unknown)), ", ".join(TRACKERS)
        raise InputError(f"{label} names unknown strategies {names}; accepted: {accepted}")


def _sentences(document, key):
    """Return a table of strategies, each with a sentence that says why."""
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise InputError(f"{key} must be a table: strategy = sentence that says why")
    _check_strategies(key, table)
    return {name: _text(table, name) for name in table}


def _settings(document):
    """Return by strategy the list of what to set."""
    table = document.get("settings", {})
    if not isinstance(table, dict):
        raise InputError("settings must be tables: [[settings.STRATEGY]] with how, since, source")
    _check_strategies("settings", table)
    for name, rows in table.items():
        if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
            raise InputError(f"settings.{name} must be a list of tables with how, since, source")
        for row in rows:
            for key in row:
                if key not in ("how", "since", "source"):
                    accepted = "how, since, source"
                    raise InputError(f"settings.{name} has {short(key)}; accepted: {accepted}")
                _text(row, key)
    return table


def _constant(name, table):
    """Return a constant from its table, every field checked."""
    if not isinstance(table, dict):
        raise InputError(f"{name} must be a table with value, low, high, unit, kind, source")
    value, low, high = (_number(name, table, key) for key in ("value", "low", "high"))
    if name in FLAGS and high > 1:
        raise InputError(f"{name} must be from 0 (no) to 1 (yes), not {short(high)}")
    if not low <= value <= high:
        raise InputError(f"{name} must have low <= value <= high, not {low}, {value}, {high}")
    unit = table.get("unit")
    accepted = (NUMBER,) if name in MECHANISMS else (NS, REFERENCE) if name in WALKS else (NS,)
    if unit not in accepted:
        raise InputError(f"unit of {name} must be {' or '.join(map(repr, accepted))}")
    if table.get("kind") not in KINDS:
        raise InputError(f"kind of {name} must be one of {', '.join(KINDS)}")
    try:
        source = _text(table, "source")
    except InputError as error:
        raise InputError(f"{error} in {name}: where the figure comes from") from error
    return Constant(value, low, high, unit, table["kind"], source)


def _number(name, table, key):
    number = table.get(key)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InputError(f"{key} of {name} must be a number")
    if not 0 <= number <= MAX_COST:
        raise InputError(
            f"{key} of {name} must be at most {MAX_COST:g} and 0 or more, not {short(number)}"
        )
    return float(number)
