"""The main job: what `dirtylog replay` counts, prints, saves and how it ends."""

import csv
import gc
import json
import weakref

import numpy as np
import pytest
from conftest import reports_reads
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from strategies import registry
from strategies.cli import main
from strategies.core import events
from strategies.fault.write_protect import WriteProtect
from strategies.replay.output import percentile_99
from strategies.replay.run import build, check_harvest, replay
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import load_trace, save_trace

ROW_KEYS = {
    "kind",
    "strategy",
    "epochs",
    "pages_stored",
    "pages_reported",
    "lost",
    "spurious",
    "harvest_ns",
    "events",
    "state_bytes",
}


@pytest.fixture
def trace_file(tmp_path):
    """A small trace: 1000 pages, 5 epochs, 30 stored and 20 only read in each."""
    trace = synthesize("uniform", slot_pages=1000, density=0.03, epochs=5, reads=20, seed=7)
    path = tmp_path / "small.npz"
    save_trace(trace, path)
    return path


def replay_json(capsys, *arguments):
    status = main(["replay", *map(str, arguments), "--format", "json"])
    return status, json.loads(capsys.readouterr().out)


def rows_of(document):
    return {row["strategy"]: row for row in document["rows"]}


# What it counts


def test_epochs_are_merged_to_an_interval(capsys):
    """A page stored in several epochs of an interval is stored as often, and reported once."""
    line = ("vga_desktop", "--strategy", "write_protect", "--interval", "1s")
    status, document = replay_json(capsys, *line)
    (row,) = document["rows"]
    assert (status, row["epochs"], row["lost"]) == (0, 5100 // 60, 0)
    assert document["trace"]["epoch_ms"] == pytest.approx(1000, rel=0.001)
    assert row["pages_reported"] < 76119 / 2
    assert main(["replay", *line]) == 0
    assert "85 epochs of 1000 ms" in capsys.readouterr().out


def test_every_tracker_reports_each_stored_page_and_loses_none(capsys, trace_file):
    status, document = replay_json(capsys, trace_file)
    rows = rows_of(document)
    assert status == 0
    assert tuple(rows) == registry.names()
    for name, row in rows.items():
        assert set(row) == ROW_KEYS
        assert row["kind"] == "simulated"
        assert (row["epochs"], row["pages_stored"]) == (5, 150)
        read_too = 100 if reports_reads(name) else 0
        if name == registry.BASELINE:
            assert (row["pages_reported"], row["lost"], row["spurious"]) == (None, None, None)
        else:
            got = (row["pages_reported"], row["lost"], row["spurious"])
            assert got == (150 + read_too, 0, read_too)


def test_events_are_those_of_the_epochs_alone(capsys, trace_file):
    rows = rows_of(replay_json(capsys, trace_file)[1])
    for row in rows.values():
        assert set(row["events"]) == set(events.NAMES)
        assert row["events"]["stores"] == 150
        assert row["events"]["loads"] == 100
        assert row["events"]["hypercalls"] == 0
    assert rows["c_bit_scan"]["events"]["rmap_steps"] == 5 * 1000
    assert rows["write_protect"]["events"]["write_faults"] == 150
    assert rows["write_protect"]["events"]["bitmap_words_read"] == 5 * 16


def test_state_is_what_the_bitmaps_take(capsys, trace_file):
    rows = rows_of(replay_json(capsys, trace_file)[1])
    got = {name: row["state_bytes"] for name, row in rows.items()}
    logs = {"dirty_ring": 4096 * 16, "pml": 512 * 8, "write_protect_summary": 2 * 8}
    expected = {name: registry.get(name).bitmaps * 16 * 8 for name in registry.names()}
    assert got == {
        name: bitmaps + logs.get(name.removeprefix("newcomer_"), 0)
        for name, bitmaps in expected.items()
    }
    assert (got["c_bit_scan"], got["double_buffer"]) == (0, 2 * 16 * 8)


def test_store_k_of_an_epoch_goes_to_vcpu_k_modulo_n():
    trace = synthesize("uniform", slot_pages=100, density=0.1, epochs=3)
    vm, slot = build(trace, vcpus=4, page_shift=12, mapping="linear")
    replay(trace, "null", vm, slot)
    rows = vm.arrays.events.reshape(-1, events.ROW)
    assert rows[:4, events.STORES].tolist() == [9, 9, 6, 6]  # 3 epochs of 10 stores


def test_repeated_stores_are_made_and_the_page_counted_once():
    trace = synthesize("uniform", slot_pages=100, density=0.1, epochs=3, stores=25)
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    result = replay(trace, "write_protect", vm, slot)
    assert result.events["stores"] == 75
    assert result.events["write_faults"] == 30
    assert result.stored == result.reported == [10, 10, 10]


def test_pages_of_64_kib_are_merged(capsys):
    trace = load_trace("vga_desktop")
    expected = sum(
        len({int(gfn) >> 4 for gfn in trace.gfns[slice(*trace.offsets[epoch : epoch + 2])]})
        for epoch in range(trace.epochs)
    )
    _, document = replay_json(
        capsys, "vga_desktop", "--page-size", "64KiB", "--strategy", "double_buffer"
    )
    (row,) = document["rows"]
    assert document["machine"]["page_size"] == 65536
    assert document["machine"]["slot_pages"] == 48
    assert (row["pages_stored"], row["lost"], row["spurious"]) == (expected, 0, 0)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 200))
