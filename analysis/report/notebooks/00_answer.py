# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The answer

# %%
"""The answer on one page: each number computed here, each claim asserted on all cases."""

import numpy as np

from analysis.model import curves
from analysis.model.profile import load_profile
from analysis.model.published import judged
from analysis.report import machines, modelled_figures, platforms, programs, tables, texts, wording
from analysis.report.kernels import clean_ratios
from analysis.report.shown import (
    load_second,
    load_study,
    results_folder,
    say,
    say_table,
    show,
)
from strategies.units import parse_size, size_text

SLOT = platforms.SLOT_BYTES
study = load_study()
modelled = f"*modelled*{study.walks}"

crossings = curves.break_evens(SLOT).set_index(["platform", "vcpus"])
single, many = crossings.xs(1, level="vcpus"), crossings.xs(64, level="vcpus")
assert not crossings[["p5", "p50", "p95"]].isna().any(axis=None), "a platform has no crossing"
assert (many["p50"] < single["p50"]).all(), "more vCPUs do not favour the scan everywhere"
faults_win = single[single["always_faults"] > 0]["always_faults"]
assert all("radix" in platform for platform in faults_win.index), "not on radix alone"
or_never = (
    f' ("never": on POWER radix, faults cost less in {wording.draws(faults_win.max())} of the '
    "draws, however much is written)"
    if len(faults_win)
    else ""
)

# %%
clean = tables.clean_slots(study.passes)
assert (clean["ratio_least"] > 10).all(), "a clean scan is not even ten times slower"
case = tables.common_case(clean)

# %%
priced = programs.priced_replays(study.replays)
faults = priced[priced["strategy"] == tables.FAULTS]
desktop, busy = faults[faults["trace"] == programs.VGA], faults[faults["trace"] != programs.VGA]
longer = programs.stalls_by_interval()
second = longer[longer["interval_ms"] == 1000]
recorded = busy["trace"].unique()
turns = programs.cheaper_replays(priced)
by_interval = longer.pivot(
    index=["trace", "platform"], columns="interval_ms", values="scan_share"
).sort_index(axis="columns")
assert (by_interval.diff(axis="columns").iloc[:, 1:] >= 0).all(axis=None), "longer is worse"
assert busy["stall_low"].min() > 0.01, "there is a program that hardly notices faults"
bits = priced[(priced["strategy"] == tables.SCAN) & (priced["trace"] != programs.VGA)]
say(
    "**Both were right.** The cost of a scan grows with the slot, that of faults with the pages "
    "written.\n"
    f"- **Takuya:** nothing is written to {size_text(case['slot_bytes'])}, and a scan takes "
    f"{wording.of_passes(case, 'scan')}, a bitmap {wording.of_passes(case, 'bitmap')} (*measured*, "
    f"{size_text(case['page_bytes'])} pages, {study.times}).\n"
    f"- **Paul:** the {len(recorded)} recorded programs other than the desktop lose "
    f"{wording.shares(busy['stall_low'].min(), busy['stall_high'].max())} of a vCPU's time to "
    "faults, "
    f"{wording.shares(bits['stall_low'].min(), bits['stall_high'].max())} to a changed bit "
    f"({modelled}; from *exact* counts; a harvest every 10 ms, all platforms, 4 KiB pages).\n\n"
    f"**So it depends on how much is written.** At {size_text(SLOT)} and 1 vCPU both take the "
    "same CPU time when "
    f"{wording.shares(single['p50'].min(), single['p50'].max())} of the pages are written between "
    "two harvests (medians of the platforms; with their ranges "
    f"{wording.densities(single['p5'].min(), single['p95'].max())}; {modelled}). Below that "
    f"faults cost less, above it the scan{or_never}. 64 vCPUs lower the median on each platform "
    "here. The report's table says which of the two a kernel has."
)

