"""The common case; what mainline kernels do, and what history chose: cited, with sources."""

import pandas as pd

SLOT_BYTES = 4 << 30
"""The common case: this slot and one vCPU, in all figures of one slot, tables and the README."""

TODAY = {
    "power8": "scans C bits, one tlbie each",
    "power9": "scans C bits, one tlbie each",
    "power9-radix": "scans its own page table, one tlbie each",
    "arm64-dbm": "write-protects (DBM scans: RFCs)",
    "arm64": "write-protects (no changed bit to scan)",
    "x86-kvm": "PML, or write-protects (no scan)",
}
"""What a mainline kernel does, in a few words; sources are in the profiles' settings (cited)."""

HISTORY = (
    ("2011", "POWER, HPT", "scan C bits",
     "the posted patch; kept since (6c576e74fd91, e641a317830b, kvmppc_hv_get_dirty_log_hpt)"),
    ("2014", "s390", "from hardware change bits to write faults",
     "0a61b222df75, the kvm-s390 pull request of 2014-04-22"),
    ("2015", "x86, Intel", "a log written by hardware (PML) beside write faults",
     "the PML series of Kai Huang, Linux 4.0"),
    ("2017", "POWER, radix", "scan dirty bits of its own page table",
     "8f7b79b8379a, Linux 4.11"),
    ("2020 to 2023", "arm64", "write faults; scans of hardware dirty state proposed, not merged",
     "series of Zhu (2020, 2021) and Kolothum (RFC v2, 2023)"),
)  # fmt: skip
"""What history chose: when, where, what, source (cited)."""


def history():
    """Return HISTORY as a table."""
    return pd.DataFrame(HISTORY, columns=["year", "where", "what", "source (cited)"])
