# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Advice and published times
#
# What to deploy, how far the model behind it agrees with what others published, and which unit
# costs decide. Kind of the numbers on this page: **modelled**, counts by closed formulas times the
# unit costs of a profile. A range is 5% to 95% of 1,024 draws over the ranges of all unit costs at
# once; only beside published times it is wider (there).

# %%
"""Advice: what to deploy, what was published, how sure it is, and what it hangs on."""

import numpy as np

from analysis.advice import scenarios
from analysis.model import curves
from analysis.model.profile import bundled
from analysis.model.published import judged
from analysis.report import modelled_figures, platforms, texts
from analysis.report.shown import fold, load_study, say, show, table
from strategies.units import size_text

SLOT = platforms.SLOT_BYTES
study = load_study()

# %% [markdown]
# ## Advice for some deployments

# %%
advised = scenarios.advice_table()
assert len(advised) >= 15
assert set(advised["profile"]) == set(bundled())
assert {"16 MiB", "2 MiB", "64 KiB", "4 KiB"} <= set(advised["pages"])
table(
    texts.advice(advised),
    "Modelled: what costs least with each unit cost at its value, in how many of the draws it "
    f"does, and what a kernel of the platform has{study.walks}; star: a proposal, no kernel has it",
)

# %% [markdown]
# ## Against published times
#
# Cited figures from which no constant of the profile was taken, beside the model. The modelled
# range is from all unit costs at their low ends to all at their high ends, in a ratio in both its
# parts; the dot has each at its value. A test bounds how far each dot may be off, so that the model
# stays as it is; that proves no accuracy.

# %%
cases = texts.published()
missed = cases[cases["in range"] == "no"]
assert (missed["why not"] != "").all(), "a miss has no reason"
say(
    f"Of {len(cases)} cited times and ratios {len(cases) - len(missed)} lie within the modelled "
    f"range, {len(missed)} do not. None is of a POWER machine: we found no dirty-log "
    "time of one."
)
show(
    modelled_figures.published_ratios(judged(), f"cited values{study.elsewhere}"),
    "published",
    "Published times and ratios beside the model: modelled / cited",
)
why = missed[["what", "profile", "cited", "modelled", "why not"]]
table(why, "Cited against modelled: the misses, with their reasons")
fold(cases, f"All {len(cases)} with their sources")

# %% [markdown]
# ## The trade-off
#
# A scan costs the host something for every page of the slot, at the harvest; faults cost the guest
# something for every page written. In some draws there is no density at which both cost the same:
# then the table gives the share of the draws that have one.

# %%
densities = np.geomspace(1e-5, 1, 31)
show(
    modelled_figures.scan_share_map(
        curves.fault_map(SLOT, densities, np.geomspace(100, 1e5, 25)),
        f"{size_text(SLOT)}, 1 vCPU{study.elsewhere}",
    ),
    "scan_share",
    "Modelled share of the draws in which the scan costs less CPU time, over density and what a "
    f"first-write fault costs, by platform and base page{study.walks}",
)

# %% [markdown]
# If you know what a fault costs on your host, read the density off this map. The bar at the left
# of each panel is what the profile assumes.

# %%
slots = [SLOT >> 4, SLOT, SLOT << 4]
table(
    texts.break_evens(slots),
    "Modelled: density at which scan and faults cost the same CPU time, median (5% to 95% of the "
    f"draws){study.walks}; 0%: the scan costs less as soon as a page is written, never: faults "
    "cost less however much is written; the stronger the colour, the more must be written before "
    "the scan costs less",
)

# %% [markdown]
# ## What the verdict depends on
#
# The unit costs that explain most of the verdict at the density of the median break-even (squared
# rank correlation, as shares).

# %%
table(
    texts.drivers(curves.verdict_drivers(SLOT)),
    "Modelled: the three unit costs on which scan against faults depends most, 1 vCPU",
)

# %% [markdown]
# ## The last round, all vCPUs stopped

# %%
last = curves.last_rounds(SLOT, 0.001)
table(
    texts.last_rounds(last),
    f"Modelled: the last harvest of {size_text(SLOT)}, 0.1% written, 5% to 95% of the draws; on "
    f"POWER HPT every page mapped and writable, the worst case{study.walks}; star: a proposal, no "
    "kernel has it",
)

# %% [markdown]
# ## What history chose

# %%
table(platforms.history(), "Cited: how dirty logs of KVM came to be what they are")

# %% [markdown]
# ## Not modelled
#
# What the VMM does when a dirty ring is full; pages that cluster; TLB refills
# after a flush; waiting that overlaps with other work; throttling of the guest by its own faults.
