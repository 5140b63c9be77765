"""Written deployments, and what the model advises for each: the table of the report."""

from dataclasses import dataclass

import pandas as pd

from analysis.advice.advise import Wish, advise
from analysis.model.estimate import Scenario
from analysis.model.profile import load_profile
from strategies.units import duration, number, percent, size_text

MIB, GIB = 1 << 20, 1 << 30
MS = 1e6
LEAST_CPU = Wish({"cpu": 1.0})
LEAST_LATENCY = Wish({"latency": 1.0})


@dataclass(frozen=True)
class Deployment:
    """One written scenario: what it is, its numbers, and what it asks for."""

    text: str
    profile: str
    slot_bytes: int
    density: float
    interval_ns: float
    vcpus: int = 1
    page_bytes: int = 4096
    wish: Wish = LEAST_CPU

    @property
    def scenario(self):
        """The numbers as the model takes them."""
        pages = self.slot_bytes / self.page_bytes
        return Scenario(pages, pages * self.density, self.interval_ns, self.vcpus)


DEPLOYMENTS = (
    Deployment("VGA at 60 Hz, clean", "power8", 16 * MIB, 0.0, 16.67 * MS),
    Deployment("VGA at 60 Hz, 2 % drawn", "power8", 16 * MIB, 0.02, 16.67 * MS),
    Deployment("VGA at 60 Hz, 2 % drawn", "x86-kvm", 16 * MIB, 0.02, 16.67 * MS),
    Deployment("migration, nearly idle", "power8", 4 * GIB, 0.0001, 1000 * MS),
    Deployment("migration, busy", "power8", 64 * GIB, 0.01, 1000 * MS, 4),
    Deployment("migration, busy", "power9", 64 * GIB, 0.01, 1000 * MS, 4),
    Deployment("migration, sparse", "power9", 256 * GIB, 0.001, 1000 * MS, 4),
    Deployment("migration, sparse", "x86-kvm", 64 * GIB, 0.001, 1000 * MS, 4),
    Deployment("migration, 30 % written", "x86-kvm", 256 * GIB, 0.3, 5000 * MS, 64),
    Deployment("migration, busy", "arm64", 64 * GIB, 0.01, 1000 * MS, 4),
    Deployment("migration, busy", "arm64-dbm", 64 * GIB, 0.01, 1000 * MS, 4),
    Deployment(
        "its last round, least downtime", "arm64-dbm", 64 * GIB, 0.001, 300 * MS, 4,
        wish=LEAST_LATENCY,
    ),
    Deployment("checkpoints every 25 ms", "x86-kvm", 4 * GIB, 0.001, 25 * MS, 4),
    Deployment(
        "checkpoints, guest stall at most 2 %", "power9", 4 * GIB, 0.01, 25 * MS, 4,
        wish=Wish(LEAST_CPU.weights, max_stall=0.02),
    ),
    Deployment("64 KiB pages", "power8", 64 * GIB, 0.01, 1000 * MS, 4, 65536),
)  # fmt: skip


def advice_table(deployments=DEPLOYMENTS):
    """Return the advice for each deployment, modelled, and what would change it.

    Returns
    -------
    DataFrame
        One row each: what is deployed, the winner, the runner-up and its margin, harvest latency,
        guest stall, and the smallest move of a unit cost, density or size to another winner.
    """
    return pd.DataFrame([_row(one) for one in deployments])


def _row(one):
    advice = advise(one.scenario, load_profile(one.profile), one.wish)
    best = advice["candidates"][0]
    weights = " and ".join(one.wish.weights)
    limit = "" if one.wish.max_stall is None else f", stall <= {percent(one.wish.max_stall)}"
    return {
        "deployment": one.text,
        "profile": one.profile,
        "slot": size_text(one.slot_bytes),
        "density": percent(one.density),
        "interval": duration(one.interval_ns),
        "vCPUs": one.vcpus,
        "least": weights + limit,
        "strategy": advice["strategy"] or "none",
        "runner-up": advice["runner_up"] or "none",
        "which costs": _margin(advice),
        "harvest": duration(best["harvest_ns"]["value"]),
        "stall": percent(best["stall_fraction"]["value"]),
        "flips first": _first_flip(advice["flips"]),
    }


def _margin(advice):
    if advice["margin"] is None:
        return "-"
    return "a tie" if advice["tie"] else f"{number(1 + advice['margin'])} times"


def _first_flip(flips):
    """Say the smallest move that changes the winner."""
    if not flips:
        return "nothing within a factor of 1000"
    first = flips[0]
    return f"{first['parameter']} x {first['to'] / first['from']:.3g}: {first['winner']}"