# %%
settings = {
    name: " ".join(str(one["how"]) for one in load_profile(name).settings_of(strategy))
    for name, strategy in (
        ("x86-kvm", "write_protect_batched"),
        ("arm64", "write_protect_batched"),
        ("power8", tables.SCAN),
        ("power9", tables.SCAN),
    )
}
assert all("KVM_DIRTY_LOG_INITIALLY_SET" in settings[name] for name in ("x86-kvm", "arm64"))
assert "PML" in settings["x86-kvm"]
assert "EAGER_SPLIT" in settings["arm64"]
assert all("nothing else to choose" in settings[name] for name in ("power8", "power9"))
say(
    "**What to do today** (*cited*; `dirtylog advise` lists the settings). On x86 and arm64 the "
    "kernel has chosen (faults, or PML), and settings are left: manual protect with all bits set "
    "at the start, which QEMU asks for by itself. Intel hosts use PML by themselves; on arm64, ask "
    "for eager splitting of huge pages. On POWER, KVM HV scans, and there is nothing to set. A "
    "host with 64 KiB pages scans a sixteenth of the entries, but reports, and so sends, 64 KiB "
    "for each page written; on HPT expect a long last round (*modelled*, below)."
)

# %%
densities = np.geomspace(1e-5, 1, 31)
show(
    modelled_figures.at_a_glance(
        curves.cpu_curves(SLOT, densities),
        programs.programs(),
        f"{size_text(SLOT)}, 1 vCPU{study.elsewhere}",
    ),
    "at_a_glance",
    "Modelled CPU time per interval of scan and faults against the share of pages written, by "
    f"platform and base page{study.walks}. Letters: how densely the recorded programs write",
)
show(
    modelled_figures.break_even_dots(
        crossings.reset_index(), f"{size_text(SLOT)}{study.elsewhere}"
    ),
    "break_evens",
    "Modelled density above which the scan costs less CPU time than faults, for 1 and 64 vCPUs; "
    f"where some draws have none, the share that has one{study.walks}",
)

# %% [markdown]
# **Words.** A *slot* is a piece of guest memory that is logged; a *harvest* reads its log and
# sees to it that the next write to each page is noticed again; a *bitmap* is the log that faults
# fill. *C* is the changed bit in a page's entry of POWER's hashed page table (*HPT*, its entries
# *HPTEs*); *radix* is POWER's other table, a tree. x86 calls the bit D, arm64 has it with *DBM*.
# A *tlbie* (elsewhere a flush) makes all processors forget a translation. *PML* is Intel's log,
# in hardware, of the pages whose D it sets; with *manual protect* KVM reads the log and clears it
# by two calls. A unit cost is a range; the *draws* are 1,024 tries with all unit costs from their
# ranges. An *epoch* is an interval of a recording.

# %%
base = clean[clean["page_bytes"] == 4096].set_index("slot_bytes")
small, large = base.loc[base.index.min()], base.loc[base.index.max()]
is_largest = (clean["page_bytes"] == 65536) & (clean["slot_bytes"] == base.index.max())
with_64k = "".join(
    f", or with 64 KiB pages {wording.of_passes(row, 'scan')} and "
    f"{wording.of_passes(row, 'bitmap')}"
    for _, row in clean[is_largest].iterrows()
)
real = clean_ratios(results_folder())
on_a_kernel = ""
if real is not None:
    slots = " to ".join(size_text(parse_size(slot)) for slot in (real.index[0], real.index[-1]))
    on_a_kernel = (
        " These are times of the harvest alone, over simulated page tables. On a real x86 kernel "
        f"the walk of a page table takes {wording.factor(real.min(), real.max())} times as long as "
        f"KVM's bitmap ({slots}, *measured*, system calls included)."
    )
