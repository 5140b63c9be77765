"""The trackers of real kernels: what each reports is what was written, judged by memory itself.

Slow are a calibration and `lanes --check` but for one lane: of the others the same loop runs
shorter here.
"""

import json
from functools import cache
from pathlib import Path
from resource import RUSAGE_THREAD, getrusage

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import validate

from analysis.model.lanes import LANE_TERMS
from analysis.model.profile import load_profile
from strategies.cli import main
from strategies.lanes.child import in_child
from strategies.lanes.exactness import check_lane, is_exact
from strategies.lanes.plain import Plain
from strategies.lanes.registry import LANES, get
from strategies.lanes.run import judge, live, replay_each, replay_lane
from strategies.lanes.session import reasons
from strategies.lanes.speed import NO_PATIENCE
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import save_trace

REPORTING = [name for name in LANES if name != "plain"]
PAGES = 64 * 33 + 3
SCHEMA = Path(__file__).parents[1] / "schemas" / "replay.json"

reasons_once = cache(reasons)


@pytest.fixture(params=LANES)
def lane(request):
    """The name of each lane; skipped with the reason where this machine has it not."""
    reason = reasons_once()[request.param]
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    return request.param


@pytest.fixture
def trace_file(tmp_path):
    path = tmp_path / "small.npz"
    trace = synthesize("uniform", slot_pages=PAGES, density=0.1, epochs=6, stores=400, seed=3)
    save_trace(trace, path)
    return path


def replay_json(capsys, *arguments):
    status = main(["replay", *map(str, arguments), "--format", "json"])
    captured = capsys.readouterr()
    return status, json.loads(captured.out) if captured.out else captured.err


# Exact


CLUSTERED = synthesize("clustered", slot_pages=PAGES, density=0.1, epochs=6, stores=400, seed=3)
UNIFORM = synthesize("uniform", slot_pages=PAGES, density=0.1, epochs=6, seed=3)


@cache
def replayed(lane, thp):
    """What a lane did with the two traces."""
    return in_child(replay_each, (CLUSTERED, UNIFORM), lane, thp)


@pytest.mark.parametrize("thp", [False, True])
def test_a_lane_reports_the_written_pages_alone(lane, thp):
    result, _ = replayed(lane, thp)
    assert result.stored == np.diff(CLUSTERED.offsets).tolist()
    assert result.stores == [400] * 6
    assert len(result.harvest_ns) == len(result.write_ns) == len(result.again_ns) == 6
    if lane == "plain":
        assert result.reported == result.lost == []
    else:
        assert result.reported == result.stored
        assert result.lost == result.spurious == [0] * 6


def test_each_lane_counts_in_its_own_words(lane):
    counts = replayed(lane, False)[1].counts
    pages = len(UNIFORM.gfns)
    runs = pages - np.sum(np.diff(UNIFORM.gfns.astype(int)) == 1)
    expected = {
        "uffd_async": {"runs": runs},
        "uffd_sync": {},  # its handler says so when it ends
        "kvm_bitmap": {"runs": 12},
        "kvm_manual": {"runs": 12},
        "kvm_ring": {"runs": 12, "full": 0, "entries": pages},
        "plain": {},
    }
    assert expected[lane].items() <= counts.items()


def test_a_full_ring_loses_nothing():
    if reason := reasons_once()["kvm_ring"]:
        pytest.skip(f"kvm_ring: {reason}")
    trace = synthesize("uniform", slot_pages=70_000, density=1.0, epochs=2)
    result = in_child(replay_lane, trace, "kvm_ring", False)
    assert result.counts["full"] == 4  # it protects its pages again, so that both writes fill it
    assert result.opened == [False, False]
    assert result.reported == result.stored == [70_000] * 2


