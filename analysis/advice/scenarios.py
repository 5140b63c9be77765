"""Written deployments, and what the model advises for each: the table of the report."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.advice.advise import advise
from analysis.advice.wish import Wish
from analysis.model.deployment import Options, scenario_of
from analysis.model.profile import load_profile
from strategies.units import (
    draws_text,
    duration,
    parse_density,
    parse_size,
    percent,
    size_text,
    two_digits,
)

MS = 1e6
NEUTRAL = Wish({"cpu": 1.0})
AIMS = {
    "least_cpu": "CPU time",
    "least_stall": "guest stall",
    "shortest_harvest": "harvest",
    "shortest_last_harvest": "last harvest, vCPUs stopped",
}
"""What is to be least, by the key of an advice's `trade`."""


@dataclass(frozen=True)
class Deployment:
    """One written deployment: what it is, its numbers, and what is to be least (one of AIMS)."""

    text: str
    profile: str
    page_size: str
    slot: str
    density: str
    interval_ms: float
    vcpus: int = 1
    aim: str = "least_cpu"

    def options(self):
        """Return it as the command line would give it."""
        return Options(
            slot=parse_size(self.slot),
            page_size=parse_size(self.page_size),
            density=parse_density(self.density),
            interval=self.interval_ms * MS,
            vcpus=self.vcpus,
        )


DEPLOYMENTS = (
    Deployment("VGA at 60 Hz, nothing drawn", "power8", "64KiB", "16MiB", "0", 16.67),
    Deployment("VGA at 60 Hz, 2% drawn", "power8", "4KiB", "16MiB", "2%", 16.67),
    Deployment("VGA at 60 Hz, 2% drawn", "x86-kvm", "4KiB", "16MiB", "2%", 16.67),
    Deployment("migration, nearly idle", "power9", "64KiB", "64GiB", "0.01%", 1000, 4),
    Deployment("migration, sparse", "power9", "64KiB", "256GiB", "0.1%", 1000, 16),
    Deployment("migration, sparse", "power9", "4KiB", "256GiB", "0.1%", 1000, 16),
    Deployment("migration, busy", "power9", "64KiB", "64GiB", "1%", 1000, 16),
    Deployment("migration, busy", "power9-radix", "64KiB", "64GiB", "1%", 1000, 16),
    Deployment("its last round", "power9", "64KiB", "64GiB", "0.1%", 300, 16,
               "shortest_last_harvest"),
    Deployment("its last round", "power9", "4KiB", "64GiB", "0.1%", 300, 16,
               "shortest_last_harvest"),
    Deployment("its last round", "power9-radix", "64KiB", "64GiB", "0.1%", 300, 16,
               "shortest_last_harvest"),
    Deployment("guest backed by 16 MiB pages", "power9", "16MiB", "64GiB", "0.001%", 1000, 16),
    Deployment("migration, sparse", "x86-kvm", "4KiB", "64GiB", "0.1%", 1000, 4),
    Deployment("migration, sparse", "x86-kvm", "2MiB", "64GiB", "0.1%", 1000, 64),
    Deployment("migration, 30% written", "x86-kvm", "4KiB", "256GiB", "30%", 5000, 64),
    Deployment("its last round", "x86-kvm", "4KiB", "64GiB", "0.1%", 300, 64,
               "shortest_last_harvest"),
    Deployment("checkpoints every 25 ms", "x86-kvm", "4KiB", "4GiB", "0.1%", 25, 4),
    Deployment("checkpoints, least stall", "arm64-dbm", "4KiB", "4GiB", "1%", 25, 4,
               "least_stall"),
    Deployment("migration, busy", "arm64-dbm", "4KiB", "64GiB", "1%", 1000, 64),
    Deployment("migration, busy", "arm64", "4KiB", "64GiB", "1%", 1000, 64),
    Deployment("its last round", "arm64-dbm", "4KiB", "64GiB", "0.1%", 300, 64,
               "shortest_last_harvest"),
)  # fmt: skip


def advice_table(deployments=DEPLOYMENTS):
    """Return the advice for each deployment, modelled.

    Returns
    -------
    DataFrame
        One row each: what is deployed, what is to be least, the strategy with its share of the
        draws and whether no kernel of the platform has it, the runner-up and how many times as
        much it costs, and what kernels of the platform have today.
    """
    return pd.DataFrame([_row(one) for one in deployments])


def _row(one):
    profile = load_profile(one.profile)
    scenario, _ = scenario_of(one.options(), profile)
    advice = advise(scenario, profile, NEUTRAL)
    trade = advice["trade"][one.aim]
    priced = [row for row in advice["candidates"] if row["priced"]]
    offered = [row["strategy"] for row in priced if row["offered"]]
    density = float(np.mean(scenario.dirty_pages)) / scenario.slot_pages
    return {
        "deployment": one.text,
        "profile": one.profile,
        "pages": size_text(parse_size(one.page_size)),
        "slot": size_text(parse_size(one.slot)),
        "written": percent(density),
        "every": duration(one.interval_ms * MS),
        "vCPUs": one.vcpus,
        "least": AIMS[one.aim],
        "strategy": trade["strategy"],
        "is_proposal": trade["strategy"] not in offered,
        "best in": draws_text(trade["share"]),
        "runner-up": _runner_up(trade),
        "a kernel there has": ", ".join(sorted(offered)),
    }


def _runner_up(trade):
    """Say who comes next, and how many times as much that costs."""
    if trade["runner_up"] is None:
        return "none"
    if trade["ratio"] is None:
        return f"{trade['runner_up']}; the first costs 0"
    if trade["ratio"] == 1:
        return f"{trade['runner_up']}, the same"
    if trade["ratio"] < 1.05:
        return f"{trade['runner_up']}, within 5%"
    return f"{trade['runner_up']}, {two_digits(trade['ratio'])} times"
