"""Traces: what is stored comes back, larger pages merge, nothing is left half-written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.errors import InputError
from strategies.workloads.trace import Trace, bundled, load_trace, save_trace

SLOT_PAGES = 100
META = {"name": "toy", "page_size": 4096, "slot_pages": SLOT_PAGES, "epoch_ms": 10.0, "epochs": 3}
ARRAYS = {
    "offsets": np.array([0, 2, 2, 5], np.int64),
    "gfns": np.array([3, 99, 0, 3, 4], np.uint32),
    "stores": np.array([1, 2, 3, 4, 5], np.uint32),
    "read_offsets": np.array([0, 1, 3, 4], np.int64),
    "read_gfns": np.array([4, 3, 4, 5], np.uint32),
}
FOUR = {
    "offsets": np.array([0, 2, 2, 5, 6], np.int64),
    "gfns": np.array([3, 99, 0, 3, 4, 3], np.uint32),
    "stores": np.array([1, 2, 3, 4, 5, 6], np.uint32),
    "read_offsets": np.array([0, 1, 2, 3, 4], np.int64),
    "read_gfns": np.array([4, 4, 5, 4], np.uint32),
}
"""ARRAYS and one epoch more."""
REQUIRED = {"offsets": ARRAYS["offsets"], "gfns": ARRAYS["gfns"]}


def pack(epochs):
    """Offsets and gfns of a list of sets (or dicts) of pages."""
    offsets = np.cumsum([0, *map(len, epochs)], dtype=np.int64)
    return offsets, np.array([gfn for epoch in epochs for gfn in sorted(epoch)], np.uint32)


def unpack(offsets, gfns):
    return [set(part.tolist()) for part in np.split(gfns, offsets[1:-1])]


# What is stored comes back


@pytest.mark.parametrize("arrays", [REQUIRED, ARRAYS], ids=["required arrays", "all arrays"])
def test_round_trip(tmp_path, arrays):
    save_trace(Trace(meta=META, **arrays), tmp_path / "toy.npz")
    loaded = load_trace(tmp_path / "toy.npz")
    assert loaded.meta == META
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(loaded, name), arrays.get(name))


def test_properties():
    trace = Trace(meta=META, **REQUIRED)
    assert (trace.name, trace.epochs, trace.slot_pages) == ("toy", 3, SLOT_PAGES)
    assert (trace.page_size, trace.epoch_ms) == (4096, 10.0)
    assert trace.density == 5 / (3 * SLOT_PAGES)


def test_an_idle_guest_is_a_trace():
    idle = {"offsets": np.zeros(4, np.int64), "gfns": np.zeros(0, np.uint32)}
    trace = Trace(meta=META, **idle)
    assert trace.density == 0
    assert len(trace.coarsen(16).gfns) == 0


def test_a_recording_of_days_can_be_merged_into_one_epoch():
    """Each epoch is a minute, and there are three days of them."""
    minutes = 3 * 24 * 60
    meta = META | {"epoch_ms": 60_000, "epochs": minutes}
    trace = Trace(np.arange(minutes + 1), np.zeros(minutes, np.uint32), meta)
    assert trace.merged(minutes).epoch_ms == 60_000 * minutes
    with pytest.raises(InputError, match="epoch_ms must be a number from 1e-06, at most 1e"):
        Trace(np.arange(minutes + 1), trace.gfns, meta | {"epoch_ms": 1e9})


# slot pages, epochs, pages in all, distinct pages: the figures of recordings/README.md
FIGURES = {
    "gcc_compile": (52_672, 858, 1_085_750, 52_168),
    "redis_ycsb": (139_937, 3000, 879_130, 83_204),
    "sqlite_oltp": (52_447, 800, 1_499_487, 50_760),
    "vga_desktop": (768, 5100, 76_119, 680),
}


def test_bundled_recordings():
    assert bundled() == tuple(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_recording_has_its_published_figures(name):
    trace = load_trace(name)
    distinct = len(np.unique(trace.gfns))
    assert (trace.slot_pages, trace.epochs, len(trace.gfns), distinct) == FIGURES[name]
    assert trace.name == name
    assert trace.stores is None
    assert trace.read_gfns is None


# Larger pages

pages = st.integers(0, SLOT_PAGES - 1)
written_epoch = st.dictionaries(pages, st.integers(1, 50), max_size=30)
epoch = written_epoch.flatmap(
    lambda written: st.tuples(
        st.just(written), st.sets(pages).map(lambda read: read - set(written))
    )
)


@given(st.lists(epoch, min_size=1, max_size=6), st.booleans(), st.integers(13, 19))
def test_coarsen_merges_pages_epoch_by_epoch(epochs, has_stores, page_shift):
    written = [writes if has_stores else dict.fromkeys(writes, 1) for writes, _ in epochs]
    stores = np.array([w[gfn] for w in written for gfn in sorted(w)], np.uint32)
    trace = Trace(
        *pack(written),
        META | {"epochs": len(epochs)},
        stores if has_stores else None,
        *pack([reads for _, reads in epochs]),
    )
    shift = page_shift - 12
    expected = []
    for writes in written:
        merged = {}
        for gfn, count in writes.items():
            merged[gfn >> shift] = merged.get(gfn >> shift, 0) + count
        expected.append(merged)
    reads = [
        {gfn >> shift for gfn in reads} - set(merged)
        for (_, reads), merged in zip(epochs, expected, strict=True)
    ]

    coarse = trace.coarsen(page_shift)

    assert unpack(coarse.offsets, coarse.gfns) == [set(merged) for merged in expected]
    if has_stores:
        got = coarse.stores.tolist()
        assert got == [merged[gfn] for merged in expected for gfn in sorted(merged)]
    else:
        assert coarse.stores is None
    assert unpack(coarse.read_offsets, coarse.read_gfns) == reads
    assert coarse.page_size == 1 << page_shift
    assert coarse.slot_pages == (SLOT_PAGES - 1 >> shift) + 1


def test_longer_epochs_are_the_unions_of_short_ones():
    longer = Trace(meta=META | {"epochs": 4}, **FOUR).merged(2)
    assert unpack(longer.offsets, longer.gfns) == [{3, 99}, {0, 3, 4}]
    assert longer.stores.tolist() == [1, 2, 3, 10, 5]
    assert unpack(longer.read_offsets, longer.read_gfns) == [{4}, {5}]  # 3 and 4 are written
    assert (longer.epochs, longer.epoch_ms) == (2, 20.0)


@pytest.mark.parametrize(("times", "epochs"), [(1, 4), (3, 1), (4, 1), (99, 1)])
def test_a_rest_that_fills_no_epoch_is_left_out(times, epochs):
    assert Trace(meta=META | {"epochs": 4}, **FOUR).merged(times).epochs == epochs


@pytest.mark.parametrize(
    ("interval_ms", "epoch_ms"),
    [(0.001, 10), (10, 10), (14.9, 10), (15.1, 20), (24, 20), (25.1, 30), (40, 40), (1e9, 40)],
)
def test_an_interval_is_the_nearest_multiple_of_an_epoch(interval_ms, epoch_ms):
    """At least one epoch, at most the four that there are."""
    trace = Trace(meta=META | {"epochs": 4}, **FOUR)
    assert trace.at_interval(interval_ms * 1e6).epoch_ms == epoch_ms
    assert trace.merged(1) is trace


def test_coarsen_to_the_same_size_is_the_trace_itself():
    trace = Trace(meta=META, **ARRAYS)
    assert trace.coarsen(12) is trace


def test_coarsen_cannot_split_pages():
    coarse = Trace(meta=META, **ARRAYS).coarsen(16)
    with pytest.raises(InputError, match="accepted: 65536 bytes or more"):
        coarse.coarsen(12)


# Nothing half-written


def test_save_replaces_a_file(tmp_path):
    path = tmp_path / "toy.npz"
    path.write_text("old")
    save_trace(Trace(meta=META, **ARRAYS), path)
    assert load_trace(path).name == "toy"


def test_only_pages_of_4_kib_are_saved(tmp_path):
    with pytest.raises(InputError, match="pages of 4096 bytes, not 65536"):
        save_trace(Trace(meta=META, **ARRAYS).coarsen(16), tmp_path / "toy.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere/toy.npz", "folder", "x" * 300])
def test_unwritable_paths_are_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        save_trace(Trace(meta=META, **ARRAYS), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_write_that_fails_midway_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "toy.npz"
    save_trace(Trace(meta=META, **ARRAYS), path)
    before = path.read_bytes()

    def disk_full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(InputError, match="No space left"):
        save_trace(Trace(meta=META, **ARRAYS), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