say(
    "- **Takuya was right: a scan is slow when nothing is dirty.** A clean slot of "
    f"{size_text(base.index.min())} (4 KiB pages) takes {wording.of_passes(small, 'scan')} by scan "
    f"and {wording.of_passes(small, 'bitmap')} by bitmap; one of {size_text(base.index.max())} "
    f"takes {wording.of_passes(large, 'scan')} and {wording.of_passes(large, 'bitmap')}{with_64k}. "
    f"Over all {len(clean)} clean slots (linear mapping: pages side by side in the guest are so in "
    "the table) the scan takes "
    f"{wording.factor(clean['ratio_least'].min(), clean['ratio_most'].max())} times as long "
    f"(*measured*, {study.times}; less than 100 ns counts as 100 ns).{on_a_kernel}"
)

# %%
say(
    "- **Paul was right: faults slow the guest**, and not always a little. The desktop loses "
    f"{wording.shares(desktop['stall_low'].min(), desktop['stall_high'].max())} of one vCPU's "
    f"time, over all platforms (4 KiB pages). The {len(recorded)} other programs lose "
    f"{wording.shares(busy['stall_low'].min(), busy['stall_high'].max())} when harvested "
    "every 10 ms (above 100%: they could not write that fast) and "
    f"{wording.shares(second['stall_low'].min(), second['stall_high'].max())} when harvested every "
    "second (POWER with both page sizes). With each unit cost at its value, the median of its "
    f"draws, the scan takes less CPU time than faults in {turns['scan']} of {turns['all']} pairs "
    "of a recording and a platform (4 KiB pages, harvested at each epoch: 10 ms, the desktop "
    "16.7 ms). Longer intervals favour the scan "
    "as much or more, since more pages are written in each "
    f"({modelled}; from *exact* counts)."
)

# %%
cases = texts.published()
missed = cases[cases["in range"] == "no"]
assert (missed["why not"] != "").all(), "a miss has no reason"
widths = tables.published_widths(judged())
carried = load_second(study)
carry_over = (
    machines.answer(carried)
    if carried
    else "The times measured here are of one machine, which is not POWER: they carry over as "
    "ranges, a factor of two either way at least (*estimated*)."
)
say(
    f"- **How sure.** Of {len(cases)} published times and ratios (*cited*) "
    f"{len(cases) - len(missed)} lie within the model's range, from all unit costs at their low "
    "ends to all at their high ends; its upper end is "
    f"{wording.two_digits(widths['width'])} times the lower (median). "
    f"{widths['drawn']} lie within 5% to 95% of the draws, and with each cost at its value "
    f"{widths['near']} are within a factor of two. The {len(missed)} misses are listed with their "
    "reasons in the report. None of the published values is of a POWER machine, and no unit cost "
    "was published as it is: they are derived, transferred or estimated. "
    f"{carry_over}"
)

# %%
each = tables.one_tlbie_each(SLOT).set_index("platform")
on_power = [one.profile for one in curves.PLATFORMS if one.label in each.index]
assert not any(load_profile(name).is_offered("write_protect_batched") for name in on_power)
assert (each["p50"] <= single["p50"].reindex(each.index)).all(), "a tlbie each is the cheaper way"
assert list(single.index) == [one.label for one in curves.PLATFORMS]
say(
    f"**Where scan and faults cost the same CPU time** ({modelled}; {size_text(SLOT)}): the share "
    "of pages written per interval, as the median and 5% to 95% of the draws over all unit costs. "
    "Where in some draws one of the two costs less at any density, the share of the others (a "
    "crossing) stands beside it. The scan is compared with the cheapest way of taking faults into "
    "a bitmap; a dirty ring, which takes faults too, is left out. On POWER the cheapest is mostly "
    "one flush for each harvest (in at least "
    f"{wording.draws(each['flush_wins'].min())} of the draws, at the medians of the column "
    '"a tlbie each"), which no kernel there does and which is unproven on HPT; so that column '
    "compares with one tlbie for each dirty page (`write_protect`). The last two columns: in how "
    "many draws the scan costs less than the cheapest way (1 vCPU), and what mainline does "
    "(*cited*). arm64 without DBM has no changed bit to scan."
)
shares = curves.scan_shares(SLOT, [0.0001, 0.001, 0.01, 0.1])
say_table(texts.verdicts(single, many, each, shares))

