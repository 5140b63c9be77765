"""Published times that no unit cost comes from, beside what the model says of the same.

Each case is how often a thing happens, times the profile's unit costs. What misses is shown, too.
"""

from dataclasses import dataclass

import pandas as pd

from analysis.model.profile import load_profile
from strategies.units import duration

GIB_PAGES = 1 << 18
KOLOTHUM = "Kolothum 2023, RFC v2 of FEAT_HAFDBS for KVM"
KOLOTHUM_VCPUS, KOLOTHUM_VCPU_PAGES = 96, 131072
"""dirty_log_perf_test -b 512MB -v 96, pages of 4 KiB after the split."""

KOLOTHUM_PAGES = KOLOTHUM_VCPUS * KOLOTHUM_VCPU_PAGES
MS, S = 1e6, 1e9


@dataclass(frozen=True)
class Case:
    """A published time.

    Attributes
    ----------
    text, source : str
    profile : str
        Whose unit costs are used.
    cited_ns : float
    counts : dict of str to int
        How often each of `cost_profile.CONSTANTS` occurs in it.
    """

    text: str
    source: str
    profile: str
    cited_ns: float
    counts: dict[str, int]

    def modelled_ns(self, which="value"):
        """Return the time by the profile's value, low or high unit costs."""
        constants = load_profile(self.profile).constants
        return sum(n * getattr(constants[name], which) for name, n in self.counts.items())


CASES = (
    Case(
        "scan of 64 GiB for dirty bits, one thread",
        "Keqian Zhu 2020, kvm list",
        "arm64-dbm",
        40 * MS,
        {"page_scan": 64 * GIB_PAGES},
    ),
    Case(
        "clear the D bits of 128 GiB at the start of logging",
        "3c9bd4006bfc (initially all set), before",
        "x86-kvm",
        460 * MS,
        {"page_scan": 128 * GIB_PAGES},
    ),
    Case(
        "write-protect 128 GiB at the start of logging",
        "c862626e19ef (initially all set), before",
        "arm64",
        650 * MS,
        {"page_rearm": 128 * GIB_PAGES},
    ),
    Case(
        "read the bitmap of 48 GiB, all written, write-protected",
        KOLOTHUM,
        "arm64",
        0.47 * MS,
        {"word_read": KOLOTHUM_PAGES // 64},
    ),
    Case(
        "protect the same again",
        KOLOTHUM,
        "arm64",
        0.48 * S,
        {"page_rearm": KOLOTHUM_PAGES},
    ),
    Case(
        "scan and clear the same by the hardware's dirty state",
        KOLOTHUM,
        "arm64-dbm",
        (3.25 + 0.98) * S,
        {"page_scan": KOLOTHUM_PAGES, "page_clear": KOLOTHUM_PAGES, "tlbie": KOLOTHUM_PAGES},
    ),
    Case(
        "what faults add to writing the same, per vCPU, 96 vCPUs at once",
        KOLOTHUM,
        "arm64",
        (4.22 - 0.41) * S,
        {
            "fault": KOLOTHUM_VCPU_PAGES,
            "fault_vcpu": KOLOTHUM_VCPU_PAGES * (KOLOTHUM_VCPUS - 1),
        },
    ),
)


def published_table(cases=CASES):
    """Return each cited time beside what the model says of it.

    Returns
    -------
    DataFrame
        `case`, `source`, `profile`, `cited`, `modelled`, `range`, `modelled / cited` (a number) and
        `in range` (yes or no).
    """
    return pd.DataFrame([_row(case) for case in cases])


def _row(case):
    low, value, high = (case.modelled_ns(which) for which in ("low", "value", "high"))
    return {
        "case": case.text,
        "source": case.source,
        "profile": case.profile,
        "cited": duration(case.cited_ns),
        "modelled": duration(value),
        "range": f"{duration(low)} to {duration(high)}",
        "modelled / cited": value / case.cited_ns,
        "in range": "yes" if low <= case.cited_ns <= high else "no",
    }
