"""The programs for a machine of many cores, on the one thread that any machine has room for."""

import numpy as np
import pandas as pd
import pytest

from analysis.measured import contention as tables
from benchmarks.by_hand import contention, harvests
from benchmarks.common import MIB, WrongHarvestError
from strategies.lanes.session import reasons

PAGES = 128
MISSING = {name: reason for name, reason in reasons(contention.LANES).items() if reason}
KERNEL = contention.Kernel, "uffd_async"
SIMULATED = contention.Simulated, "write_protect"


def here(name):
    """Return a name, or skip the test where this kernel lacks the lane."""
    if name in MISSING:
        pytest.skip(f"{name}: {MISSING[name]}")
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
    assert contention.at_once(tracked, gfns) > 0
    assert contention.judge(tracked, gfns) > 0
    assert np.unique(tracked.contents).size == 4 * PAGES, "each store has its stamp"


def test_a_harvest_that_is_not_what_was_stored_ends_the_measurement():
    tracked = contention.Simulated("write_protect", PAGES, 1)
    (gfns,) = contention.parts("apart", 1, PAGES, 0)
    contention.at_once(tracked, [gfns])
    with pytest.raises(WrongHarvestError, match="write_protect: a harvest is not what 1 threads"):
        contention.judge(tracked, [gfns[1:]])


@pytest.mark.parametrize(("kind", "name"), [KERNEL, SIMULATED])
def test_a_first_store_costs_more_than_the_same_again(kind, name):
    rows = contention.first_stores(kind, here(name), 1, PAGES, PAGES, 0)
    assert [row["layout"] for row in rows] == ["apart", "together"]
    assert all(row["first_ns"] > row["again_ns"] > 0 for row in rows)


@pytest.mark.parametrize(("kind", "name"), [KERNEL, SIMULATED])
def test_a_storm_counts_stores_and_loses_none(kind, name):
    row = contention.storm(kind, here(name), 1, 2, 0)
    assert (row["stores"], row["lost"]) == (2 * contention.STORES, 0)
    assert row["still_ns"] > 0
    if kind is contention.Simulated:
        assert row["faults"] >= contention.STORM_PAGES


@pytest.mark.parametrize(("kind", "name"), [(KERNEL[0], "plain"), (SIMULATED[0], "null")])
def test_a_storm_notices_pages_that_nobody_reports(kind, name):
    tracked = kind(here(name), contention.STORM_PAGES, 1)
    tracked.out.fill(0)
    assert contention.Storm(tracked, 1, 1, 0).lost > 0
    tracked.close()


def test_cells_of_the_reference_are_measured_and_compared_with_another_machine_s():
    cells = harvests.reference()
    few = cells[(cells["slot_bytes"] == 16 * MIB) & (cells["strategy"] == "write_protect")]
    here = pd.DataFrame(harvests.measure_slot(few, 0, lambda: None))
    assert list(here["density"]) == list(few["density"])
    passes = [here.assign(median_ns=share * here["median_ns"].clip(100)) for share in (1, 2, 9)]
    ratio = harvests.beside(pd.concat(passes), here)
    assert (ratio == 2).all(), "the median of the passes; below UNTOLD_NS a time counts as that"


def test_tables_show_the_passes_and_what_each_further_thread_adds(tmp_path):
    stores = [
        {"pass": number, "kind": "simulated", "name": "ring", "threads": threads}
        | {"layout": layout, "first_ns": 30 + step * threads + number, "again_ns": 10}
        for number in range(2)
        for threads in (1, 3)
        for layout, step in (("apart", 1), ("together", 5))
    ]
    pd.DataFrame(stores).to_csv(tmp_path / tables.FIRST_STORES, index=False)
    assert tables.first_stores_table(tmp_path)[2:] == [
        "| `ring` | 26 (25 to 26) | 36 (35 to 36) | 5 | 1 |"
    ]
    storms = [
        {"pass": number, "kind": "simulated", "name": name, "threads": threads, "stores": 2000}
        | {"harvests": 9, "lost": lost, "pages": 40, "beside_ns": 1200.0 + 600 * number}
        | {"still_ns": 900.0, "store_ns": 10.0 * threads, "lock_retries": retries}
        for number in range(2)
        for threads in (1, 3)
        for name, lost, retries in (("ring", 0, 4), ("plain", None, None))
    ]
    pd.DataFrame(storms).to_csv(tmp_path / tables.STORMS, index=False)
    assert tables.storms_table(tmp_path)[2:] == [
        "| `ring` | 4,000 | 0 | 40 | 1.5 us (1.2 us to 1.8 us) | 900 ns | 10 | 30 | 2 |",
        "| `plain` | 4,000 | - | 40 | 1.5 us (1.2 us to 1.8 us) | 900 ns | 10 | 30 | - |",
    ]