# %%
vga = programs.vga(study.replays, study.cells)
visible, whole = vga.iloc[0], vga.iloc[1]
tlbie = load_profile("power9").constants["tlbie"]
part = vga["high_ns"] / vga["frame_ns"]
assert (part < 0.02).all(), "a scan takes a part of the frame"
frames = programs.vga_busiest()
busiest = programs.tlbie_range(frames["most"])
stopped = curves.last_rounds(programs.VGA_SLOT_BYTES, 0.0)
stopped = stopped[stopped["strategy"] == tables.SCAN].set_index("platform")[["p5", "p95"]]
say(
    "- **On average it does not matter for VGA.** In a recorded desktop the scan of the visible "
    f"{size_text(visible['slot_bytes'])} (4 KiB pages) takes {wording.time(visible['walk_ns'])} a "
    f"frame (*measured*) and {visible['tlbies']:.3g} tlbies (*exact*, mean). If a tlbie takes "
    f"{wording.times(tlbie.low, tlbie.high)} (*estimated*: we found no published time) and the "
    "walk half to twice as long as here, that makes "
    f"{wording.times(visible['low_ns'], visible['high_ns'])}, and "
    f"{wording.times(whole['low_ns'], whole['high_ns'])} for a slot of "
    f"{size_text(whole['slot_bytes'])} (*modelled*): at most "
    f"{wording.share(part.max())} of a frame on average, while a vCPU runs. The busiest frames "
    f"have {frames['p99']} tlbies (99th percentile) and {frames['most']} (maximum; *exact*): up to "
    f"{wording.time(busiest[1])} at {wording.time(tlbie.high)} each. With no vCPU in KVM_RUN a "
    "harvest has to be definitive, and makes a tlbie for each writable HPTE: a clean slot of "
    f"{size_text(programs.VGA_SLOT_BYTES)} then takes "
    f"{wording.times(*stopped.loc['POWER9 HPT, 4 KiB'])} with 4 KiB pages and "
    f"{wording.times(*stopped.loc['POWER9 HPT, 64 KiB'])} with 64 KiB ({modelled})."
)

# %%
scattered = curves.scattered_writes(SLOT, 1000).set_index("platform")
of_4k, of_64k = scattered.loc["POWER9 HPT, 4 KiB"], scattered.loc["POWER9 HPT, 64 KiB"]
assert of_4k["share"] < 1 / 3, "the scan wins with 4 KiB pages, too"
assert of_64k["share"] > 2 / 3, "faults win with 64 KiB pages, too"
say(
    "- **64 KiB pages turn the verdict towards Paul's scan.** Linux's default configuration for "
    "POWER has such pages (*cited*: ppc64_defconfig). 1,000 scattered first writes in "
    f"{size_text(SLOT)} on POWER9 HPT cost with 4 KiB pages "
    f"{wording.of_draws(of_4k, 'scan')} by scan and "
    f"{wording.of_draws(of_4k, 'faults')} by faults (compared draw by draw, the scan is cheaper in "
    f"{wording.draws(of_4k['share'])}), but with 64 KiB pages "
    f"{wording.of_draws(of_64k, 'scan')} and {wording.of_draws(of_64k, 'faults')} "
    f"(cheaper in {wording.draws(of_64k['share'])}; {modelled})."
)