def faults_of_harvests(_say, name, npages):
    """Return how many page faults the thread had in each of three harvests of all pages."""
    lane = get(name)(npages)
    lane.enable()
    out = lane.buffer()
    lane.harvest(out)
    faults = []
    for _ in range(3):
        lane.write(np.arange(npages))
        before = getrusage(RUSAGE_THREAD).ru_minflt
        lane.harvest(out)
        faults.append(getrusage(RUSAGE_THREAD).ru_minflt - before)
    lane.close()
    return faults


@pytest.mark.parametrize("name", REPORTING)
def test_no_harvest_is_timed_with_faults_on_its_own_memory(name):
    """A ring whose pages were not mapped ahead had one fault for each 256 written pages."""
    if reason := reasons_once()[name]:
        pytest.skip(f"{name}: {reason}")
    assert max(in_child(faults_of_harvests, name, 4096)) <= 1


@pytest.mark.parametrize("name", REPORTING)
def test_a_harvest_beside_a_running_writer_loses_nothing(name):
    if reason := reasons_once()[name]:
        pytest.skip(f"{name}: {reason}")
    differing, stores, reported = in_child(live, name, 4096, 40)
    assert differing == 0
    assert stores > 0
    assert reported > 0


def test_a_replay_waits_before_each_so_many_epochs(monkeypatch):
    asked = []
    monkeypatch.setattr("strategies.lanes.run.wait", lambda _say, how: asked.append(how))
    how = NO_PATIENCE._replace(epochs=4)
    replay_lane(lambda _epochs: None, UNIFORM, "plain", False, how)
    assert asked == [how] * 2


# Judged


def words_of(flags):
    bits = np.zeros(-(-len(flags) // 64) * 64, bool)
    bits[: len(flags)] = flags
    return np.packbits(bits, bitorder="little").view(np.uint64)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 150))
def test_a_harvest_is_judged_by_contents(data, npages):
    flags = st.lists(st.booleans(), min_size=npages, max_size=npages)
    stored, reported = np.array(data.draw(flags)), np.array(data.draw(flags))
    memory = np.zeros((npages, 512), np.uint64)
    copy = np.zeros(npages, np.uint64)
    memory[stored, 0] = 7
    out, scratch = words_of(reported), words_of(np.zeros(npages, bool))
    got = judge(memory.ctypes.data, copy, np.flatnonzero(stored), out, scratch)
    lost = np.flatnonzero(stored & ~reported)
    spurious = (reported & ~stored).sum()
    assert got[:4] == (stored.sum(), reported.sum(), lost.size, spurious)
    assert got[4] == (lost[0] if lost.size else -1)
    assert (copy == memory[:, 0]).all()
    assert not scratch.any()


class Forgetful(Plain):
    """Reports that nothing was written."""

    reports = True


def test_a_lost_page_ends_with_status_1_and_is_named(capsys, monkeypatch, trace_file):
    def here(target, *arguments, hear):
        return target(hear, *arguments)

    monkeypatch.setattr("strategies.lanes.run.get", lambda name: Forgetful)
    monkeypatch.setattr("strategies.lanes.session.reasons", dict.fromkeys)
    monkeypatch.setattr("strategies.lanes.session.in_child", here)
    assert main(["replay", str(trace_file), "--strategy", "null", "--lane", "uffd_async"]) == 1
    assert "LOST: uffd_async, epoch 0, gfn" in capsys.readouterr().err


# Shown


