"""asv's class of lanes: exact counts, times relative to none, and n/a with the reason."""

import pytest

from benchmarks import lanes
from benchmarks.common import LANES, MIB
from strategies.lanes import registry

CELL = (4 * MIB, 0.01)
PAGES = lanes.EPOCHS * round(1024 * 0.01)


@pytest.mark.parametrize("lane", ["plain", "uffd_async"])
def test_a_lane_is_counted_exactly_and_timed_relative_to_plain(lane):
    if reason := lanes.reason_against(lane):
        pytest.skip(f"{lane}: {reason}")
    suite = lanes.Lanes()
    suite.setup(lane, *CELL)
    assert suite.track_exact_stored(lane, *CELL) == PAGES
    assert suite.track_exact_reported(lane, *CELL) == (0 if lane == "plain" else PAGES)
    assert suite.track_harvest_relative_to_plain(lane, *CELL) > 0
    assert suite.track_stores_relative_to_plain(lane, *CELL) > 0


def test_a_clean_interval_has_no_stores_to_time():
    with pytest.raises(NotImplementedError):
        lanes.Lanes().track_stores_relative_to_plain("plain", 4 * MIB, 0.0)


def test_a_lane_that_is_not_here_is_skipped_and_says_why(monkeypatch, capsys):
    monkeypatch.setattr(lanes, "reason_against", lambda _lane: "no /dev/kvm")
    with pytest.raises(NotImplementedError, match="no /dev/kvm"):
        lanes.Lanes().setup("kvm_bitmap", *CELL)
    assert capsys.readouterr().err == "kvm_bitmap: no /dev/kvm\n"


def test_all_lanes_are_measured_and_each_method_has_its_unit():
    assert set(LANES) == set(registry.LANES), "append what is missing to LANES in common.py"
    assert LANES[:6] == ["plain", "uffd_async", "uffd_sync", "kvm_bitmap", "kvm_manual", "kvm_ring"]
    for name in dir(lanes.Lanes):
        if name.startswith("track_"):
            assert getattr(lanes.Lanes, name).unit
