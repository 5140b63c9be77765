"""Other people's data: a format becomes a trace of what the file says, or one line says why not."""

import json

import numpy as np
import pytest

from strategies.cli import main
from strategies.workloads.trace import load_trace

MEMCACHED = {  # Andrei Gudkov, qemu-devel, 2023-04-27
    "periods": [125, 250, 375, 500, 750, 1000, 1500, 2000, 3000, 4001, 6000, 8000, 10000, 15000,
                20000, 25000, 30000, 35000, 40000, 45000, 50000, 60000],
    "n-dirty-pages": [33, 78, 119, 151, 217, 236, 293, 336, 425, 505, 620, 756, 898, 1204, 1457,
                      1723, 1934, 2141, 2328, 2522, 2675, 2958],
    "n-sampled-pages": 16392,
    "n-total-pages": 8392704,
}  # fmt: skip
CURVE = ("periods", "n-dirty-pages")


@pytest.fixture
def imported(tmp_path, capsys):
    def run(fmt, content, *options):
        path = tmp_path / "input"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        out = tmp_path / "out.npz"
        status = main(["import", fmt, str(path), "--out", str(out), "--force", *options])
        assert status == 0, capsys.readouterr().err
        return load_trace(out)

    return run


def epochs_of(trace):
    return [trace.gfns[slice(*trace.offsets[e : e + 2])].tolist() for e in range(trace.epochs)]


# Formats


def test_a_line_is_an_epoch(imported):
    trace = imported("gfns", "5 0x11 5\n# a comment\n-\n0, 63\n", "--epoch-ms", "2.5")
    assert epochs_of(trace) == [[5, 17], [], [0, 63]]
    assert (trace.slot_pages, trace.epoch_ms) == (64, 2.5)


def test_a_column_names_the_epoch(imported):
    trace = imported("gfns", "epoch,gfn\n2, 9\n0,7\n2,8\n", "--slot", "1MiB")
    assert epochs_of(trace) == [[7], [], [8, 9]]
    assert trace.slot_pages == 256


def test_addresses_are_made_into_a_slot(imported):
    trace = imported("addresses", "epoch,address\n0,0x7ff000398\n0,0x600aa0\n1,0x600000\n")
    assert epochs_of(trace) == [[0, 64], [0]]
    assert trace.slot_pages == 128
    assert trace.meta["address_runs"] == [[0x600000, 0, 64], [0x7FF000000, 64, 64]]


def test_a_file_is_the_bitmap_of_an_epoch(tmp_path):
    paths = [tmp_path / f"{i}.bitmap" for i in range(2)]
    for path, word in zip(paths, (b"\x81\0\2\0\0\0\0\0", b"\0\0\x80\0\0\0\0\0"), strict=True):
        path.write_bytes(word)
    out = tmp_path / "x.npz"
    line = ["import", "bitmap", *map(str, paths), "--out", str(out), "--force"]
    for size, pages in ((), 64), (("--slot", "96KiB"), 24):
        assert main([*line, *size]) == 0
        trace = load_trace(out)
        assert epochs_of(trace) == [[0, 7, 17], [23]]
        assert trace.slot_pages == pages