# %%
last = curves.last_rounds(SLOT, 0.001)
scans = last[last["strategy"] == tables.SCAN].set_index("platform")
hpt_4k, hpt_64k, radix = (
    scans.loc[f"POWER9 {name}", ["p5", "p95"]]
    for name in ("HPT, 4 KiB", "HPT, 64 KiB", "radix, 64 KiB")
)
by_faults = last[(last["strategy"] == "write_protect_batched") & last["offered"]]
assert set(by_faults["platform"]) == {"x86, 4 KiB", "arm64 with DBM, 4 KiB"}
says_nothing = [load_profile(name).constants["manual_protect"].low for name in ("x86-kvm", "arm64")]
assert says_nothing == [1, 1], "the last GET arms pages again"
say(
    "- **The last round of a migration** (vCPUs stopped) is where a scan on POWER HPT hurts. It "
    "makes a tlbie for each writable HPTE, whether its C is set or not, since the hardware may not "
    "have written C to memory yet; and one preempt_disable covers the whole slot (*cited*: "
    "kvm_test_clear_dirty_npages, 6c576e74fd91; kvmppc_hv_get_dirty_log_hpt). "
    f"{size_text(SLOT)}, all of it mapped writable, take {wording.times(*hpt_4k)} with 4 KiB pages "
    f"and {wording.times(*hpt_64k)} with 64 KiB. POWER radix, the default since POWER9, makes none "
    f"for clean pages: {wording.times(*radix)} with 64 KiB. On arm64, and on x86 without PML, the "
    "last GET with manual protect does not arm pages again: "
    f"{wording.times(by_faults['p5'].min(), by_faults['p95'].max())} ({modelled}; 0.1% written)."
)

# %%
hypothetical = {one: load_profile(one).hypothetical for one in ("x86-kvm", "arm64-dbm", "power9")}
assert all(tables.SCAN in hypothetical[name] for name in ("x86-kvm", "arm64-dbm"))
assert "write_protect" in hypothetical["power9"]
say(
    "- **What is a proposal.** KVM of mainline scans neither on x86 nor on arm64, so the scan is a "
    "proposal there. (For what devices write, mainline does: iommufd reads and clears the dirty "
    "bits of an IOMMU's table, IOMMU_HWPT_GET_DIRTY_BITMAP, *cited*.) Mainline KVM HV on POWER "
    "does not write-protect for the log, so faults are one there "
    "(KVM PR, which needs no hypervisor mode, unmaps the slot and takes faults: "
    "kvm_vm_ioctl_get_dirty_log_pr, *cited*). "
    "**What history chose** (*cited*): POWER HPT kept the scan (kvmppc_hv_get_dirty_log_hpt, "
    "e641a317830b), POWER radix took it up (8f7b79b8379a, 2017); s390 went from hardware change "
    "bits to faults (0a61b222df75, 2014); Intel added a log in hardware (PML, Huang 2015)."
)

# %%
for name in ("power8", "power9"):
    batched = load_profile(name).hypothetical["write_protect_batched"]
    assert "looks legal" in batched
    assert "No kernel does it for the log" in batched
    assert "H_BULK_REMOVE" in batched
say(
    "- **One flush a harvest.** x86 had that from the start; 60c34612b707 (v3.5) replaced the SRCU "
    "switch by an exchange of each word that has bits (*cited*). On POWER, KVM's log makes one "
    "tlbie for each dirty HPTE. To make HPTEs absent first and let them share one wait looks "
    "legal: KVM does so with those that H_BULK_REMOVE removes (kvmppc_h_bulk_remove, do_tlbies; "
    "*cited*), not for the log."
)

# %%
huge = [(size, curves.reported_share(0.001, (1 << 24) // size)) for size in (65536, 4096)]
assert load_profile("power9").constants["splits"].high == 0
assert all(load_profile(name).constants["splits"].low == 1 for name in ("x86-kvm", "arm64-dbm"))
say(
    "- **Huge pages.** An HPT host cannot split the guest's entries, so the C bit of a huge page "
    "speaks for 16 MiB. If 0.1% of the pages are written at random, the log reports "
    + " and ".join(f"{wording.share(share)} ({size_text(size)} pages)" for size, share in huge)
    + " of memory: 1 - 0.999^n, n pages to an entry (*exact* in expectation). While logging, x86 "
    "and arm64 "
    "split huge pages and POWER radix maps base pages in their place (*cited*), whatever the "
    "strategy."
)
