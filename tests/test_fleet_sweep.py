"""A sweep counts the same wherever it runs, goes on where it was cut, and names what failed."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import dask
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from analysis.fleet import engine, plan
from analysis.fleet.cells import Work, cells_of, count_all
from analysis.fleet.dataset import Dataset, read, to_xarray
from analysis.fleet.generate import make_trace
from analysis.fleet.plan import PROCESS_MIB, Batch
from analysis.fleet.recordings import find_sources, look
from analysis.fleet.spec import merge
from strategies.cli import main
from strategies.errors import InputError
from strategies.registry import names
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import save_trace

VMS = 6
INEXACT = {"seconds", "machine"}
"""Columns of counts that differ from run to run."""


@contextmanager
def started(workers, failures):
    """A cluster of this machine's own; a task may lose its worker so often."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": failures}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            memory_limit=f"{2 * PROCESS_MIB}MiB",
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def cluster():
    """A cluster that these tests started by hand."""
    with started(2, failures=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder with recordings of VMS VMs, one of 64 pages beside them."""
    folder = tmp_path_factory.mktemp("recordings")
    for vm in range(VMS):
        save_trace(make_trace(1, vm), folder / f"vm{vm}.npz")
    return folder


def exact_of(folder):
    """The counts of a dataset by key, those of each epoch included."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("_counts/*/*.parquet"))]
    rows = pa.concat_tables(tables).to_pylist()
    return {
        row["key"]: {name: value for name, value in row.items() if name not in INEXACT}
        for row in rows
    }


NOBODY = "tcp://127.0.0.1:9"
"""An address where no scheduler is: a sweep that has nothing to count does not ask."""

SPEC = """
[axes]
strategy = ["c_bit_scan", "write_protect", "null"]
page_size = ["4KiB", "64KiB"]
interval = ["recorded", "20ms"]
mapping = ["linear", "scattered"]
vcpus = [1, 3]
seed = [0, 5]

[[workload]]
pattern = ["uniform", "clustered"]
slot = "1MiB"
density = "10%"
epochs = 6
"""


def sweep(*arguments):
    return main(["sweep", *map(str, arguments)])


def serially(traces, **axes):
    """What the cells of recordings count in this process, without Dask."""
    asked = merge(None, traces, axes)
    seen = [look(source) for source in find_sources(asked).values()]
    works = [Work(recording, tuple(cells_of(asked, recording))) for recording in seen]
    return {row["key"]: row for row in count_all(works)}


def same(row, expected):
    """Whether all that was counted serially is what a dataset has."""
    skipped = ("seconds",)
    return all(np.array_equal(row[k], v) for k, v in expected.items() if k not in skipped)


def test_embedded_cluster_counts_what_a_serial_run_does(recordings, tmp_path):
    traces = [f"{recordings}/*.npz"]
    assert sweep("--traces", *traces, "--out", tmp_path / "ds", "--jobs", 1) == 0
    expected, got = serially(traces), exact_of(tmp_path / "ds")
    assert set(got) == set(expected)
    assert len(got) == VMS * len(names())
    assert all(same(got[key], row) for key, row in expected.items())


@pytest.mark.slow
def test_counts_are_the_same_while_workers_are_killed(recordings, tmp_path, cluster):
    pattern, killed = f"{recordings}/*.npz", []
    ended = threading.Event()

    def kill():
        while len(killed) < 3 and not ended.wait(0.5):
            alive = [w.process.pid for w in cluster.workers.values() if w.process]
            alive = [pid for pid in alive if pid and pid not in killed]
            if alive:
                killed.append(alive[len(killed) % len(alive)])
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        options = ("--interval", "recorded", "--interval", "20ms", "--vcpus", 1, "--vcpus", 2)
        address = cluster.scheduler_address
        sweep("--traces", pattern, *options, "--out", tmp_path, "--scheduler", address)
    finally:
        ended.set()
        thread.join()
    assert killed
    assert sweep("--traces", pattern, *options, "--out", tmp_path, "--scheduler", address) == 0
    expected = serially([pattern], interval=["recorded", "20ms"], vcpus=[1, 2])
    got = exact_of(tmp_path)
    assert set(got) == set(expected)
    assert all(same(got[key], row) for key, row in expected.items())


def test_a_killed_client_goes_on_where_it_was(recordings, tmp_path, cluster):
    out, scheduler = tmp_path / "ds", cluster.scheduler_address
    line = ["sweep", "--traces", f"{recordings}/*.npz", "--out", str(out)]
    line += ["--scheduler", scheduler]
    code = "import analysis.fleet.sweep as s, sys; s.FLUSH_S = 0\nfrom strategies.cli import main\n"
    code += f"sys.exit(main({line!r}))"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(out.glob("_counts/*/*.parquet")):
            time.sleep(0.01)
        process.kill()
    before = exact_of(out)
    assert before
    assert main(line) == 0
    got = exact_of(out)
    assert before.items() <= got.items()
    assert len(got) == len(read(out)) == VMS * len(names())


def test_a_spec_and_options_are_mixed(tmp_path, cluster):
    (tmp_path / "spec.toml").write_text(SPEC)
    out = tmp_path / "ds"
    line = [tmp_path / "spec.toml", "--traces", "vga_desktop", "--page-size", "4KiB"]
    line += ["--vcpus", "2", "--interval", "recorded", "--out", out]
    assert sweep(*line, "--scheduler", cluster.scheduler_address) == 0
    rows = read(out)
    # Three trackers, two mappings. A workload for each of two patterns and seeds; the recording
    # once where nothing is drawn, else for each seed.
    assert len(rows) == 3 * (2 * 4 + 1 + 2)
    assert (rows["lost"].fillna(0) == 0).all()
    assert set(rows["vcpus"]) == {2}


def test_nothing_new_is_nothing_to_do(recordings, tmp_path, cluster, capsys):
    line = ["--traces", f"{recordings}/*.npz", "--out", tmp_path, "--strategy", "null"]
    assert sweep(*line, "--scheduler", cluster.scheduler_address) == 0
    capsys.readouterr()
    assert sweep(*line, "--scheduler", NOBODY) == 0
    assert "0 of them new" in capsys.readouterr().err


def test_another_profile_is_priced_without_replaying(tmp_path, cluster):
    line = ["--traces", "vga_desktop", "--out", tmp_path, "--strategy", "c_bit_scan"]
    assert sweep(*line, "--profile", "arm64", "--scheduler", cluster.scheduler_address) == 0
    counts = {path: path.stat().st_mtime_ns for path in tmp_path.glob("_counts/*/*")}
    assert sweep(*line, "--profile", "power9", "--scheduler", NOBODY) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("_counts/*/*")} == counts
    assert "power9/cpu_ns" in read(tmp_path)
    assert "arm64/cpu_ns" not in read(tmp_path)


