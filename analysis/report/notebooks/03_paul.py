# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Paul's concern: the guest
#
# The alternative, he wrote, is read-only HPTEs and a fault for the first write to each page, which
# slows the guest a little to speed up the harvest. How much?
#
# Kind of the numbers on this page: **modelled**, from counts that are **exact**, and so only as
# good as the unit costs of the profiles. Those are derived from published figures, transferred from
# another machine, or estimated, each with a range; none was published as it is. What is shown is 5%
# to 95% of the draws over all of them.

# %%
"""Paul's concern: what the faults cost the guest."""

from analysis.model.profile import COSTS, bundled, load_profile
from analysis.report import programs, tables, texts, wording
from analysis.report.shown import load_study, say, table

study = load_study()
replays = study.replays
assert (replays["lost"] == 0).all(), "a page was lost"

# %%
constants = [load_profile(profile).constants[name] for profile in bundled() for name in COSTS]
assert {one.kind for one in constants} == {"derived", "transferred", "estimated"}
units = tables.fault_costs()
assert (units["fault_low"] > 0).all()
table(
    texts.fault_costs(units),
    "What a first write costs by fault (exit and handling) and by the hardware's changed bit, and "
    "at how many first writes a second a fault takes 1% of a vCPU (unit costs of the profiles)",
)

# %% [markdown]
# ## The recorded programs, replayed
#
# One vCPU, 4 KiB pages, harvested at each epoch of the recording: 10 ms, the desktop 16.7 ms. The
# machine's own exact counts, priced. Above 100% a program cannot write at that rate.

# %%
priced = programs.priced_replays(replays)
faults = priced[priced["strategy"] != tables.SCAN].groupby(["trace", "profile"])
assert (faults["stall"].nunique() == 1).all(), "one flush a harvest changes the stall"
table(
    texts.priced(priced[priced["strategy"] != "write_protect_batched"], "stall"),
    "Modelled from exact counts: share of one vCPU's time lost to tracking (write_protect_batched: "
    f"as write_protect){study.walks}",
)

# %%
table(
    texts.priced(priced, "cpu"),
    "Modelled from exact counts: CPU time of host and guest together, share of one CPU"
    f"{study.walks}",
)

# %%
turns = programs.cheaper_replays(priced)
say(
    "With each unit cost at its value, the scan takes less CPU time than faults in "
    f"{turns['scan']} of {turns['all']} pairs of a recording and a platform with a changed bit "
    f"(*modelled*{study.walks})."
)

# %% [markdown]
# ## The interval
#
# A page that is written many times in an interval faults once, so longer intervals cost less. The
# distinct pages of an interval are counted exactly in the recordings; for POWER with both page
# sizes.

# %%
longer = programs.stalls_by_interval()
table(
    texts.intervals(longer),
    "Modelled from exact counts: share of one vCPU's time lost to faults, by harvest interval",
)
falls = programs.stall_falls(longer)
assert (falls > 1).all(), "a longer interval costs more"
say(
    "From 10 ms to a second the loss falls by a factor of "
    f"{wording.factor(falls.min(), falls.max())}, in each program and on each platform "
    "(*modelled*)."
)
