"""The programs for a machine of many cores, on the one thread that any machine has room for."""

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.by_hand import contention, harvests
from benchmarks.common import PAGE_4K, WrongHarvestError, open_cell
from benchmarks.contention import SLOT_BYTES, Storm
from strategies.lanes.session import reasons

PAGES = 128
FOUND = {name: reason for name, reason in reasons(contention.LANES).items() if reason}


def kernel_lane(name):
    if name in FOUND:
        pytest.skip(f"{name}: {FOUND[name]}")
    return name


def test_threads_have_pages_of_their_own_apart_or_neighbours_in_one_order():
    apart = contention.parts("apart", 3, PAGES, 0)
    together = contention.parts("together", 3, PAGES, 0)
    for gfns in (apart, together):
        assert sorted(np.concatenate(gfns)) == list(range(3 * PAGES))
    assert [gfns.min() // PAGES for gfns in apart] == [gfns.max() // PAGES for gfns in apart]
    assert (together[1] == together[0] + 1).all()
    assert (together[2] == together[0] + 2).all()


@pytest.mark.parametrize("layout", contention.LAYOUTS)
def test_threads_that_begin_at_once_all_store(layout):
    tracked = contention.Simulated("write_protect", 4 * PAGES, 4)
    gfns = contention.parts(layout, 4, PAGES, 0)
    tracked.harvest()
    assert contention._at_once(tracked, gfns) > 0
    contention._judge(tracked, "write_protect", gfns)


def test_a_harvest_that_is_not_what_was_stored_ends_the_measurement():
    tracked = contention.Simulated("write_protect", PAGES, 1)
    gfns = contention.parts("apart", 1, PAGES, 0)
    contention._at_once(tracked, gfns)
    with pytest.raises(WrongHarvestError, match="write_protect: a harvest is not what 1 threads"):
        contention._judge(tracked, "write_protect", [gfns[0][1:]])


def test_first_stores_have_a_row_for_each_layout():
    rows = contention.first_stores(contention.Simulated, "write_protect", 1, PAGES, PAGES, 0)
    assert [row["layout"] for row in rows] == ["apart", "together"]
    assert all(row["first_ns"] > 0 and row["again_ns"] > 0 for row in rows)


def test_a_storm_counts_stores_and_loses_none():
    row = contention.storm("write_protect", 1, 2, 0)
    assert row["stores"] == 2 * contention.STORES
    assert row["lost"] == 0
    assert row["faults"] >= SLOT_BYTES // PAGE_4K
    assert row["still_ns"] > 0


def test_a_storm_notices_pages_that_nobody_reports():
    cell = open_cell("null", SLOT_BYTES, PAGE_4K, "linear", 1)
    cell.out.fill(0)
    assert Storm(cell, 1, contention.STORES).lost > 0


def test_a_lane_is_measured_alike():
    lane = kernel_lane("uffd_async")
    rows = contention.first_stores(contention.Kernel, lane, 1, PAGES, PAGES, 0)
    assert all(row["first_ns"] > row["again_ns"] > 0 for row in rows)
    row = contention.kernel_storm(lane, 1, 2, 0)
    assert (row["stores"], row["lost"]) == (2 * contention.STORES, 0)


def test_a_storm_on_a_lane_notices_pages_that_nobody_reports():
    with contention.opened(kernel_lane("plain")) as lane:
        assert contention.KernelStorm(lane, 1, 1).lost > 0


def test_more_threads_than_cores_are_refused_in_one_line(tmp_path):
    result = CliRunner().invoke(contention.main, ["--out", str(tmp_path), "--threads", "100000"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: 100000 threads and a harvest want 100001 cores: here ")
    assert result.stderr.count("\n") == 1


def test_cells_of_the_reference_are_measured_again_and_compared():
    cells = harvests.reference()
    few = cells[(cells["slot_bytes"] == SLOT_BYTES) & (cells["strategy"] == "write_protect")]
    rows = harvests.measure_slot(few, 0, lambda: None)
    assert [row["density"] for row in rows] == list(few["density"])
    twice = [row | {"median_ns": 2 * ns} for row, ns in zip(rows, few["median_ns"], strict=True)]
    ratio = harvests.beside(twice, few).set_index("density")["ratio"]
    assert 1 <= ratio[0.0] < 2, "below UNTOLD_NS a time counts as UNTOLD_NS"
    assert (ratio[ratio.index > 0] == 2).all()