def test_what_is_renamed_is_not_counted_again(tmp_path, cluster):
    trace = synthesize("uniform", slot_pages=64, density=0.1, epochs=3)
    save_trace(trace, tmp_path / "one.npz")
    line = ["--traces", f"{tmp_path}/*.npz", "--out", tmp_path / "ds", "--strategy", "null"]
    line += ["--scheduler", cluster.scheduler_address]
    assert sweep(*line) == 0
    (tmp_path / "one.npz").rename(tmp_path / "two.npz")
    before = exact_of(tmp_path / "ds")
    assert sweep(*line) == 0
    assert exact_of(tmp_path / "ds") == before
    assert set(read(tmp_path / "ds")["trace"]) == {"one", "two"}


def test_a_bad_recording_is_a_row_with_its_reason(recordings, tmp_path, cluster, capsys):
    save_trace(synthesize("uniform", slot_pages=64, density=0.1, epochs=3), tmp_path / "ok.npz")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    line = ["--traces", f"{tmp_path}/*.npz", "--out", tmp_path / "ds", "--interval", "10ms"]
    line += ["--interval", "15ms", "--interval", "1s", "--strategy", "c_bit_scan"]
    assert sweep(*line, "--scheduler", cluster.scheduler_address) == 1
    assert "cells failed: unreadable or damaged" in capsys.readouterr().err
    rows = read(tmp_path / "ds").set_index(["trace", "interval_ms"])["reason"]
    assert (rows["ok", 10], rows["bad", 10][:10]) == ("", "unreadable")
    assert "not made of epochs of 10 ms" in rows["ok", 15]
    assert "less than an interval" in rows["ok", 1000]


