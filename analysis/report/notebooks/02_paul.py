# %% [markdown]
# # Paul's concern: the guest
#
# The alternative, he wrote, is read-only HPTEs and a fault for the first write to each page, which
# slows the guest a little to speed up the harvest. How much?
#
# Kind of the numbers on this page: **modelled**, and so only as good as the unit costs of the
# profiles. Those are cited, derived or estimated, each with a range: the band runs from all lows to
# all highs. Counts of faults are **exact**.

# %%
"""Paul's concern: what the faults cost the guest."""

import numpy as np
import pandas as pd

from analysis.model import compare
from analysis.model.estimate import Scenario
from analysis.report import figures
from analysis.report.shown import load_study, say, show, table
from strategies.units import number, percent

replays = load_study().replays
profiles = compare.profiles()
scenario = Scenario(slot_pages=1 << 20, dirty_pages=0, interval_ns=1e8, vcpus=4)
densities = np.geomspace(1e-5, 1, 16)
curves = {name: compare.stall_curve(one, scenario, densities) for name, one in profiles.items()}

# %%
show(
    figures.guest_stall(curves, "4 GiB slot, a harvest every 100 ms, 4 vCPUs"),
    "guest_stall",
    "Modelled guest stall against density for each cost profile, with the range of the unit costs",
)

# %% [markdown]
# Above the dashed line the guest cannot write that fast: tracking throttles it. All strategies that
# take faults stall the guest alike when nothing is only read.

# %%
units = pd.DataFrame(
    [
        {
            "profile": name,
            "fault (ns)": fault.value,
            "low": fault.low,
            "high": fault.high,
            "kind": fault.kind,
            "changed bit (ns)": changed.value,
            "its kind": changed.kind,
            "fault / changed bit": fault.value / changed.value,
            "first writes/s that cost 1 %": 0.01e9 / fault.value,
        }
        for name, one in profiles.items()
        for fault, changed in [(one.constants["fault"], one.constants["set_changed"])]
    ]
)
least, most = units["fault / changed bit"].agg(["min", "max"])
assert least > 1, "a fault is cheaper than setting the changed bit"
say(
    f"**One first write.** A fault costs {number(least)} to {number(most)} times what it costs the "
    "hardware to set its bit, from profile to profile (cited, derived and estimated unit costs)."
)
table(units, "Unit costs of the profiles, with their kinds; the last column is modelled, one vCPU")

# %%
faults = replays.set_index(["trace", "strategy"])
for trace in replays["trace"].unique():
    assert faults.loc[(trace, "c_bit_scan"), ["write_faults", "map_faults"]].sum() == 0
    protect = faults.loc[(trace, "write_protect")]
    assert protect["write_faults"] == protect["pages_stored"]
assert (replays["lost"] == 0).all()
say(
    "**One fault for each page and interval, none for the scan**: in all recordings (exact), and "
    "no tracker lost a page."
)

# %%
stalls = compare.trace_stalls(profiles, replays, compare.recorded_epochs())
shown = stalls[stalls["strategy"].isin(["c_bit_scan", "write_protect"])]
cheapest = stalls[stalls["strategy"] == "write_protect"]
assert (cheapest["low"] <= cheapest["value"]).all()
vga = cheapest[cheapest["trace"] == "vga_desktop"]["value"]
assert vga.max() < 0.05, "a VGA desktop notices faults"
say(
    f"**Recorded programs, one vCPU.** The VGA desktop loses {percent(vga.min())} to "
    f"{percent(vga.max())} of its time to faults. Other programs lose up to "
    f"{percent(cheapest['value'].max())} (above 100 %: could not run at that rate), for they "
    "are harvested every 10 ms, as a checkpointer would (modelled from exact counts). Longer "
    "intervals cost less: a page written many times faults once."
)
table(
    shown.assign(
        **{column: shown[column].map(percent) for column in ("value", "low", "high")}
    ).sort_values(["trace", "profile"]),
    "Modelled from exact counts: share of one vCPU's time lost to tracking",
)

# %%
sparse = pd.concat(
    [
        compare.stall_curve(one, scenario, [0.001]).assign(profile=name)
        for name, one in profiles.items()
    ]
)
sparse = sparse[sparse["strategy"] == "write_protect"]
assert sparse["value"].max() < 0.2
say(
    "**A little?** With 0.1 % of 4 GiB written every 100 ms by 4 vCPUs, faults cost the guest "
    f"{percent(sparse['value'].min())} to {percent(sparse['value'].max())} of its time, from "
    "profile to profile (modelled)."
)
