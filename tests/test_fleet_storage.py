"""Recordings in object storage, the dataset written back to it: an S3 server on loopback."""

import fsspec
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from analysis.fleet.dataset import Dataset, read
from analysis.fleet.generate import make_trace
from strategies.cli import main
from strategies.workloads.trace import save_trace

NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """The URL of a bucket that holds two recordings and a text that is none."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdir("fleet")
    for vm in range(2):
        save_trace(make_trace(1, vm), tmp_path / "one.npz")
        files.put_file(str(tmp_path / "one.npz"), f"fleet/vms/rack{vm}/vm.npz")
    files.pipe_file("fleet/vms/rack1/bad.npz", b"no archive")
    yield "s3://fleet"
    type(files).clear_instance_cache()
    server.stop()


def test_a_sweep_reads_from_and_writes_to_object_storage(bucket, capsys):
    out = f"{bucket}/results"
    line = ["sweep", "--traces", f"{bucket}/vms/*/*.npz", "--out", out, "--jobs", "1"]
    line += ["--strategy", "c_bit_scan", "--strategy", "write_protect"]
    assert main(line) == 1  # for one of the recordings is none
    rows = read(out)
    assert set(rows["trace"]) == {"rack0/vm", "rack1/vm", "rack1/bad"}
    assert rows[rows["reason"] == ""]["lost"].sum() == 0
    assert (rows["reason"] == "").sum() == 4
    assert len(pd.read_parquet(f"{out}/part-{rows['digest'][0][0]}.parquet")) > 0
    assert Dataset(out).manifest["schema"] == 1
    assert main(["fleet", out]) == 0
    assert "2 VMs" in capsys.readouterr().out


def test_storage_that_does_not_answer_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["sweep", "--traces", "s3://fleet/x/*.npz", "--out", "s3://fleet/y"]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert "cannot open the dataset" in message
