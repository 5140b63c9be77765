"""Published times beside what the profiles say of the same: `published.toml` has the cases.

Each case is how often things happen, times the profile's unit costs, or a ratio of two such sums.
What misses is shown, too.
"""

import tomllib
from dataclasses import dataclass
from importlib import resources

from analysis.model.evaluate import value_of
from analysis.model.profile import load_profile


@dataclass(frozen=True)
class Case:
    """A published time or ratio.

    Attributes
    ----------
    text, source, note : str
        What was timed, by whom, and why no constant of the profile comes from it.
    profile : str
        Whose unit costs are used.
    kind : {"time", "ratio"}
    cited : float
        Nanoseconds, or the ratio.
    counts, base_counts : dict of str to float or str
        How often each constant occurs in it: a number or a product; a ratio is of both.
    bound : float
        By which factor modelled / cited may be off: a regression test, no proof of accuracy.
    miss : str
        Why the model is expected to differ, where it does.
    """

    text: str
    source: str
    note: str
    profile: str
    kind: str
    cited: float
    counts: dict
    base_counts: dict
    bound: float
    miss: str

    def modelled(self, constants):
        """Return the time in ns, or the ratio, by the unit costs of a profile."""
        total = _sum(self.counts, constants)
        return total / _sum(self.base_counts, constants) if self.kind == "ratio" else total


def _sum(counts, constants):
    return sum(value_of(str(count), {}) * constants[name] for name, count in counts.items())


def load_cases():
    """Return all published cases."""
    file = resources.files("analysis.model") / "published.toml"
    rows = tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    return [
        Case(
            text=row["text"],
            source=row["source"],
            note=row["note"],
            profile=row["profile"],
            kind=row["kind"],
            cited=row["cited_ns"] if row["kind"] == "time" else row["cited"],
            counts=row["counts"],
            base_counts=row.get("base_counts", {}),
            bound=row["bound"],
            miss=row.get("miss", ""),
        )
        for row in rows
    ]


def judged(cases=None):
    """Return each case with what the model says of it.

    Returns
    -------
    list of dict
        `case` (a Case), `value`, `low`, `high` (by the profile's values, lows and highs), `ratio`
        (modelled / cited) and `in_range`.
    """
    rows = []
    for case in load_cases() if cases is None else cases:
        profile = load_profile(case.profile)
        ends = {key: case.modelled(profile.values(key)) for key in ("low", "value", "high")}
        low, high = sorted((ends["low"], ends["high"]))
        rows.append(
            {
                "case": case,
                "value": ends["value"],
                "low": low,
                "high": high,
                "ratio": ends["value"] / case.cited,
                "in_range": low <= case.cited <= high,
            }
        )
    return rows
