"""Trace files: nothing malformed, damaged or oversized is accepted; one line says why."""

import contextlib
import io
import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from strategies.cli import main
from strategies.errors import InputError
from strategies.workloads import checks
from strategies.workloads.checks import check_work
from strategies.workloads.trace import Trace, bundled, load_trace, save_trace

META = {"name": "toy", "page_size": 4096, "slot_pages": 100, "epoch_ms": 10.0, "epochs": 3}
ARRAYS = {
    "offsets": np.array([0, 2, 2, 5], np.int64),
    "gfns": np.array([3, 99, 0, 3, 4], np.uint32),
    "stores": np.array([1, 2, 3, 4, 5], np.uint32),
    "read_offsets": np.array([0, 1, 3, 4], np.int64),
    "read_gfns": np.array([4, 3, 4, 5], np.uint32),
}
REQUIRED = {"offsets": ARRAYS["offsets"], "gfns": ARRAYS["gfns"]}


def write_npz(path, arrays=REQUIRED, meta=META):
    np.savez_compressed(path, **arrays, meta=np.array(json.dumps(meta)))
    return path


def assert_refused(path, saying):
    with pytest.raises(InputError, match=saying) as refusal:
        load_trace(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert str(path) in message


def changed(**arrays):
    return {name: array for name, array in (REQUIRED | arrays).items() if array is not None}


BAD_ARRAYS = {
    "no offsets": (changed(offsets=None), "lacks the array 'offsets'"),
    "no gfns": (changed(gfns=None), "lacks the array 'gfns'"),
    "offsets of floats": (changed(offsets=np.array([0.0, 2, 2, 5])), "offsets must be a 1-d int64"),
    "offsets in 2-d": (changed(offsets=np.array([[0, 2, 2, 5]])), "offsets must be a 1-d int64"),
    "gfns too large": (
        changed(gfns=np.array([3, 99, 0, 3, 2**32])),
        "fit into uint32, but 4294967296",
    ),
    "gfns below 0": (changed(gfns=np.array([3, 99, -1, 3, 4])), "fit into uint32, but -1 does not"),
    "gfns of floats": (changed(gfns=np.array([3.0, 99, 0, 3, 4])), "gfns must be a 1-d uint32"),
    "gfns as a scalar": (changed(gfns=np.array(3, np.uint32)), "gfns must be a 1-d uint32"),
    "python objects": (changed(gfns=np.array([3, {}], object)), "'gfns' holds Python objects"),
    "records": (changed(gfns=np.zeros(5, "u4,u4")), "gfns must be a 1-d uint32"),
    "too few offsets": (changed(offsets=np.array([0, 2, 5])), r"epochs \+ 1 = 4 values, not 3"),
    "offsets from 1": (changed(offsets=np.array([1, 2, 2, 5])), "from 0 to .* not from 1 to 5"),
    "offsets beyond": (changed(offsets=np.array([0, 2, 2, 6])), r"\(5\), not from 0 to 6"),
    "offsets decrease": (changed(offsets=np.array([0, 3, 2, 5])), "decrease.* in epoch 1"),
    "gfn outside": (
        changed(gfns=np.array([3, 99, 0, 3, 100], np.uint32)),
        "below slot_pages 100, but gfn 100 in epoch 2",
    ),
    "not sorted": (
        changed(gfns=np.array([3, 99, 3, 0, 4], np.uint32)),
        "sorted and unique .* gfn 0 in epoch 2",
    ),
    "not unique": (
        changed(gfns=np.array([3, 3, 0, 3, 4], np.uint32)),
        "sorted and unique .* gfn 3 in epoch 0",
    ),
    "too few stores": (changed(stores=np.ones(4, np.uint32)), r"per gfn \(5\), not 4"),
    "stores too large": (changed(stores=np.full(5, 2**40)), "stores must fit into uint32"),
    "a store count of 0": (changed(stores=np.zeros(5, np.uint32)), "1 or more"),
    "stores beyond memory": (changed(stores=np.full(5, 2**32 - 1, np.uint32)), "at most 67108864"),
    "read_gfns alone": (changed(read_gfns=ARRAYS["read_gfns"]), "accepted: both or neither"),
    "read outside": (
        ARRAYS | {"read_gfns": np.array([4, 3, 100, 5], np.uint32)},
        "read_gfns must be below slot_pages 100, but gfn 100 in epoch 1",
    ),
    "read and written": (
        ARRAYS | {"read_gfns": np.array([4, 3, 4, 4], np.uint32)},
        "not written in the same epoch, but gfn 4 in epoch 2",
    ),
}


@pytest.mark.parametrize(("arrays", "saying"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays_are_refused(tmp_path, arrays, saying):
    assert_refused(write_npz(tmp_path / "bad.npz", arrays), saying)


BAD_META = {
    "a list": ([], "JSON object, not list"),
    "no name": ({k: v for k, v in META.items() if k != "name"}, "lacks name; required: name, pa"),
    "a name of two lines": (META | {"name": "a\nb"}, "name must be 1 to 200 printable letters"),
    "a name of 1 MB": (META | {"name": "x" * 10**6}, "text of at most 1048576 bytes"),
    "a long name": (META | {"name": "x" * 201}, r"1 to 200 printable letters, not 'x+\.\.\.x+'$"),
    "pages of 1 TiB": (META | {"page_size": 1 << 40}, "slot_pages must be 1 to"),
    "page size as text": (META | {"page_size": "4096"}, "page_size must be a power of two"),
    "slot of 0 pages": (META | {"slot_pages": 0}, "slot_pages must be 1 to 2147483648, not 0"),
    "slot too large": (META | {"slot_pages": 2**31 + 1}, "slot_pages must be 1 to 2147483648"),
    "slot of half a page": (META | {"slot_pages": 0.5}, "slot_pages must be 1 to"),
    "slot of true pages": (META | {"slot_pages": True}, "slot_pages must be 1 to"),
    "epochs of 0 ms": (META | {"epoch_ms": 0}, "epoch_ms must be a number from 1e-06"),
    "epochs of nan ms": (META | {"epoch_ms": float("nan")}, "epoch_ms must be a number from 1e-06"),
    "epochs of inf ms": (META | {"epoch_ms": float("inf")}, "epoch_ms must be a number from 1e-06"),
    "no epochs": (META | {"epochs": 0}, "epochs must be 1 or more, not 0"),
    "another number of epochs": (META | {"epochs": 4}, r"epochs \+ 1 = 5 values, not 4"),
    "too many epochs": (META | {"epochs": 2**24 + 1}, "epochs must be at most 16777216"),
    "recorded pages as text": (META | {"recorded_page_size": "x" * 9}, "recorded_page_size must"),
    "recorded pages of 10^400": (META | {"recorded_page_size": 10**400}, "recorded_page_size must"),
    "a note of nan": (META | {"note": [float("nan")]}, "meta must be JSON"),
    "a note of infinity": (META | {"note": {"a": float("inf")}}, "meta must be JSON"),
    "large pages by the million": (
        META | {"page_size": 1 << 36, "slot_pages": 128},
        "335544320 bytes once cut into pages of 4096; accepted: at most 268435456",
    ),
}


@pytest.mark.parametrize(("meta", "saying"), BAD_META.values(), ids=BAD_META)
def test_bad_meta_is_refused(tmp_path, meta, saying):
    assert_refused(write_npz(tmp_path / "bad.npz", meta=meta), saying)


@pytest.mark.parametrize(
    "meta",
    [
        np.array("{not json"),
        np.array("[" * 100_000),
        np.array(7),
        np.array(["{}"]),
        np.array(b"{}"),
    ],
    ids=["not JSON", "nested", "a number", "1-d", "bytes"],
)
def test_meta_that_is_no_json_text_is_refused(tmp_path, meta):
    np.savez(tmp_path / "bad.npz", **REQUIRED, meta=meta)
    assert_refused(tmp_path / "bad.npz", "meta must be")


def test_zero_epochs_are_refused(tmp_path):
    nothing = {"offsets": np.zeros(1, np.int64), "gfns": np.zeros(0, np.uint32)}
    path = write_npz(tmp_path / "bad.npz", nothing, META | {"epochs": 0})
    assert_refused(path, "epochs must be 1 or more")


@pytest.mark.parametrize("name", ["nowhere.npz", ""], ids=["missing", "a folder"])
def test_what_is_no_file_is_refused(tmp_path, name):
    assert_refused(tmp_path / name, f"accepted: an npz file, or one of {', '.join(bundled())}")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\xff" * 200])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    assert_refused(path, "unreadable or damaged.*accepted: an npz archive")


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path):
    whole = write_npz(tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "bad.npz"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert_refused(path, "unreadable or damaged")


def test_a_flipped_byte_is_refused_or_harmless(tmp_path):
    whole = write_npz(tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "bad.npz"
    for position in range(0, len(whole), 5):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        with contextlib.suppress(InputError):
            assert load_trace(path).meta == META


def forge_sizes(path, size):
    """Make the directory of an archive say that each member has `size` bytes uncompressed."""
    data = bytearray(path.read_bytes())
    for entry in re.finditer(b"PK\x01\x02", bytes(data)):
        data[entry.start() + 24 : entry.start() + 28] = size.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("size", "saying"),
    [
        (2**32 - 2, "not as long as its shape"),
        (2**30, "not as long as its shape"),
        (140, "not as long as its shape|unreadable or damaged"),
    ],
    ids=["too large", "too large for the array", "too small"],
)
def test_a_directory_that_states_another_size_is_refused(tmp_path, size, saying):
    path = write_npz(tmp_path / "bad.npz")
    forge_sizes(path, size)
    assert_refused(path, saying)


def memory_and_message(path):
    """Return the most memory that a fresh process takes to load a file, and its last words."""
    script = (
        "import sys\n"
        "from strategies.errors import InputError\n"
        "from strategies.workloads.trace import load_trace\n"
        "try: load_trace(sys.argv[1])\n"
        "except InputError as error: print(error, file=sys.stderr)\n"
        "status = dict(line.split(':') for line in open('/proc/self/status'))\n"
        "print(int(status['VmHWM'].split()[0]) * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True)
    return int(done.stdout), done.stderr.decode()


def write_fast(path, arrays, meta):
    """As `write_npz`, but tens of megabytes within a second."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in (arrays | {"meta": np.array(json.dumps(meta))}).items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)
    return path


def zeros_of(count):
    return {"offsets": np.array([0, 2, 2, count]), "gfns": np.zeros(count, np.uint32)}


def ascending(count):
    half, epochs = count // 2, META["epochs"]
    pages = np.arange(half, dtype=np.uint32)
    offsets = np.array([0, *[half] * epochs])
    return {"offsets": offsets, "gfns": pages, "read_offsets": offsets, "read_gfns": pages}


HOSTILE = {
    "a bomb": (zeros_of(1 << 27), "536871300 bytes once read; accepted: at most"),
    "zeros, as many as are read": (zeros_of((1 << 25) - 1000), "gfn 0 in epoch 0"),
    "the last page is wrong": (ascending((1 << 25) - 1000), "not written in the same epoch"),
}


@pytest.mark.parametrize(("arrays", "saying"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_within_500_mb(tmp_path, arrays, saying):
    path = write_fast(tmp_path / "bad.npz", arrays, META | {"slot_pages": 1 << 24})
    nbytes, message = memory_and_message(path)
    assert saying in message
    assert nbytes < 500e6


def test_what_compresses_too_well_is_saved_as_it_is_and_read_again(tmp_path):
    epochs = 3000
    pages = np.tile(np.arange(7000, dtype=np.uint32), epochs)
    meta = META | {"slot_pages": 7000, "epochs": epochs}
    save_trace(Trace(np.arange(epochs + 1) * 7000, pages, meta), tmp_path / "same.npz")
    assert (load_trace(tmp_path / "same.npz").gfns == pages).all()


def test_an_archive_of_very_many_members_is_refused_unread(tmp_path):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(1 << 14):
            file.writestr(f"{number:020}", b"")
    assert_refused(path, "a directory of 1081344 bytes; accepted: at most 1048576")


def test_an_archive_whose_directory_is_elsewhere_is_refused(tmp_path):
    """zipfile would look for the last one that it finds, or for one of 64 bits."""
    whole = write_npz(tmp_path / "bad.npz").read_bytes()
    wide = b"PK\x06\x07" + bytes(16)
    for content in (whole[:-2] + b"\x01\x00x", whole[:-22] + wide + whole[-22:]):
        (tmp_path / "bad.npz").write_bytes(content)
        assert_refused(tmp_path / "bad.npz", "unreadable or damaged")


IDLE = {
    "epochs": (META | {"epochs": 2**17 + 1}, "131073 epochs with 0 pages written"),
    "pages": (META | {"slot_pages": 2 * 10**8}, "a slot of 762 GiB with 0 pages written"),
}


@pytest.mark.parametrize(("meta", "saying"), IDLE.values(), ids=IDLE)
def test_a_replay_of_very_much_of_nothing_is_refused_and_advice_is_not(
    tmp_path, capsys, meta, saying
):
    nothing = {"offsets": np.zeros(meta["epochs"] + 1, np.int64), "gfns": np.zeros(0, np.uint32)}
    path = write_npz(tmp_path / "idle.npz", nothing, meta)
    assert main(["replay", str(path)]) == 2
    assert saying in capsys.readouterr().err
    assert main(["advise", "--trace", str(path)]) == 0


def test_a_replay_of_as_many_epochs_as_pages_is_accepted():
    pages = 2**18
    meta = META | {"epochs": pages, "slot_pages": 2 * 10**8}
    check_work(Trace(np.arange(pages + 1), np.zeros(pages, np.uint32), meta))


def test_an_array_header_that_states_another_shape_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": (10**12,)}
    )
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("offsets.npy", header.getvalue())
    assert_refused(path, "not as long as its shape")


def drawn(rng, epochs, pages):
    written = rng.random((epochs, pages)) < rng.random()
    offsets = np.concatenate(([0], written.sum(1).cumsum()))
    return offsets, np.nonzero(written)[1].astype(np.uint32), written


@pytest.mark.parametrize("block", [1, 7, 64])
def test_checks_find_the_same_whatever_they_look_at_at_once(monkeypatch, block):
    monkeypatch.setattr(checks, "BLOCK_PAGES", block)
    rng = np.random.default_rng(1)
    for _ in range(50):
        epochs, pages = int(rng.integers(1, 9)), int(rng.integers(2, 30))
        offsets, gfns, written = drawn(rng, epochs, pages)
        read_offsets, reads, read = drawn(rng, epochs, pages)
        both = checks.written_too(read_offsets, reads, offsets, gfns)
        assert (both == written[read]).all()
        meta = META | {"slot_pages": pages, "epochs": epochs}
        Trace(offsets, gfns, meta)
        for place in np.flatnonzero(np.diff(gfns.astype(int)) > 0)[:3]:  # two of one epoch
            if place + 1 not in offsets:
                gfns[place + 1] = gfns[place]
                with pytest.raises(InputError, match=f"but gfn {gfns[place]} in epoch"):
                    Trace(offsets, gfns, meta)
                break
