# %% [markdown]
# # The trade-off
#
# The scan pays for every page of the slot, at the harvest; faults are paid for every page written,
# by the guest. Somewhere they cost the same. Kind of the numbers on this page: **modelled**, exact
# event counts times the unit costs of a profile.

# %%
"""The trade-off: winners, break-evens, and what would flip them."""

import numpy as np
import pandas as pd

from analysis.advice import scenarios
from analysis.advice.advise import Wish, advise, tie_margin
from analysis.model import compare
from analysis.model.estimate import Scenario
from analysis.model.published import published_table
from analysis.report import figures
from analysis.report.shown import say, show, table
from strategies.units import number, percent

SLOT_PAGES = 1 << 20
profiles = compare.profiles()
sizes = np.geomspace(1 << 24, 1 << 40, 33)
densities = np.geomspace(1e-5, 1, 31)
maps = {name: compare.winner_map(one, sizes, densities) for name, one in profiles.items()}

# %%
show(
    figures.winner_maps(maps),
    "winner_maps",
    "Modelled strategy of least latency, stall and CPU time over slot size and density",
)

# %%
every = pd.concat([frame.assign(profile=name) for name, frame in maps.items()])
by_stall = every[(every["metric"] == "stall") & ~every["profile"].eq("arm64")]
assert (by_stall["winner"] == "c_bit_scan").all()
by_latency = every[every["metric"] == "latency"]
assert not (by_latency["winner"] == "c_bit_scan").any()
ties = every.groupby("metric")["is_tie"].mean()
say(
    "**Each is right about his own concern.** Where the hardware has a changed bit the scan costs "
    "the guest least, everywhere on the map; it has the least harvest latency nowhere (modelled)."
)
say(
    f"Ties within {percent(tie_margin())}, the noise of a measured median: "
    f"{percent(ties['latency'])} of the map for latency, {percent(ties['cpu'])} for CPU time, "
    "mostly write_protect_batched with double_buffer: one flush, with a wait or without, is little "
    "beside many dirty pages."
)

# %% [markdown]
# ## Break-even densities of total CPU time

# %%
against = {
    other: compare.scan_against_faults(profiles, SLOT_PAGES, other)
    for other in ("write_protect", "write_protect_batched")
}
for other, frame in against.items():
    found = frame.dropna(subset="density")
    assert found["density"].between(0, 1).all()
    columns = ("density", "low_density", "high_density")
    texts = {c: frame[c].map(lambda d: "none" if pd.isna(d) else percent(d)) for c in columns}
    table(
        frame.assign(**texts).rename(
            columns={"low_density": "fault at its high", "high_density": "fault at its low"}
        ),
        f"Modelled: density above which the scan takes less CPU time than {other} (4 GiB, 1 vCPU)",
    )

# %%
pairs = pd.concat(
    [compare.break_evens(one, SLOT_PAGES).assign(profile=name) for name, one in profiles.items()]
)
table(
    pairs[["profile", "sparse", "dense", "density"]].assign(
        density=pairs["density"].map(lambda d: figures.percent_text(float(f"{d:.2g}")))
    ),
    "Modelled: all pairs that cross between one page and all pages (CPU time, 4 GiB, 1 vCPU, "
    "no page is only read)",
)

# %% [markdown]
# ## How far a unit cost must move
#
# For 4 GiB, 0.1 % written every 100 ms, one vCPU: the smallest moves that change who takes least
# CPU time. A profile's winner that flips within the range of a constant is not certain.

# %%
moves = []
for name, one in profiles.items():
    advice = advise(Scenario(SLOT_PAGES, SLOT_PAGES * 0.001, 1e8), one, Wish({"cpu": 1.0}))
    for flip in advice["flips"][:4]:
        factor = flip["to"] / flip["from"]
        constant = one.constants.get(flip["parameter"])
        within = constant and constant.low <= constant.value * factor <= constant.high
        moves.append(
            {
                "profile": name,
                "winner": advice["strategy"],
                "tie": "yes" if advice["tie"] else "no",
                "parameter": flip["parameter"],
                "times": factor,
                "then": flip["winner"],
                "within its range": "yes" if within else "no" if constant else "-",
            }
        )
table(pd.DataFrame(moves), "Modelled: the smallest moves to another winner")

# %% [markdown]
# ## Advice for written deployments

# %%
advised = scenarios.advice_table()
assert len(advised) >= 12
assert set(advised["profile"]) == set(profiles)
table(
    advised,
    "Modelled: what <code>dirtylog advise</code> recommends",
)

# %% [markdown]
# ## Against published times
#
# Cited figures from which no constant of the profile was taken, beside the model.

# %%
published = published_table()
assert published["modelled / cited"].between(0.1, 10).all(), "not even the order is right"
hits, off = (published["in range"] == "yes").sum(), published["modelled / cited"]
say(
    f"Of {len(published)} cited times {hits} lie within the modelled range; what is modelled is "
    f"{number(off.min())} to {number(off.max())} times what was published, {number(off.median())} "
    "in the median."
)
table(published, "Cited against modelled")
