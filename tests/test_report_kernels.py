"""The report's section of real kernels, on a machine whose times follow the terms exactly."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis.model.lanes import LANE_TERMS, names_of, predicted
from analysis.model.scenario import scenario_of_trace
from analysis.report import kernel_texts as texts
from analysis.report.kernel_figures import predicted_against_measured
from analysis.report.kernels import (
    CELLS,
    FITTED,
    RECORDINGS,
    clean_ratios,
    crossings,
    judged,
    load_kernels,
    winners,
)
from strategies.lanes import cells
from strategies.workloads.trace import load_trace

KINDS = (*cells.FITTED, *cells.HELD_OUT)
CACHED = 1 << 14
FIT_PAGES, HELD_PAGES = (1 << 12, 1 << 17), (1 << 14,)
SLOWER = {0: 1.0, 1: 1.0, 2: 1.3}
"""How much slower each pass was."""

NS = {
    "call": 800, "flush": 1500, "page_scan": 1, "word_read": 2, "page_clear": 40, "page_rearm": 30,
    "table_take": 250, "word_take": 45, "run_take": 12, "cold_run": 40,
    "fault_run": 100, "fault_table": 300,
}  # fmt: skip
COSTS = {
    lane: {term.unit: NS.get(term.unit, 500 if lane == "uffd_async" else 2500) for term in terms}
    for lane, terms in LANE_TERMS.items()
}


def rows_of(lane, pages, number):
    trace, order = cells.cell_trace(pages, 1, kinds=KINDS)
    one, kept = scenario_of_trace(trace), order != cells.WARMS_UP
    counted = {name: values[kept] for name, values in one.counted.items()}
    dirty_pages = one.dirty_pages[kept]
    names = names_of(float(pages), dirty_pages, counted, CACHED)
    frame = pd.DataFrame(KINDS).loc[order[kept]].reset_index(drop=True)
    frame = frame.assign(slot_pages=pages, dirty_pages=dirty_pages, **counted)
    times = {"harvest_ns": "harvest", "lost_ns": "interval"}
    for column, phase in times.items():
        frame[column] = predicted(lane, phase, names, COSTS[lane]) * SLOWER[number]
    labels = {"lane": lane, "pass": number}
    is_fitted = [pages in FIT_PAGES and KINDS[cell] in cells.FITTED for cell in order[kept]]
    return frame.assign(**labels, is_fitted=is_fitted)


def recording_of(lane, name):
    trace = load_trace(name)
    one = scenario_of_trace(trace)
    names = names_of(float(trace.slot_pages), one.dirty_pages, one.counted, CACHED)
    row = {"lane": lane, "trace": name, "harvests": trace.epochs}
    for column, phase in (("harvest_ns", "harvest"), ("lost_ns", "interval")):
        ns = predicted(lane, phase, names, COSTS[lane]).sum()
        row |= {column: ns, f"{column}_least": ns, f"{column}_most": 1.3 * ns}
    return row


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    (folder / "lanes").mkdir()
    frames = [
        rows_of(lane, pages, number)
        for number in SLOWER
        for pages in (*FIT_PAGES, *HELD_PAGES)
        for lane in COSTS
    ]
    pd.concat(frames).to_csv(folder / "lanes" / "cells.csv", index=False)
    recordings = pd.DataFrame([recording_of(lane, "vga_desktop") for lane in COSTS])
    recordings.to_csv(folder / "lanes" / "recordings.csv", index=False)
    origin = {"cpu": "a CPU", "cpus": 2, "kernel": "6.99", "backend": "other", "date": "2026-01-02"}
    origin |= {"cached_pages": CACHED, "passes": 3, "repetitions": 1, "load": [0.5, 1.25]}
    (folder / "lanes" / "origin.json").write_text(json.dumps(origin))
    return folder


@pytest.fixture(scope="module")
def kernels(results):
    return load_kernels(results)


def test_a_walk_is_compared_with_the_bitmap_of_the_same_slot(tmp_path):
    assert clean_ratios(tmp_path) is None
    rows = [
        {"slot": slot, "tracker": tracker, "harvest_ns": {"median": ns}}
        for slot, tracker, ns in (
            ("64MiB", "uffd_async", 12_000),
            ("64MiB", "kvm_bitmap", 600),
            ("1GiB", "kvm_bitmap", 2_000),
            ("1GiB", "c_bit_scan", 3_000_000),
            ("1GiB", "uffd_async", 200_000),
        )
    ]
    (tmp_path / "lanes").mkdir()
    (tmp_path / "lanes" / "clean_slots.json").write_text(json.dumps(rows))
    assert dict(clean_ratios(tmp_path)) == {"64MiB": 20, "1GiB": 100}


def test_where_the_fit_is_exact_so_is_what_it_predicts(kernels):
    both = judged(kernels)
    assert set(both["where"]) == {FITTED, CELLS, RECORDINGS}
    assert both["error"].abs().max() < 1e-3
    assert set(both[both["where"] == RECORDINGS]["trace"]) == {"vga_desktop"}
    fitted = both[(both["where"] == FITTED) & (both["phase"] == "harvest")]
    assert set(fitted["slot_pages"]) == set(FIT_PAGES)
    assert not fitted["density"].isin([kind.density for kind in cells.HELD_OUT]).any()


def test_a_winner_is_clear_where_no_pass_turns_it(kernels):
    won = winners(kernels)
    assert (won["measured"] == won["predicted"]).mean() > 0.9  # where both cost the same, either
    assert won["is_clear"].any()
    assert not won["is_clear"].all()
    assert won[won["is_clear"]]["margin"].min() > 0.25  # a pass was slower by 30 %


@pytest.mark.parametrize("with_faults", [True, False])
def test_walk_and_log_meet_where_their_terms_do(kernels, with_faults):
    """The larger slot's meeting point lies between densities that were measured."""
    met = crossings(kernels, with_scan_faults=with_faults).set_index("slot_pages")
    both = met.loc[max(FIT_PAGES)]
    assert both["least"] <= both["median"] <= both["most"]
    assert both["median"] == pytest.approx(both["predicted"], rel=0.25)
    names = names_of(float(max(FIT_PAGES)), both["predicted"] * max(FIT_PAGES), {}, CACHED)
    walk, log = (
        sum(predicted(lane, phase, names, COSTS[lane]) for phase in phases)
        for lane, phases in (
            ("uffd_async", ["harvest", "interval"][: 1 + with_faults]),
            ("kvm_bitmap", ["harvest", "interval"]),
        )
    )
    assert walk == pytest.approx(log, rel=0.02)


