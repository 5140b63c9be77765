"""Figures: axes in human units, letters that can be read, things told apart without colour."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from analysis.model import curves
from analysis.report import figures, tables
from strategies import styles
from strategies.registry import TRACKERS, names
from strategies.replay.figure import harvest_time_per_epoch
from strategies.workloads.trace import bundled as recordings
from strategies.workloads.trace import load_trace

SLOT = 4 << 30
DENSITIES = np.geomspace(1e-5, 1, 13)


@pytest.fixture(scope="module")
def glance():
    return figures.at_a_glance(curves.cpu_curves(SLOT, DENSITIES), tables.programs(), "4 GiB")


@pytest.fixture(scope="module")
def dots():
    return figures.break_even_dots(curves.break_evens(SLOT), "4 GiB")


@pytest.fixture(scope="module")
def shares():
    frame = curves.fault_map(SLOT, DENSITIES, np.geomspace(100, 1e5, 7))
    return figures.scan_share_map(frame, "4 GiB")


@pytest.fixture(scope="module")
def latency():
    rows = [
        (strategy, page_bytes, "linear", slot, density, 10.0 * slot / page_bytes)
        for strategy in names()
        for page_bytes in (4096, 65536)
        for slot in (1 << 28, 1 << 30)
        for density in (0.0, 0.01)
    ]
    cells = pd.DataFrame(rows, columns=["strategy", *tables.CASE, "median_ns"])
    cells = cells.assign(
        least_ns=cells["median_ns"] * 0.9, most_ns=cells["median_ns"] * 1.2, passes=3
    )
    return figures.harvest_latency(cells)


@pytest.fixture(params=["glance", "dots", "shares", "latency"])
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
    assert re.search(r"\d ?(%|µs|ms|MiB)", ticks)


def test_titles_say_measured_or_modelled(figure):
    kinds = re.findall(r"^(Measured|Modelled):", figure.get_suptitle())
    assert len(kinds) == 1


def test_each_axis_is_named(figure):
    axes = [a for a in figure.axes if a.get_label() != "<colorbar>"]
    assert any(a.get_xlabel() for a in axes)
    assert figure.get_supylabel() or axes[0].get_yticklabels()


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
    assert set(figures.PROGRAMS.values()) <= seen
    assert set(figures.PROGRAMS) == set(tables.programs()["trace"])


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
        (panel,) = figures.break_even_dots(frame.assign(p95=p95), "4 GiB").axes
        ends = [line for line in panel.lines if line.get_marker() == ">"]
        assert sum(len(line.get_xdata()) for line in ends) == arrows


def test_break_evens_are_dots_with_bars_for_each_number_of_vcpus(dots):
    (panel,) = dots.axes
    marks = [container[0] for container in panel.containers]
    assert len({mark.get_marker() for mark in marks}) == len(marks) == 2
    assert all(len(mark.get_xdata()) == len(curves.PLATFORMS) for mark in marks)
    assert any("% of draws" in text.get_text() for text in words(dots))


def test_every_tracker_that_one_may_deploy_is_told_apart(latency):
    assert len(latency.axes) == 4
    for panel in latency.axes:
        handles, labels = panel.get_legend_handles_labels()
        assert "pte_flush" not in labels
        assert {"c_bit_scan", "write_protect"} <= set(labels)
        assert len({handle[0].get_marker() for handle in handles}) == len(labels)
        assert all(handle.has_yerr for handle in handles)


def test_no_two_trackers_look_alike():
    looks = [tuple(styles.style_of(name).values()) for name in TRACKERS]
    assert len(set(looks)) == len(looks)
    repeats = len(styles.COLORS) * len(styles.MARKERS)
    assert np.lcm(len(styles.COLORS), len(styles.MARKERS)) == repeats


def test_a_tracker_looks_the_same_wherever_it_stands_in_a_command():
    def looks(order):
        rows = [(name, epoch) for name in order for epoch in range(3)]
        frame = pd.DataFrame(rows, columns=["strategy", "epoch"])
        frame = frame.assign(trace="t", harvest_ns=1000.0 + frame["epoch"], pages_stored=1)
        panels = harvest_time_per_epoch(frame).axes[:-1]
        lines = [panel.lines[0] for panel in panels]
        return {n: (p.get_color(), p.get_marker()) for n, p in zip(order, lines, strict=True)}

    assert looks(["c_bit_scan", "double_buffer"]) == looks(["double_buffer", "c_bit_scan"])


def test_the_same_frame_gives_the_same_picture(tmp_path):
    for name in ("a.png", "b.png"):
        figures.break_even_dots(curves.break_evens(SLOT), "4 GiB").savefig(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