def test_a_harvest_is_judged_by_the_stamps(data, npages):
    flags = st.lists(st.booleans(), min_size=npages, max_size=npages)
    stored, reported = np.array(data.draw(flags)), np.array(data.draw(flags))
    bits = np.zeros(-(-npages // 64) * 64, bool)
    bits[:npages] = reported
    words = np.packbits(bits, bitorder="little").view("<u8")
    lost = np.flatnonzero(stored & ~reported)
    expected = (stored.sum(), reported.sum(), lost.size, (reported & ~stored).sum())
    got = check_harvest(np.where(stored, 9, 8).astype(np.uint64), np.uint64(9), words)
    assert got[:4] == expected
    assert got[4] == (lost[0] if lost.size else -1)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (50, 50), (99, 99), (100, 99), (200, 198)])
def test_the_99th_percentile_is_by_nearest_rank(count, expected):
    assert percentile_99(np.arange(1, count + 1)) == expected


# What it prints and saves


def test_the_table_says_of_each_number_what_kind_it_is(capsys, trace_file):
    assert main(["replay", str(trace_file)]) == 0
    text = capsys.readouterr().out
    assert "exact counts" in text
    assert "measured" in text
    assert "writes and reads" in text


def test_a_recording_of_writes_only_says_so(capsys):
    assert main(["replay", "vga_desktop", "--strategy", "pte_flush"]) == 0
    assert "writes only, which flatters pte_flush" in capsys.readouterr().out


def test_out_holds_tidy_csv_and_a_picture(tmp_path, capsys, trace_file):
    out = tmp_path / "new" / "folder"
    assert main(["replay", str(trace_file), "--out", str(out)]) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"small.harvests.csv", "small.summary.csv", "small.png"}
    with (out / "small.harvests.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * len(registry.names())
    assert {row["pages_stored"] for row in rows} == {"30"}
    assert {row["lost"] for row in rows if row["strategy"] == "null"} == {""}
    with (out / "small.summary.csv").open() as file:
        assert [row["strategy"] for row in csv.DictReader(file)] == list(registry.names())
    picture = imread(out / "small.png")
    assert picture.shape[0] > 600
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 20


# How it ends


class Forgetful(WriteProtect):
    """Loses the last page that it should report."""

    name = "forgetful"

    def _harvest(self, slot, out):
        nanoseconds = super()._harvest(slot, out)
        page = np.flatnonzero(np.unpackbits(out.view(np.uint8), bitorder="little")).max()
        out[page // 64] &= ~np.uint64(1 << int(page % 64))
        return nanoseconds


def test_a_lost_page_ends_with_status_1_and_is_named(capsys, monkeypatch, trace_file):
    monkeypatch.setattr("strategies.replay.run.get", lambda name: Forgetful)
    status = main(["replay", str(trace_file), "--strategy", "write_protect"])
    last = int(load_trace(trace_file).gfns[:30].max())
    assert status == 1
    assert f"write_protect, epoch 0, gfn {last}" in capsys.readouterr().err


def test_a_guest_too_large_for_this_machine_is_refused_and_leaves_nothing(tmp_path, capsys):
    path, out = tmp_path / "huge.npz", tmp_path / "out"
    save_trace(synthesize("uniform", slot_pages=2**31, density=2**-11, epochs=1), path)
    assert main(["replay", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "MiB of memory" in error
    assert not out.exists()


def test_an_output_folder_that_cannot_be_written_is_refused(tmp_path, capsys, trace_file):
    (tmp_path / "file").touch()
    assert main(["replay", str(trace_file), "--out", str(tmp_path / "file" / "folder")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_machines_memory_goes_with_its_last_reference():
    """Six trackers have a machine each, one after the other: 64 GiB guests must not add up."""
    trace = synthesize("uniform", slot_pages=100, density=0.1, epochs=1)
    vm, slot = build(trace, vcpus=1, page_shift=12, mapping="linear")
    replay(trace, "write_protect", vm, slot)
    machine = weakref.ref(vm)
    gc.disable()
    try:
        del vm
        assert machine() is None
    finally:
        gc.enable()
