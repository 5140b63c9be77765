"""asv's class of lanes: exact counts, times relative to none, and n/a with the reason."""

import math

import pytest

from benchmarks import lanes
from benchmarks.common import LANES, MIB
from strategies.lanes import registry

CELL = (4 * MIB, 0.01)
PAGES = lanes.EPOCHS * round(1024 * 0.01)


@pytest.fixture(scope="module")
def found():
    class Few(lanes.Lanes):
        params = (["plain", "uffd_async"], [CELL[0]], [CELL[1], 0.0])

    return Few().setup_cache()


@pytest.mark.parametrize("lane", ["plain", "uffd_async"])
def test_a_lane_is_counted_exactly_and_timed_relative_to_plain(found, lane):
    if isinstance(found[lane], str):
        pytest.skip(f"{lane}: {found[lane]}")
    suite = lanes.Lanes()
    suite.setup(found, lane, *CELL)
    assert suite.track_exact_stored(found, lane, *CELL) == PAGES
    assert suite.track_exact_reported(found, lane, *CELL) == (0 if lane == "plain" else PAGES)
    assert suite.track_harvest_relative_to_plain(found, lane, *CELL) > 0
    assert suite.track_stores_relative_to_plain(found, lane, *CELL) > 0


def test_a_clean_interval_has_no_stores_to_time(found):
    suite = lanes.Lanes()
    suite.setup(found, "plain", CELL[0], 0.0)
    assert math.isnan(suite.track_stores_relative_to_plain(found, "plain", CELL[0], 0.0))


def test_a_lane_that_is_not_here_is_skipped_and_says_why(capsys):
    with pytest.raises(NotImplementedError, match="no /dev/kvm"):
        lanes.Lanes().setup({"kvm_bitmap": "no /dev/kvm"}, "kvm_bitmap", *CELL)
    assert capsys.readouterr().err == "kvm_bitmap: no /dev/kvm\n"


def test_all_lanes_are_measured_and_each_method_has_its_unit():
    assert set(LANES) == set(registry.LANES), "append what is missing to LANES in common.py"
    assert LANES[:6] == ["plain", "uffd_async", "uffd_sync", "kvm_bitmap", "kvm_manual", "kvm_ring"]
    for name in dir(lanes.Lanes):
        if name.startswith("track_"):
            assert getattr(lanes.Lanes, name).unit
