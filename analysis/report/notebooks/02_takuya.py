# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Takuya's concern: the harvest
#
# Looking at every page is slow even when nothing is dirty, he wrote; x86 checks 64 pages at once;
# VGA slots are mostly clean, and migration is almost always sparse. Is it so, and does it matter?
#
# Kind of the numbers on this page, where nothing else is said: **measured**, on the machine that
# the results name, by a clock inside compiled code, with the vCPUs stopped; each harvest was
# compared with what was written before its time counted.

# %%
"""Takuya's concern: harvest latency of clean and sparse slots."""

from analysis.derived import fitted
from analysis.measured.fit import summary
from analysis.measured.harvests import measured
from analysis.model import curves
from analysis.report import machines, measured_figures, programs, tables, texts, wording
from analysis.report.shown import fold, load_second, load_study, say, show, table

study = load_study()
clean = tables.clean_slots(study.passes)

# %%
show(
    measured_figures.clean_slot(clean, study.pass_count),
    "clean_slot",
    "Measured time of a harvest of a slot to which nothing was written, against its size: scan "
    "(c_bit_scan) and bitmap (write_protect)",
)

# %%
sparse = tables.sparse_ratios(study.cells)
with_1_percent = sparse[sparse["density"] == 0.01]
is_closer = (
    tables.scans_are_slowest(study.cells) and with_1_percent["ratio"].max() < clean["ratio"].min()
)
show(
    measured_figures.harvest_latency(study.cells, is_closer),
    "harvest_latency",
    "Measured time of one harvest against slot size, for clean and sparse slots, by family and "
    "tracker",
)

# %% [markdown]
# A harvest with tlbies contains the simulated ones, which are cheaper than a host's. Times below
# 100 ns are those of reading the clock.

# %%
table(texts.clean_slots(clean), f"Measured: harvest of a clean slot ({study.times})")

# %%
say(
    f"**A sparse slot.** With up to 1% of the pages written the scan takes "
    f"{wording.factor(sparse['ratio'].min(), sparse['ratio'].max())} times as long as "
    f"write_protect, over all {len(sparse)} cells (*measured*, {study.medians}; the simulated "
    "tlbies are in both)."
)

# %%
ratios = curves.harvest_ratios(4 << 30, [0.0001, 0.01])
is_sparse = ratios["density"] == 0.0001
assert (ratios.loc[is_sparse, "p5"] > 1).all(), "the scan wins a sparse harvest somewhere"
assert (ratios.loc[~is_sparse, "p5"] <= 1).any(), "it is longer with 1% written, too"
say(
    "**On a host** (*modelled*, 4 GiB, 1 vCPU"
    f"{study.walks}): with 0.01% written the scan's harvest takes longer in at least 95% of the "
    "draws on each platform; with 1% written that does not hold on each."
)
table(
    texts.by_density(ratios),
    "Modelled: harvest by scan / by the quickest of those that take faults into one bitmap or two, "
    "proposals included (5% to 95% of the draws)",
)

# %% [markdown]
# ## The VGA slot at 60 Hz

# %%
vga = programs.vga(study.replays, study.cells)
busy = programs.vga_busiest()
tlbies = [programs.tlbie_range(pages) for pages in (busy["p99"], busy["most"])]
made = study.replays[study.replays["trace"] == programs.VGA].set_index("strategy")["tlbies"]
assert made[[tables.FAULTS, "write_protect_batched"]].min() >= made[tables.SCAN], "fewer by faults"
say(
    f"{busy['clean']:.0%} of the frames write nothing (*exact*). A frame's mean of "
    f"{vga['tlbies'].iloc[0]:.3g} tlbies hides the busiest: {busy['p99']} pages in the 99th "
    f"percentile and {busy['most']} at most (*exact*), {wording.times(*tlbies[0])} and "
    f"{wording.times(*tlbies[1])} of tlbies on POWER HPT (*modelled*). Tracking by faults "
    "makes as many or more for the same frames, and takes the faults as well."
)
table(
    texts.vga(vga),
    "A scan a frame: walk of a simulated HPT (measured), tlbies (exact), both on POWER (modelled)",
)