@pytest.mark.slow
def test_a_worker_that_dies_is_a_reason(recordings):
    """Of four workers three die, of the batch and of its two cells: none need be started again."""
    asked = merge(None, [f"{recordings}/vm0.npz"], {"strategy": ["null"], "vcpus": [1, 2]})
    (source,) = find_sources(asked).values()
    recording = look(source)
    batch = Batch((Work(recording, tuple(cells_of(asked, recording))),), 1.0, 1)

    def die(_works):
        os._exit(1)

    with (
        started(4, failures=0) as mortal,
        engine.connected(mortal.scheduler_address, 4) as client,
    ):
        client.wait_for_workers(4)
        results = list(engine.stream(client, die, [batch]))
    assert [result for _, result in results] == [engine.LOST, engine.LOST]


def test_a_cell_finds_room_or_a_reason(cluster, recordings):
    """Four cells of 3/5 of a worker's memory never meet; one of more than all is not tried."""
    asked = merge(None, [f"{recordings}/vm0.npz"], {"strategy": ["null"]})
    (source,) = find_sources(asked).values()
    work = (Work(look(source), tuple(cells_of(asked, look(source)))),)

    def alone(_works):
        from distributed import get_worker

        return sorted(get_worker().state.available_resources.items())

    with engine.connected(cluster.scheduler_address, 2) as client:
        largest = engine.largest_mib(client)
        batches = [Batch(work, 1.0, 3 * largest // 5)] * 4 + [Batch(work, 1.0, largest + 1)]
        results = [result for _, result in engine.stream(client, alone, batches)]
    (refused,) = [result for result in results if isinstance(result, str)]
    assert refused == f"needs {largest + 1} MiB, the largest worker has {largest} MiB"
    free = [dict(result)["MiB"] for result in results if result != refused]
    assert free == [largest - 3 * largest // 5] * 4


def test_a_full_disk_keeps_what_was_finished(recordings, tmp_path):
    rows = list(serially([f"{recordings}/vm0.npz"]).values())
    dataset = Dataset(str(tmp_path))
    dataset.add(rows[:1])
    before = exact_of(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write to .* the same command goes on there"):
            dataset.add(rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert exact_of(tmp_path) == before
    assert [path for path in tmp_path.rglob("*") if "tmp" in path.suffix] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--traces", "vga_desktop", "--scheduler", NOBODY], "does not answer"),
        (["--traces", "none/*.npz"], "no recording matches"),
        ([], "nothing to run"),
        (["--traces", "vga_desktop", "--measure", "--jobs", "2"], "one cell at a time"),
        (["--traces", "vga_desktop", "--interval", "fast"], "not a duration"),
        (["--traces", "nosuchfs://x/*.npz"], "cannot list"),
    ],
)
def test_bad_input_is_one_line(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(engine, "CONNECT_S", 1)
    assert sweep(*arguments, "--out", tmp_path / "ds") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_another_version_and_another_folder_are_refused(tmp_path, capsys):
    (tmp_path / "_manifest.json").write_text(json.dumps({"schema": 999}))
    assert sweep("--traces", "vga_desktop", "--out", tmp_path) == 2
    assert "has schema 999" in capsys.readouterr().err
    (tmp_path / "_manifest.json").rename(tmp_path / "letter.txt")
    assert sweep("--traces", "vga_desktop", "--out", tmp_path) == 2
    assert "holds no dataset" in capsys.readouterr().err


def test_an_interrupt_from_the_terminal_which_all_processes_get_is_one_line(tmp_path):
    command = [sys.executable, "-m", "strategies.cli", "sweep", "--traces", "vga_desktop"]
    command += ["--jobs", "2", "--out", str(tmp_path / "ds")]
    options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **options) as process:
        assert process.stderr.readline().startswith("compiling once")
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "dirtylog: interrupted"


WHOLE = '{"schema": 1}'
DAMAGED = {
    "a manifest that is none": ({"_manifest.json": "[]"}, "holds no dataset"),
    "half a manifest": ({"_manifest.json": WHOLE[:7]}, "cannot open the dataset"),
    "half a list": ({"_manifest.json": WHOLE, "_recordings.json": "[["}, "_recordings.json of"),
    "another list": ({"_manifest.json": WHOLE, "_recordings.json": "[7]"}, "_recordings.json of"),
    "counts": ({"_manifest.json": WHOLE, "_counts/0/a.parquet": "PAR1"}, "a.parquet' is damaged"),
}


@pytest.mark.parametrize(("files", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_dataset_is_one_line(files, said, tmp_path, capsys):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sweep("--traces", "vga_desktop", "--out", tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_damaged_rows_are_one_line(tmp_path, capsys):
    (tmp_path / "_manifest.json").write_text(WHOLE)
    (tmp_path / "part-0.parquet").write_text("PAR1 and no more")
    assert main(["fleet", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "part-0.parquet' is damaged" in line


def test_a_file_in_place_of_the_dataset_is_refused_at_once(tmp_path, capsys):
    (tmp_path / "taken").write_text("precious")
    assert sweep("--traces", "vga_desktop", "--out", tmp_path / "taken") == 2
    assert "holds no dataset" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text() == "precious"


def test_without_the_extra_one_line_says_so():
    code = "import sys; sys.modules['dask'] = None\nfrom strategies.cli import main\n"
    code += "sys.exit(main(['sweep', '--traces', 'vga_desktop', '--out', 'x']))"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "pip install -e '.[fleet]' in a checkout" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_readers_of_parquet_read_it_as_it_is(recordings, tmp_path, cluster):
    line = ["--traces", f"{recordings}/*.npz", "--out", tmp_path, "--vcpus", 1, "--vcpus", 2]
    assert sweep(*line, "--scheduler", cluster.scheduler_address) == 0
    rows = read(tmp_path)
    by_pandas = pd.read_parquet(tmp_path)
    assert len(by_pandas) == len(rows) == 2 * VMS * len(names())
    assert {"trace", "strategy", "page_size", "lost", "x86-kvm/cpu_ns"} <= set(by_pandas)
    query = f"select count(*) from '{tmp_path}/*.parquet' where strategy = 'null'"
    assert duckdb.sql(query).fetchall() == [(2 * VMS,)]
    cube = to_xarray(rows, ["stored"])
    assert dict(cube.sizes)["vcpus"] == 2
    assert cube["stored"].sel(trace="vm0", vcpus=2, strategy="null").size == 1


def test_measured_times_are_labelled_and_only_kept_when_asked_for(tmp_path, cluster):
    line = ["--traces", "vga_desktop", "--strategy", "null", "--out", tmp_path]
    assert sweep(*line, "--scheduler", cluster.scheduler_address) == 0
    assert read(tmp_path)["measured/harvest_ns_p50"].isna().all()
    assert sweep(*line, "--measure") == 0
    (row,) = read(tmp_path).to_dict("records")
    assert row["measured/harvest_ns_p50"] > 0
    assert row["machine"]


def test_a_plan_says_what_it_would_take_and_does_nothing(
    recordings, tmp_path, cluster, capsys, monkeypatch
):
    monkeypatch.setattr(plan, "LEAST_SAMPLE_S", 0.1)
    line = ["--traces", f"{recordings}/vm0.npz", "--out", tmp_path / "ds", "--plan"]
    assert sweep(*line, "--scheduler", cluster.scheduler_address) == 0
    said = capsys.readouterr().out
    cells = len(names())
    assert f"{cells} cells to count of {cells} asked for, 1 recording\n" in said
    assert "core hours" in said
    assert not Path(tmp_path / "ds").exists()
