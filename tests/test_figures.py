"""Figures: axes in human units, letters that can be read, things told apart without colour."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from analysis.model import curves
from analysis.model.published import judged
from analysis.report import drawing, measured_figures, modelled_figures, programs, tables
from strategies import styles
from strategies.registry import FAMILIES, TRACKERS, Tracker, names
from strategies.replay.figure import harvest_time_per_epoch
from strategies.workloads.trace import bundled as recordings
from strategies.workloads.trace import load_trace

SLOT = 4 << 30
DENSITIES = np.geomspace(1e-5, 1, 13)


@pytest.fixture(scope="module")
def glance():
    return modelled_figures.at_a_glance(
        curves.cpu_curves(SLOT, DENSITIES), programs.programs(), "4 GiB"
    )


@pytest.fixture(scope="module")
def dots():
    return modelled_figures.break_even_dots(curves.break_evens(SLOT), "4 GiB")


@pytest.fixture(scope="module")
def shares():
    frame = curves.fault_map(SLOT, DENSITIES, np.geomspace(100, 1e5, 7))
    return modelled_figures.scan_share_map(frame, "4 GiB")


def measured_cells(trackers):
    rows = [
        (strategy, page_bytes, "linear", slot, density, (10.0 + place) * slot / page_bytes)
        for place, strategy in enumerate(trackers)
        for page_bytes in (4096, 65536)
        for slot in (1 << 24, 1 << 28, 1 << 30, 1 << 34)
        for density in (0.0, 0.01)
    ]
    cells = pd.DataFrame(rows, columns=["strategy", *tables.CASE, "median_ns"])
    return cells.assign(
        least_ns=cells["median_ns"] * 0.9, most_ns=cells["median_ns"] * 1.2, passes=3
    )


@pytest.fixture(scope="module")
def latency():
    return measured_figures.harvest_latency(measured_cells(names()), is_closer=True)


@pytest.fixture(scope="module")
def clean():
    cells = measured_cells(["c_bit_scan", "write_protect"])
    passes = [cells.assign(**{"pass": str(n)}, median_ns=cells["median_ns"] * n) for n in (1, 2)]
    return measured_figures.clean_slot(tables.clean_slots(pd.concat(passes)), 2)


@pytest.fixture(scope="module")
def published():
    return modelled_figures.published_ratios(judged(), "cited values")


@pytest.fixture(params=["glance", "dots", "shares", "latency", "clean", "published"])
def figure(request):
    return request.getfixturevalue(request.param)


def words(figure):
    """All letters of a figure that are seen."""
    figure.canvas.draw()
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]


def test_letters_are_large_and_in_human_units(figure):
    seen = words(figure)
    assert min(text.get_fontsize() for text in seen) >= 9
    assert not any(re.search(r"\$|10\^|e[+-]?0\d", text.get_text()) for text in seen)
    ticks = " ".join(text.get_text() for text in seen)
    assert re.search(r"\d ?(%|µs|ms|MiB)|modelled / cited", ticks)


def test_titles_say_measured_or_modelled(figure):
    kinds = re.findall(r"^(Measured|Modelled):", figure.get_suptitle())
    assert len(kinds) == 1


def test_each_axis_is_named(figure):
    axes = [a for a in figure.axes if a.get_label() != "<colorbar>"]
    assert any(a.get_xlabel() for a in axes)
    assert figure.get_supylabel() or axes[0].get_ylabel() or axes[0].get_yticklabels()


def test_a_figure_is_no_wider_than_a_phone_can_show(figure):
    assert figure.get_size_inches()[0] <= 6.5
    columns = {round(a.get_position().x0, 2) for a in figure.axes if a.get_title()}
    assert len(columns) <= 2


def test_scan_and_faults_differ_by_marker_and_proposals_are_dashed(glance):
    panels = {panel.get_title(): panel for panel in glance.axes}
    assert list(panels) == [one.label for one in curves.PLATFORMS]
    for title, panel in panels.items():
        lines = {line.get_label(): line for line in panel.lines}
        scan, faults = lines["scan"], lines["faults"]
        assert scan.get_marker() != faults.get_marker()
        solid = ("-", "--") if title.startswith("POWER") else ("--", "-")
        assert (scan.get_linestyle(), faults.get_linestyle()) == solid


def test_recorded_programs_are_marked(glance):
    seen = {text.get_text() for text in words(glance)}
    assert set(modelled_figures.PROGRAMS.values()) <= seen
    assert set(modelled_figures.PROGRAMS) == set(programs.programs()["trace"])


def test_a_program_stands_at_the_density_of_each_panels_own_pages(glance):
    for panel, one in zip(glance.axes, curves.PLATFORMS, strict=True):
        assert panel.get_title() == one.label
        marks = {line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == ":"}
        traces = (
            load_trace(name).coarsen(one.page_bytes.bit_length() - 1) for name in recordings()
        )
        assert marks == {trace.density for trace in traces}


def test_a_break_even_that_is_never_reached_has_an_open_end():
    frame = curves.break_evens(SLOT, vcpus=(1,), platforms=curves.PLATFORMS[:1])
    for p95, arrows in ((0.5, 0), (np.inf, 1)):
        (panel,) = modelled_figures.break_even_dots(frame.assign(p95=p95), "4 GiB").axes
        ends = [line for line in panel.lines if line.get_marker() == ">"]
        assert sum(len(line.get_xdata()) for line in ends) == arrows


def test_break_evens_are_dots_with_bars_for_each_number_of_vcpus(dots):
    (panel,) = dots.axes
    marks = [container[0] for container in panel.containers]
    assert len({mark.get_marker() for mark in marks}) == len(marks) == 2
    assert all(len(mark.get_xdata()) == len(curves.PLATFORMS) for mark in marks)
    assert any("% of draws" in text.get_text() for text in words(dots))


def test_every_tracker_that_one_may_deploy_is_told_apart_in_the_panel_of_its_family(latency):
    families = {}
    for panel in latency.axes:
        family, _, what = panel.get_title().partition(": ")
        assert what in ("nothing written", "1% written")
        handles, labels = panel.get_legend_handles_labels()
        assert labels == [name for name, entry in TRACKERS.items() if entry.family == family]
        assert all(handle.has_yerr for handle in handles)
        families[family] = labels
    assert families.keys() == {entry.family for entry in TRACKERS.values()} - {
        "history",
        "baseline",
    }


def test_a_clean_slot_is_labelled_with_the_times_of_the_common_case(clean):
    # the largest slot up to 4 GiB is 1 GiB: 262,144 pages of 10 and 11 ns, and twice that
    seen = {text.get_text() for text in words(clean)}
    assert {"3.9 ms", "4.3 ms"} <= seen
    assert {f"{side}, {size} KiB pages" for side in ("scan", "bitmap") for size in (4, 64)} <= seen
    assert any("1 GiB, 4 KiB pages" in text for text in seen)


def test_each_published_value_has_a_bar_and_each_miss_a_mark_of_its_own(published):
    (panel,) = published.axes
    marks = [line.get_marker() for line in panel.lines if line.get_marker() in ("o", "X")]
    assert marks == ["o" if one["in_range"] else "X" for one in judged()]


def test_what_was_published_is_named_in_full_and_fits(published):
    told = {text.get_text(): text.get_window_extent() for text in words(published)}
    width = published.bbox.width
    for one in judged():
        case = one["case"]
        assert told[f"{case.profile}: {case.text}"].x1 < width
        assert "the same" not in case.text.split(", less ")[0]  # each is read alone


DUMMIES = {
    f"{family}_{number}": Tracker(family, 2026, "made up", "none:None")
    for family, count in {
        "scan": 4,
        "fault": 4,
        "log": 2,
        "mixed": 2,
        "history": 3,
        "baseline": 1,
    }.items()
    for number in range(count)
}
CROWD = {f"crowd_{n}": Tracker("fault", 2026, "made up", "none:None") for n in range(16)}


@pytest.mark.parametrize("trackers", [TRACKERS, DUMMIES, CROWD], ids=["ours", "16", "one family"])
def test_no_two_trackers_look_alike_and_the_family_gives_the_colour(trackers):
    looks = {name: styles.style_of(name, trackers) for name in trackers}
    assert len({tuple(look.values()) for look in looks.values()}) == len(trackers)
    for name, entry in trackers.items():
        assert looks[name]["color"] == styles.COLORS[entry.family]
    assert styles.COLORS.keys() == FAMILIES.keys()
    assert len(set(styles.COLORS.values())) == len(FAMILIES)
    assert np.lcm(len(styles.MARKERS), len(styles.LINES)) == 44  # all pairs, before one repeats


def test_the_title_of_the_harvests_claims_what_the_cells_hold(latency):
    other = measured_figures.harvest_latency(measured_cells(names()), is_closer=False)
    assert "the scans take longest; at 1% it is closer" in latency.get_suptitle()
    assert "longest" not in other.get_suptitle()


def test_sixteen_trackers_are_drawn_and_told_apart(monkeypatch):
    monkeypatch.setattr("analysis.report.measured_figures.TRACKERS", DUMMIES)
    choices = [name for name in DUMMIES if DUMMIES[name].family not in ("history", "baseline")]
    monkeypatch.setattr("analysis.report.measured_figures.choices", lambda: choices)
    monkeypatch.setattr(
        "analysis.report.measured_figures.style_of", lambda name: styles.style_of(name, DUMMIES)
    )
    figure = measured_figures.harvest_latency(measured_cells(DUMMIES), is_closer=True)
    drawn = {}
    for panel in figure.axes:
        for container in panel.containers:
            line = container[0]
            look = (line.get_color(), line.get_marker(), line.get_linestyle())
            drawn.setdefault(container.get_label(), set()).add(look)
    assert drawn.keys() == set(choices)
    assert all(len(looks) == 1 for looks in drawn.values())  # the same in both panels
    assert len(set().union(*drawn.values())) == len(choices)


def contrast(one, other):
    """The ratio of WCAG 2: 1 to 21."""

    def luminance(color):
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_on_light_and_on_dark_pages():
    for light, dark in drawing.ON_DARK.items():
        assert contrast(light, "#ffffff") >= 3
        assert contrast(dark, "#0d1117") >= 3
    assert contrast(drawing.INK, "#ffffff") >= 4.5
    assert contrast(drawing.ON_DARK[drawing.INK], "#0d1117") >= 4.5
    assert set(styles.COLORS.values()) <= drawing.ON_DARK.keys()


def test_a_figure_for_a_dark_page_has_no_colour_of_a_light_one(dots, tmp_path):
    svg = drawing.svg_of(dots)
    assert drawing.INK in svg
    drawing.write_figure(tmp_path, "dots", svg)
    assert (tmp_path / "dots.svg").read_text() == svg
    dark = (tmp_path / "dots-dark.svg").read_text()
    assert not any(light in dark for light in drawing.ON_DARK)
    assert "#ffffff" not in svg


def test_a_tracker_looks_the_same_wherever_it_stands_in_a_command():
    def looks(order):
        rows = [(name, epoch) for name in order for epoch in range(3)]
        frame = pd.DataFrame(rows, columns=["strategy", "epoch"])
        frame = frame.assign(trace="t", harvest_ns=1000.0 + frame["epoch"], pages_stored=1)
        panels = harvest_time_per_epoch(frame, 10.0).axes[:-1]
        lines = [panel.lines[0] for panel in panels]
        return {n: (p.get_color(), p.get_marker()) for n, p in zip(order, lines, strict=True)}

    assert looks(["c_bit_scan", "double_buffer"]) == looks(["double_buffer", "c_bit_scan"])


def test_a_replay_is_drawn_in_seconds_on_a_transparent_ground():
    frame = pd.DataFrame({"strategy": "c_bit_scan", "epoch": range(201), "trace": "t"})
    figure = harvest_time_per_epoch(
        frame.assign(harvest_ns=1e3 + frame["epoch"], pages_stored=1), 10.0
    )
    assert figure.axes[-1].get_xlabel() == "seconds of the recording"
    assert figure.axes[0].lines[0].get_xdata().max() == 2.0
    assert figure.get_facecolor()[3] == 0


def test_the_same_frame_gives_the_same_picture():
    one, other = (
        drawing.svg_of(modelled_figures.break_even_dots(curves.break_evens(SLOT), "4 GiB"))
        for _ in range(2)
    )
    assert one == other