# %% [markdown]
# ## Another mapping
#
# Under the scattered mapping neighbouring pages of the guest lie apart in the hashed page table.

# %%
mapped = texts.scattered(study.cells)
if mapped is None:
    say("This study has the linear mapping only; the full grid has both.")
else:
    table(mapped, "Measured: clean scan, scattered mapping / linear mapping")

# %%
carried = load_second(study)
if carried:
    say(f"## On a second machine\n\n{machines.said(carried)}")
    show(
        measured_figures.carried_over(carried.cells),
        "second_machine",
        "Measured time of each harvest on a second machine, relative to the reference, by tracker",
    )
    fold(machines.ratios(carried), "Measured: a clean slot by scan / by bitmap, on both machines")
elif study.is_reference:
    say("These times are of one machine: no second one was measured.")

# %% [markdown]
# ## Beside a copy of the bitmap
#
# A harvest writes the bitmap that it hands out. How long does it take, in copies of that bitmap?
# (Below 1: what is clean is only zeroed, which takes less than to copy it.)

# %%
copies = texts.copies(study.frame)
if copies is None:
    say("This study does not compare with a copy; the full grid does.")
else:
    fold(copies, f"Measured: time of a harvest in copies of its bitmap ({study.medians})")

# %% [markdown]
# ## Starting and ending the log
#
# A slot of which every page was written. The call from outside is in these times (see null).
# `c_bit_scan` clears all C bits at its start, as KVM's HPT log did from 2012
# (dfe49dbd1fc7, *cited*) until 2017. Since then KVM's first harvest reports the pages whose C
# is set (e641a317830b, *cited*), and so the model prices it.

# %%
fold(
    texts.toggles(study.frame),
    f"Measured: time to start and to end the log of a slot ({study.medians})",
)

# %% [markdown]
# ## Beside storing vCPUs
#
# 16 MiB, harvested while vCPUs store to random pages as fast as they can. Harvests have one core;
# the vCPUs take turns on the others. Times are given where there are as many cores as vCPUs.

# %%
lost = measured(study.frame, "Contention.track_lost_pages")
assert (lost["value"] == 0).all(), "a page was lost"
say(f"{len(lost)} storms of stores, no page lost (*exact*).")
beside = texts.beside_stores(study.frame)
if beside is not None:
    spread = 1 + measured(study.frame, "Contention.track_harvest")["spread"]
    if study.pass_count > 1:
        say(
            "**These times order no trackers.** Harvests follow one another at once, and some find "
            "much, some hardly anything: a tracker's median harvest in one pass is up to "
            f"{wording.two_digits(spread.max())} times that in another (half of the rows: "
            f"{wording.two_digits(spread.median())} times or more; *measured*)."
        )
    fold(beside, f"Measured: harvest and store beside each other (each a median; {study.times})")

# %% [markdown]
# ## How well the fitted walks predict
#
# The fit is to the lowest sample of each cell, since whatever else a machine does only adds to a
# time. Each size and each density in turn is left out of the fit, and its cells are predicted.

# %%
_, _, judged, _ = fitted(study.frame)
found = summary(judged)
say(
    f"**Held out.** {len(judged)} cells were predicted by fits that did not see them: median error "
    f"{wording.share(found['median'])}, 90% of them below {wording.share(found['p90'])}; "
    f"{wording.share(found['within_limit'])} within their limit, which is 30% or one and a half "
    "times what passes differ by."
)
fold(texts.held_out(judged), "Relative error of held-out cells (measured against fitted)")

# %%
differ = texts.passes_differ(study.cells)
if differ.empty:
    say("One pass: how much passes differ is not known.")
else:
    fold(differ, "Measured: by how much the passes of a cell differ (greatest / least - 1)")