def test_the_list_has_a_row_per_lane(capsys):
    assert main(["lanes", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["lane"] for row in rows] == list(LANES)
    for row in rows:
        keys = {"schema", "lane", "available", "reason", "kernel", "backend", "needs"}
        assert set(row) == keys
        assert row["available"] == (row["reason"] is None)


def test_plain_needs_nothing():
    assert reasons_once()["plain"] is None


def test_lanes_stand_beside_the_simulated_trackers(capsys, tmp_path, trace_file):
    out = tmp_path / "out"
    status, document = replay_json(
        capsys, trace_file, "--strategy", "c_bit_scan", "--lane", "all", "--out", out
    )
    assert status == 0
    kinds = [row["kind"] for row in document["rows"]]
    there = [name for name, reason in reasons_once().items() if reason is None]
    assert kinds == ["simulated"] + ["kernel"] * len(there)
    for name, row in zip(there, document["rows"][1:], strict=True):
        assert row["lane"] == name
        assert row["pages_stored"] == document["rows"][0]["pages_stored"]
        assert set(row["harvest_ns"]) == {"median", "p99", "max"}
        assert set(row["store_ns"]) == {"open", "protected"}
        assert set(row["guest_lost_ns"]) == {"mean", "median", "p99", "max"}
    validate(document, json.loads(SCHEMA.read_text()))
    lines = (out / "small.lanes.csv").read_text().splitlines()
    assert len(lines) == 1 + 6 * len(there)


def test_the_table_has_the_lanes_apart(capsys, trace_file):
    assert main(["replay", str(trace_file), "--strategy", "null", "--lane", "plain"]) == 0
    text = capsys.readouterr().out
    assert "real memory" in text
    assert text.rstrip().splitlines()[-1].startswith("plain ")


# Refused


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("--lane", "hope"), "unknown lane 'hope': accepted are uffd_async"),
        (("--lane", "plain", "--page-size", "64KiB"), "lanes have pages of 4096 bytes"),
        (("--thp",), "accepted: with --lane"),
    ],
)
def test_bad_options_are_one_line(capsys, trace_file, arguments, saying):
    status, error = replay_json(capsys, trace_file, *arguments)
    assert status == 2
    assert error.count("\n") == 1
    assert saying in error


def test_a_slot_larger_than_free_memory_is_refused_beforehand(capsys, tmp_path):
    path = tmp_path / "huge.npz"
    save_trace(synthesize("uniform", slot_pages=2**31, density=1e-9, epochs=1), path)
    status, error = replay_json(capsys, path, "--lane", "plain")
    assert status == 2
    assert error.count("\n") == 1
    assert "8,519,936 MiB are needed" in error


@pytest.mark.parametrize(
    "name", [REPORTING[0], *(pytest.param(name, marks=pytest.mark.slow) for name in REPORTING[1:])]
)
def test_a_check_finds_each_lane_exact(name):
    if reason := reasons_once()[name]:
        pytest.skip(f"{name}: {reason}")
    counts = in_child(check_lane, name, 4000, (1 << 20, 8 << 20))
    assert is_exact(counts)
    assert 4000 <= counts["pages_written"] <= 4016
    assert counts["slots_mib"] == [1, 8]
    assert counts["live_stores"] >= counts["live_rounds"] * 512


@pytest.mark.parametrize("wrong", ["lost", "spurious", "live_differing"])
def test_a_check_with_a_wrong_page_is_not_exact(wrong):
    assert not is_exact({"lost": 0, "spurious": 0, "live_differing": 0} | {wrong: 1})


@pytest.mark.slow
def test_a_host_is_calibrated_by_its_lanes(tmp_path, capsys):
    """The real command, with little time: it is told, and forced, if that was not enough."""
    lanes = [name for name in LANE_TERMS if reasons_once()[name] is None]
    if not lanes:
        pytest.skip("none of the lanes that are fitted")
    out = tmp_path / "host.toml"
    status = main(["calibrate", "--out", str(out), "--budget", "20s", "--force"])
    said = capsys.readouterr()
    if status == 2:
        assert "the CPU was slow in all harvests of" in said.err
        pytest.skip(said.err.strip())
    assert status == 0
    profile = load_profile(out)
    assert list(profile.lanes) == lanes
    is_measured = {key for key, one in profile.constants.items() if one.kind == "measured"}
    assert {"page_scan", "page_clear"} <= is_measured
    assert "rounds of 1 or 2 visits" in profile.constants["page_scan"].source
