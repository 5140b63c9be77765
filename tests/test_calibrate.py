"""Calibration: constants found in times made of them; a profile that says where each is from."""

import numpy as np
import pytest

from analysis.model.calibrate import Measured, counts, fault, fit, noise, profile_text
from analysis.model.profile import CONSTANTS, load_profile
from strategies.cli import main
from strategies.lanes.cells import cell_trace, cells


def test_a_trace_of_cells_has_each_cell_as_often():
    trace, order = cell_trace(4096, repetitions=3)
    assert np.bincount(order).tolist() == [4] * len(cells())
    for cell, pages in zip(order, np.diff(trace.offsets), strict=True):
        density, run = cells()[cell]
        assert pages == round(4096 * density / run) * run


def test_counts_are_those_of_the_trace():
    trace, _ = cell_trace(1000 * 64, repetitions=1)
    counted = counts(trace)
    for epoch in range(trace.epochs):
        gfns = trace.stores_of(epoch)
        assert counted["page_clear"][epoch] == len(gfns)
        assert counted["word_take"][epoch] == len(set((gfns // 64).tolist()))
    assert set(counted["page_scan"]) == {64_000}
    assert set(counted["word_read"]) == {1000}


def test_constants_are_found_in_times_that_are_made_of_them():
    true = {"word_read": 2.0, "word_take": 45.0, "page_rearm": 28.0}
    parts = [counts(cell_trace(pages, 3)[0]) for pages in (1 << 14, 1 << 17)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in true}
    ns = 1500 + sum(value * columns[name] for name, value in true.items())
    found, error = fit(columns, ns)
    assert error < 1e-9
    for name, value in true.items():
        assert found[name].value == pytest.approx(value)
        assert found[name].low <= found[name].value <= found[name].high


def test_a_range_holds_what_a_constant_cannot_say():
    columns = {"page_clear": np.array([10.0, 100, 1000, 10_000])}
    found, _ = fit(columns, columns["page_clear"] * np.array([120, 90, 60, 45]))
    one = found["page_clear"]
    assert one.low < 50
    assert one.high > 70


def test_noise_is_how_much_repetitions_deviate():
    cell = np.repeat([0, 1], 3)
    assert noise(cell, np.array([10.0, 10, 10, 500, 500, 500])) == 0
    assert noise(cell, np.array([8.0, 10, 12, 400, 500, 600])) == pytest.approx(0.2)


def test_a_fault_is_the_time_lost_per_page():
    one = fault(np.array([0, 2500, 30_000]), np.array([0, 1, 10]))
    assert one.value == pytest.approx(2750)


def test_the_profile_says_what_was_measured_and_what_transferred(tmp_path):
    measured = {"page_scan": Measured(1.5, 1.0, 2.0), "fault": Measured(2500.0, 2300.0, 3100.0)}
    path = tmp_path / "mine.toml"
    path.write_text(
        profile_text(measured, base="x86-kvm", name="mine", title="a host", source="a test")
    )
    profile, base = load_profile(path), load_profile("x86-kvm")
    assert profile.settings == base.settings
    for key in CONSTANTS:
        constant = profile.constants[key]
        if key in measured or key == "exit":
            assert constant.kind == "measured"
        else:
            assert constant.kind == "transferred"
            assert constant.value == base.constants[key].value
            assert constant.source.startswith("from x86-kvm: ")
    assert profile.constants["page_scan"].high == 2.0
    assert profile.constants["exit"].value == 0
    scenario = ["--slot", "1GiB", "--density", "1%", "--interval", "100ms"]
    assert main(["advise", *scenario, "--profile", str(path)]) == 0


PERF_TEST = """Test iterations: 2
Testing guest mode: PA-bits:ANY, VA-bits:48,  4K pages
guest physical test memory: [0x10000000, 0x410000000)
Populate memory time: 0.300000000s
Enabling dirty logging time: 0.004000000s

Iteration 1 dirty memory time: 0.150000000s
Iteration 1 get dirty log time: 0.000020000s
Iteration 1 clear dirty log time: 0.008000000s
Iteration 2 dirty memory time: 0.170000000s
Iteration 2 get dirty log time: 0.000030000s
Iteration 2 clear dirty log time: 0.010000000s
Disabling dirty logging time: 0.001000000s
Get dirty log over 2 iterations took 0.000050000s. (Avg 0.000025000s/iteration)
"""


def test_the_kernels_own_test_gives_constants(tmp_path):
    path, out = tmp_path / "perf.txt", tmp_path / "mine.toml"
    path.write_text(PERF_TEST)
    assert main(["calibrate", "--perf-test", str(path), "--vcpus", "4", "--out", str(out)]) == 0
    found = load_profile(out).constants
    pages = 0x400000000 / 4096
    for name, value, per in [
        ("page_rearm", 9e6, pages),
        ("word_read", 25e3, pages / 64),
        ("page_protect", 4e6, pages),
        ("fault", 160e6, pages / 4),
    ]:
        assert found[name].kind == "measured"
        assert found[name].value == pytest.approx(value / per)
    assert found["page_scan"].kind == "transferred"


def test_the_memory_is_asked_for_where_the_test_does_not_tell(tmp_path, capsys):
    path, out = tmp_path / "perf.txt", tmp_path / "mine.toml"
    path.write_text("Iteration 1 get dirty log time: 0.001s\n")
    command = ["calibrate", "--perf-test", str(path), "--out", str(out)]
    assert main(command) == 2
    assert "accepted: with --slot" in capsys.readouterr().err
    assert main([*command, "--slot", "1GiB"]) == 0
    assert load_profile(out).constants["page_rearm"].value == pytest.approx(1e6 / 2**18)


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("nothing\n", "has no 'Iteration 1 get dirty log time'"),
        ("x\nIteration 1 get dirty log time: soon\n", "line 2: 'soon' is no time"),
        ("guest physical test memory: [0x2000, 0x1000)\n", "line 1: memory that ends before it"),
    ],
)
def test_a_malformed_output_is_one_line(tmp_path, capsys, text, saying):
    path, out = tmp_path / "perf.txt", tmp_path / "mine.toml"
    path.write_text(text)
    assert main(["calibrate", "--perf-test", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert saying in error
    assert not out.exists()


def test_what_cannot_be_calibrated_is_one_line(tmp_path, capsys):
    out = tmp_path / "mine.toml"
    out.write_text("mine")
    for arguments, saying in [
        ([], "exists; give another"),
        (["--base", "z80"], "no profile 'z80'"),
    ]:
        assert main(["calibrate", "--out", str(out), *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert saying in error
    assert out.read_text() == "mine"
