"""Synthetic traces: exact density, reproducible, reads apart from writes, patterns as named."""

from itertools import pairwise

import numpy as np
import pytest

from strategies.errors import InputError
from strategies.workloads.synthetic import PATTERNS, synthesize
from strategies.workloads.trace import load_trace, save_trace

STEADY = sorted(set(PATTERNS) - {"framebuffer"})
TOY = {"slot_pages": 1003, "density": 0.05, "epochs": 40}


def written(trace):
    return np.split(trace.gfns, trace.offsets[1:-1])


def run_lengths(gfns):
    breaks = np.flatnonzero(np.diff(gfns.astype(np.int64)) != 1)
    return np.diff(np.concatenate(([-1], breaks, [len(gfns) - 1])))


@pytest.mark.parametrize("density", [0, 1e-9, 0.001, 0.3, 1])
@pytest.mark.parametrize("slot_pages", [1, 63, 64, 65, 1003])
@pytest.mark.parametrize("pattern", STEADY)
def test_every_epoch_writes_the_exact_share(pattern, slot_pages, density):
    trace = synthesize(pattern, slot_pages=slot_pages, density=density, epochs=3)
    expected = max(1, round(density * slot_pages)) if density else 0
    assert np.diff(trace.offsets).tolist() == [expected] * 3


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_seed_makes_the_same_trace(pattern):
    first, again, other = (synthesize(pattern, **TOY, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.gfns, again.gfns)
    np.testing.assert_array_equal(first.offsets, again.offsets)
    assert first.gfns.tolist() != other.gfns.tolist()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_epoch_is_a_fresh_pattern(pattern):
    busy = [tuple(gfns) for gfns in written(synthesize(pattern, **TOY)) if len(gfns)]
    assert len(set(busy)) == len(busy)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_reads_and_stores_leave_the_written_pages_as_they_are(pattern):
    plain = synthesize(pattern, **TOY)
    more = synthesize(pattern, **TOY, reads=200, stores=700)
    np.testing.assert_array_equal(plain.gfns, more.gfns)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_reads_are_distinct_and_apart_from_the_writes(pattern):
    trace = synthesize(pattern, **TOY, reads=600)
    reads = np.split(trace.read_gfns, trace.read_offsets[1:-1])
    for write, read in zip(written(trace), reads, strict=True):
        assert len(set(read.tolist())) == 600
        assert not set(read.tolist()) & set(write.tolist())


def test_reads_may_take_every_page_not_written():
    trace = synthesize("uniform", slot_pages=100, density=0.4, epochs=5, reads=60)
    assert np.diff(trace.read_offsets).tolist() == [60] * 5


@pytest.mark.parametrize("pattern", PATTERNS)
def test_stores_of_an_epoch_add_up(pattern):
    trace = synthesize(pattern, **TOY, stores=700)
    totals = [int(part.sum()) for part in np.split(trace.stores, trace.offsets[1:-1])]
    assert totals == [700 if len(gfns) else 0 for gfns in written(trace)]
    assert trace.stores.min() >= 1


def test_meta_says_how_it_was_made(tmp_path):
    arguments = {"slot_pages": 64, "density": 0.5, "epochs": 2, "seed": 3, "stores": 99, "reads": 4}
    save_trace(synthesize("zipf", **arguments, epoch_ms=5.0), tmp_path / "zipf.npz")
    meta = load_trace(tmp_path / "zipf.npz").meta
    assert meta == arguments | {
        "name": "zipf",
        "pattern": "zipf",
        "recorder": "synthetic",
        "page_size": 4096,
        "epoch_ms": 5.0,
    }


# Patterns


def test_uniform_favours_no_part_of_the_slot():
    trace = synthesize("uniform", slot_pages=1000, density=0.1, epochs=400)
    counts = np.bincount(trace.gfns // 100, minlength=10)
    assert counts.min() > 0.95 * counts.mean()
    assert counts.max() < 1.05 * counts.mean()


def test_zipf_page_frequencies_follow_their_rank():
    trace = synthesize("zipf", slot_pages=1000, density=0.001, epochs=20_000)
    share = np.sort(np.bincount(trace.gfns, minlength=1000))[::-1] / 20_000
    weights = np.arange(1, 1001) ** -0.99
    expected = weights / weights.sum()
    np.testing.assert_allclose(share[:5], expected[:5], rtol=0.1)
    assert share[100:].sum() == pytest.approx(expected[100:].sum(), rel=0.05)


def test_zipf_scatters_its_hot_pages():
    trace = synthesize("zipf", slot_pages=10_000, density=0.01, epochs=100)
    hottest = np.argsort(np.bincount(trace.gfns, minlength=10_000))[-20:]
    assert np.ptp(hottest) > 5000


def test_sequential_moves_on_by_its_own_length_and_wraps():
    trace = synthesize("sequential", slot_pages=100, density=0.3, epochs=10)
    epochs = [set(gfns.tolist()) for gfns in written(trace)]
    for epoch, following in pairwise(epochs):
        assert following == {(gfn + 30) % 100 for gfn in epoch}


def test_clustered_writes_runs_of_16_pages():
    trace = synthesize("clustered", slot_pages=100_000, density=0.016, epochs=20)
    lengths = np.concatenate([run_lengths(gfns) for gfns in written(trace)])
    assert np.median(lengths) == 16
    assert np.mean(lengths % 16 == 0) > 0.95


def test_framebuffer_is_idle_in_87_percent_of_the_epochs():
    trace = synthesize("framebuffer", slot_pages=768, density=0.02, epochs=1000)
    counts = np.diff(trace.offsets)
    assert np.mean(counts == 0) == 0.87
    assert np.ptp(counts[counts > 0]) <= 1
    assert len(trace.gfns) == round(0.02 * 768 * 1000)
    lengths = np.concatenate([run_lengths(gfns) for gfns in written(trace) if len(gfns)])
    assert np.median(lengths) == 26


# Nothing out of range is accepted

BAD = {
    "pattern": ({"pattern": "gaussian"}, "accepted: uniform, zipf"),
    "density above 1": ({"density": 1.1}, "density must be 0 to 1"),
    "density below 0": ({"density": -0.1}, "density must be 0 to 1"),
    "density nan": ({"density": float("nan")}, "density must be 0 to 1"),
    "a dense framebuffer": ({"pattern": "framebuffer", "density": 0.2}, "at most 0.125"),
    "slot of 0 pages": ({"slot_pages": 0}, "slot_pages must be 1 to"),
    "slot too large": ({"slot_pages": 2**31 + 1}, "slot_pages must be 1 to"),
    "no epochs": ({"epochs": 0}, "epochs must be 1 or more"),
    "epochs of 0 ms": ({"epoch_ms": 0.0}, "epoch_ms must be a number from 1e-06"),
    "odd page size": ({"page_size": 5000}, "page_size must be a power of two"),
    "seed": ({"seed": -1}, "seed must be 0 or more"),
    "too few stores": ({"stores": 49}, "stores must be at least the 50 pages"),
    "no stores": ({"stores": 0}, "stores must be at least the 50 pages"),
    "negative stores": ({"stores": -5}, "stores must be 0 to"),
    "too many stores": ({"stores": 2**30}, "stores must be 0 to"),
    "negative reads": ({"reads": -1}, "reads must be 0 to"),
    "reads beyond the slot": ({"reads": 10**6}, "reads must be 0 to the slot's 1003 pages"),
    "reads that do not fit": ({"reads": 954}, "at most the 953 pages not written"),
    "too large": ({"slot_pages": 2**31, "density": 1.0}, "accepted: at most 4294967296 bytes"),
    "too many epochs": ({"epochs": 10**9, "density": 0.0}, "epochs must be at most 16777216"),
}


@pytest.mark.parametrize(("arguments", "saying"), BAD.values(), ids=BAD)
def test_bad_arguments_are_refused(arguments, saying):
    with pytest.raises(InputError, match=saying) as refusal:
        synthesize(**{"pattern": "uniform"} | TOY | arguments)
    assert "\n" not in str(refusal.value)