@pytest.mark.parametrize(
    ("sizes", "slot", "saying"),
    [
        ([3], (), "0' has 3 bytes; accepted: 8, 8 for each 64 pages"),
        ([8, 16], (), "1' has 16 bytes; accepted: 8,"),
        ([8], ("--slot", "260KiB"), "0' has 8 bytes; accepted: 16,"),
        ([16], ("--slot", "256KiB"), "0' has 16 bytes; accepted: 8,"),
    ],
)
def test_a_bitmap_has_the_words_of_the_slot(tmp_path, capsys, sizes, slot, saying):
    paths = [tmp_path / str(i) for i in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(bytes(size))
    out = tmp_path / "x.npz"
    assert main(["import", "bitmap", *map(str, paths), "--out", str(out), *slot]) == 2
    assert saying in capsys.readouterr().err


def test_a_bitmap_takes_memory_by_its_bits_and_has_at_most_those_of_a_slot(tmp_path, capsys):
    path, out = tmp_path / "sparse", tmp_path / "x.npz"
    with path.open("wb") as file:
        file.truncate(1 << 24)
        file.seek(1 << 20)
        file.write(b"\x82")
    assert main(["import", "bitmap", str(path), "--out", str(out)]) == 0
    assert epochs_of(load_trace(out)) == [[(1 << 23) + 1, (1 << 23) + 7]]
    with path.open("r+b") as file:
        file.truncate((1 << 28) + 1)
    assert main(["import", "bitmap", str(path), "--out", str(out), "--force"]) == 2
    assert "is too long; accepted: at most 2147483648 bits" in capsys.readouterr().err


LACKEY = """==7== Lackey, an example Valgrind tool
I  0040051e,1
 S 7ff000ffc,8
 L 7ff000384,4
I  00400520,3
 M 7ff000388,4
 S 00600aa0,1
I  00400523,3
 L 00600aa0,1
"""


def test_lackeys_instructions_are_the_clock(imported):
    trace = imported("lackey", LACKEY, "--instructions", "2")
    # Of 256 KiB each: 0x600000 and 0x7ff000000, whose pages 0 and 1 the first store straddles.
    assert epochs_of(trace) == [[0, 64, 65], []]
    assert trace.stores.tolist() == [1, 2, 1]
    assert trace.read_offsets.tolist() == [0, 0, 1]
    assert trace.read_gfns.tolist() == [0]
    assert trace.meta["epoch_instructions"] == 2


def test_a_curve_is_followed(imported):
    options = ["--epoch-ms", "250", "--epochs", "40"]
    trace = imported("dirty-rate", json.dumps(MEMCACHED), *options)
    assert trace.slot_pages == 8392704
    assert "made up" in trace.meta["synthesised"]
    assert trace.meta["curve_worst_error"] < 0.25
    seen, distinct = np.zeros(trace.slot_pages, bool), {}
    for epoch, pages in enumerate(epochs_of(trace), 1):
        seen[pages] = True
        distinct[epoch * 250] = seen.sum()
    scale = 8392704 / 16392
    for time, dirty in zip(MEMCACHED["periods"], MEMCACHED["n-dirty-pages"], strict=True):
        if time in distinct:
            assert distinct[time] == pytest.approx(dirty * scale, rel=0.25)


def test_one_figure_is_one_point(imported):
    answer = {"return": {"dirty-rate": 100, "calc-time": 500, "calc-time-unit": "millisecond"}}
    options = ["--slot", "256MiB", "--epoch-ms", "500", "--epochs", "20"]
    trace = imported("dirty-rate", json.dumps(answer), *options)
    assert len(trace.gfns) / 20 == pytest.approx(50 * 256, rel=0.02)


# What is refused


@pytest.mark.parametrize(
    ("fmt", "content", "saying"),
    [
        ("gfns", "", "is empty"),
        ("gfns", "1 2\n3 four\n", "line 2: 'four' is no number; accepted: 17 or 0x11"),
        ("gfns", "1 2\n-3\n", "line 2: '-3' is no number"),
        ("gfns", "epoch,gfn\n0,1\n\n7\n", "line 4: 1 column; accepted: 2"),
        ("gfns", "epoch,gfn\n16777216,1\n", "line 2: epoch 16777216; accepted: below 16777216"),
        ("gfns", "99999999999", "gfn 99999999999 is too large"),
        ("gfns", b"\xff\xfe1", "is no text"),
        ("addresses", "-\n-\n", "no page was seen"),
        ("bitmap", b"", "is empty; accepted: a bitmap"),
        ("lackey", "I  0040051e,1\n S 7ff000398\n", "line 2: 'S 7ff000398'; accepted: I, S, L"),
        ("lackey", "I  0040051e,1\n", "has no store"),
        ("lackey", " S ffffffffffffffff,8", "line 1: the address is above"),
        ("dirty-rate", '{\n"dirty-rate": }', "line 2: no JSON"),
        ("dirty-rate", "[]", "accepted is the JSON object"),
        ("dirty-rate", '{"dirty-rate": 5}', "guest's memory; accepted: with --slot"),
        ("dirty-rate", json.dumps(MEMCACHED | {"periods": [1]}), "lists of one length"),
        ("dirty-rate", json.dumps(MEMCACHED | {"n-sampled-pages": 0}), "must be a number above 0"),
        ("dirty-rate", f'{{"n-total-pages": {"9" * 5000}}}', "no JSON"),
        ("dirty-rate", json.dumps(MEMCACHED | {"n-total-pages": 2**31}), "at most 67108864"),
        ("dirty-rate", json.dumps(MEMCACHED | dict.fromkeys(CURVE, [1] * 1001)), "1001 points"),
        ("csv", "", "no format 'csv'; accepted: gfns, addresses, bitmap, lackey, dirty-rate"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_one_line(tmp_path, capsys, fmt, content, saying):
    path, out = tmp_path / "input", tmp_path / "out.npz"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["import", fmt, str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert saying in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("fmt", "limit", "saying"),
    [
        ("gfns", "text.MAX_LINE", "line 1: accepted: less than 64 letters"),
        ("lackey", "text.MAX_LINE", "line 1: accepted: less than 64 letters"),
        ("dirty-rate", "dirty_rate.MAX_LETTERS", "line 1: no JSON"),
    ],
)
def test_an_image_without_lines_is_not_read_to_its_end(
    tmp_path, capsys, monkeypatch, fmt, limit, saying
):
    monkeypatch.setattr(f"strategies.workloads.imports.{limit}", 64)
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert main(["import", fmt, str(path), "--out", str(tmp_path / "out.npz")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert saying in error


def test_options_that_do_not_fit_are_one_line(tmp_path, capsys):
    path = tmp_path / "input"
    path.write_text("1")
    for arguments, saying in [
        (["addresses", path, "--slot", "1MiB"], "--slot is not of addresses"),
        (["gfns", path, path], "2 files; accepted: one, several of bitmap alone"),
        (["gfns", path, "--slot", "5000"], "a multiple of 4KiB"),
        (
            ["gfns", path, "--instructions", "5"],
            "--instructions is not of gfns; accepted: with lac",
        ),
        (["lackey", path, "--epochs", "5"], "--epochs is not of lackey; accepted: with dirty-rate"),
    ]:
        assert main(["import", *map(str, arguments), "--out", str(tmp_path / "o.npz")]) == 2
        assert saying in capsys.readouterr().err


# Recordings of other widths


def npz(path, gfns, page_size=4096):
    meta = {"name": "t", "page_size": page_size, "slot_pages": 16, "epoch_ms": 10, "epochs": 2}
    np.savez(path, offsets=np.array([0, 1, 3]), gfns=gfns, meta=np.array(json.dumps(meta)))
    return path


def test_int64_gfns_are_cast(tmp_path):
    trace = load_trace(npz(tmp_path / "t.npz", np.array([3, 4, 15], np.int64)))
    assert trace.gfns.dtype == np.uint32
    assert epochs_of(trace) == [[3], [4, 15]]


def test_a_large_page_is_all_of_its_small_ones(tmp_path, capsys):
    path = npz(tmp_path / "t.npz", np.array([3, 4, 15], np.uint32), page_size=2 << 20)
    trace = load_trace(path)
    assert (trace.page_size, trace.slot_pages) == (4096, 16 * 512)
    first, second = epochs_of(trace)
    assert first == list(range(3 * 512, 4 * 512))
    assert second == [*range(4 * 512, 5 * 512), *range(15 * 512, 16 * 512)]
    assert main(["replay", str(path), "--strategy", "null"]) == 0
    assert "recorded in pages of 2 MiB, each cut into 4 KiB" in capsys.readouterr().out
