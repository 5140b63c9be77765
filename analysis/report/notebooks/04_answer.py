# %% [markdown]
# # The answer
#
# Who was right about what, and when. Every number is computed when this page is made.

# %%
"""The answer on one page."""

import pandas as pd

from analysis.measured.harvests import CLOCK_LIMIT_NS, base_cells
from analysis.model import compare
from analysis.model.estimate import Scenario
from analysis.report.shown import load_study, say
from strategies.units import duration, number, percent, size_text

SLOT_PAGES = 1 << 20
study = load_study()
cells, replays = base_cells(study.cells), study.replays
medians = cells.pivot(index=["slot_bytes", "density"], columns="strategy", values="median_ns")
clean = medians.xs(0.0, level="density")
profiles = compare.profiles()

# %%
slow = clean["c_bit_scan"] / clean["write_protect"].clip(lower=CLOCK_LIMIT_NS)
size = clean.index.max()
assert slow.min() > 10
say(
    f"**Takuya was right: the scan is slow when nothing is dirty**, {number(slow.min())} to "
    f"{number(slow.max())} times slower than a bitmap (*measured*). A clean slot of "
    f"{size_text(size)} takes {duration(clean['c_bit_scan'][size])} against "
    f"{duration(clean['write_protect'][size])}."
)

# %%
frame_ns = compare.recorded_epochs()["vga_desktop"] * 1e6
vga = replays[replays["trace"] == "vga_desktop"].set_index("strategy")["harvest_ns_median"]
assert vga["c_bit_scan"] < 0.01 * frame_ns
say(
    f"**It does not matter for VGA.** In a recorded desktop the scan takes "
    f"{duration(vga['c_bit_scan'])} a frame (*measured*), {percent(vga['c_bit_scan'] / frame_ns)} "
    "of it. It matters for slots so large that it is a part of the interval or of the downtime."
)

# %%
stalls = compare.trace_stalls(profiles, replays, compare.recorded_epochs())
others = stalls[(stalls["strategy"] == "write_protect") & (stalls["trace"] != "vga_desktop")]
desktop = stalls[(stalls["strategy"] == "write_protect") & (stalls["trace"] == "vga_desktop")]
assert others["value"].max() > desktop["value"].max()
say(
    "**Paul was right: faults slow the guest**, and not always a little. The desktop loses "
    f"{percent(desktop['value'].min())} to {percent(desktop['value'].max())} of its time, from "
    f"profile to profile; the other recorded programs, harvested every 10 ms, "
    f"{percent(others['value'].min())} to {percent(others['value'].max())} (*modelled* from "
    "*exact* counts and unit costs that are *cited*, *derived* or *estimated*; above 100 % a "
    "program cannot write at that rate)."
)

# %%
crossing = compare.scan_against_faults(profiles, SLOT_PAGES, "write_protect")
batched = compare.scan_against_faults(profiles, SLOT_PAGES, "write_protect_batched")
found = crossing.dropna(subset="density").set_index("profile")["density"]
assert found.between(0, 0.1).all()
assert len(found)
say(
    "**When which costs less CPU time in all** (*modelled*, 4 GiB, 1 vCPU). Above these densities "
    "the scan, below them write_protect: "
    + ", ".join(f"{name} {percent(density)}" for name, density in found.items())
    + "."
)
none = batched[batched["density"].isna()]["profile"]
late = batched.dropna(subset="density").set_index("profile")["density"]
assert (late >= found.reindex(late.index) * 0.9).all()
say(
    "Against faults with one flush for the harvest, where that is offered: "
    + ", ".join(f"{name} {percent(density)}" for name, density in late.items())
    + "".join(
        f"; on {name} never, with a tlbie for each page that the scan clears" for name in none
    )
    + "."
)

# %%
dense = medians[medians.index.get_level_values("density").isin([0.01, 0.1])]
gain = dense["write_protect"] / dense["write_protect_batched"]
say(
    f"**One flush for the whole harvest** makes it {gain.median():.3g} times faster at 1 and 10 % "
    "(*measured*, median; the simulation's tlbie is cheap, so a host gains more). POWER's ISA does "
    "not allow it for reduced permissions; x86 has done it since v3.5."
)

# %%
at = Scenario(SLOT_PAGES, SLOT_PAGES * 0.01, 1e8, 4)
rows = pd.concat(
    [compare.latencies(one, at).assign(profile=name) for name, one in profiles.items()]
)
wide = rows.pivot(index="profile", columns="strategy", values="value").dropna(subset="c_bit_scan")
longer = (wide["c_bit_scan"] / wide["write_protect_batched"]).min()
assert longer > 1
say(
    "**So**: if the harvest's latency is what hurts (the last round of a migration), take "
    f"faults: at 1 % of 4 GiB the scan's harvest is at least {longer:.3g} times longer on every "
    "profile (*modelled*). If the guest's time hurts and more is written than the break-even, take "
    "the scan. Below it, faults cost less in all, and both were right."
)

# %% [markdown]
# **How sure.** Harvest times are *measured* on one machine, whose caches and memory are not those
# of POWER. Stall, CPU time and break-evens are *modelled*; what a global tlbie costs on POWER was
# never published and is a range. `dirtylog advise` gives the same for any slot, rate and profile,
# with its ranges.