def test_the_section_says_what_it_is_of(kernels, results):
    said = texts.origin(kernels)
    assert "in software" in said
    assert "load was at most 1.2" in said
    assert "took 30% longer" in said
    limits = "The ring was cold."
    known = kernels._replace(origin=kernels.origin | {"limits": limits})
    assert texts.origin(known) == f"{said} {limits}"
    assert "No lane was measured" in texts.origin(load_kernels(results / "nothing"))
    assert texts.fitted(kernels) == "16 MiB, 512 MiB"
    both = judged(kernels)
    errors = texts.errors(both)
    assert set(errors["of"]) == {"harvest", "guest time"}
    assert texts.misses(both).empty
    worse = both.assign(error=np.where(both["where"] == RECORDINGS, 0.3, both["error"]))
    assert set(texts.misses(worse)["what"]) == {"vga_desktop"}
    assert list(texts.winners(winners(kernels))["recording"]) == ["vga_desktop"]
    assert len(texts.crossings(kernels)) == 3
    said = texts.crossings_said(kernels)
    assert "512 MiB; " in said
    assert re.search(r"same where [\d.]+ to [\d.]+% of the pages", said)
    costs = texts.costs(kernels).set_index("unit")
    assert costs.loc["page_clear", "uffd_async"] == "40"
    assert costs.loc["word_read", "uffd_async"] == "-"


def test_the_figure_leaves_out_what_the_fit_saw(kernels):
    both = judged(kernels)
    figure = predicted_against_measured(both, "title")
    drawn = sum(len(line.get_xdata()) for panel in figure.axes for line in panel.lines)
    unseen = both[both["where"] != FITTED].dropna(subset="error")
    assert drawn == len(unseen) + (unseen["where"] == RECORDINGS).sum()
