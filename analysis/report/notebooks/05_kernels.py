# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # On real kernels
#
# A software model has to be compared with a real kernel. Here the same stores are made to real
# memory while the kernel of one machine tracks them: by userfaultfd and PAGEMAP_SCAN
# (`uffd_async`), which walks every page-table entry as a scan does, though each first write faults,
# too; and by KVM's bitmap, its bitmap that is cleared later, and its ring (`kvm_bitmap`,
# `kvm_manual`, `kvm_ring`). Unit costs are fitted to some cells; all others, and the
# recordings, are predicted from their counts alone. The kinds of units were chosen by how well they
# predict such cells, too (`benchmarks/METHODOLOGY.md`); what each of them counts is in
# `analysis/model/lanes.py`.

# %%
"""Real kernels: what a fit of some cells predicts for others, and where scan and faults meet."""

from analysis.report import kernel_texts as texts
from analysis.report.kernel_figures import predicted_against_measured
from analysis.report.kernels import judged, load_kernels, winners
from analysis.report.shown import fold, results_folder, say, show, table

kernels = load_kernels(results_folder())
say(texts.origin(kernels))

# %%
if kernels:
    both = judged(kernels)
    table(
        texts.costs(kernels),
        f"Fitted to measured times: what each unit costs, in ns; slots of {texts.fitted(kernels)}, "
        "clean and 0.1, 1, 10 and 100% written, random pages and runs of 32",
    )

# %%
if kernels:
    show(
        predicted_against_measured(both, "Predicted from counts, and measured: no fit saw these"),
        "real_kernels",
        "Predicted against measured, real kernels: harvests and guest time",
    )
    table(
        texts.errors(both),
        "How well the fit predicts: other slots, other densities, runs of 8, a hot sixteenth, and "
        "the recordings, replayed live; harvest and guest time apart",
    )
    fold(texts.misses(both), "The misses: what is predicted worse than by 25%")

# %%
if kernels:
    won = winners(kernels)
    table(
        texts.winners(won),
        "Who takes the least time, harvest and guest together, in the recordings: measured, and "
        "predicted",
    )
    say(texts.winners_said(won))

# %% [markdown]
# ## The thread's question, on this kernel

# %%
if kernels:
    table(
        texts.crossings(kernels),
        "Share of random pages, written between two harvests, at which the walk (uffd_async) takes "
        "as much time as KVM's bitmap with its faults: measured (median, least and greatest of the "
        "passes), predicted by the fit, and what the model said beforehand: its profile x86-kvm, "
        "scan and faults, 1 vCPU (modelled)",
    )
    say(texts.crossings_said(kernels))

# %% [markdown]
# **What a POWER host would share with these lanes**: the shape. The cost of a walk grows with the
# slot, that of a bitmap with its words. What was written adds to both, not by pages alone but by
# the tables, words and runs that hold them; the guest pays for a fault at each first write. The
# counts are the same on all machines.
#
# **What it would not share**: the constants. POWER's hashed table has no tables of 512 entries side
# by side: a page's entry is found by its rmap, under a lock, and invalidated by a tlbie on all
# cores. No lane here has a bit that hardware sets: `uffd_async` takes a fault for each first write,
# too, though a cheap one; so the table has the meeting point both with and without those. And KVM's
# fault is that of one backend.
