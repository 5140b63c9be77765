"""Derived quantities against small frames that were worked out by hand."""

import pandas as pd
import pytest

from analysis.measured import harvests as derive
from strategies.errors import InputError

MIB = 1 << 20
PAGES = 4096  # of 16 MiB
CLEAN_NS = {"c_bit_scan": 5.0, "write_protect": 0.25, "null": 0.01}
DIRTY_NS = {"c_bit_scan": 20.0, "write_protect": 30.0, "null": 0.0}
DENSITIES = (0.0, 0.001, 0.01, 0.1)


def rows_of(sizes=(16, 64, 256), densities=DENSITIES, times=1.0, of="pass-1"):
    """Rows as the reader gives them: clean pages x CLEAN_NS + dirty pages x DIRTY_NS."""
    rows = []
    for strategy in CLEAN_NS:
        for size in sizes:
            for density in densities:
                pages = size * MIB // 4096
                ns = pages * CLEAN_NS[strategy] + round(pages * density) * DIRTY_NS[strategy]
                rows.append(
                    {
                        "pass": of,
                        "benchmark": "get_dirty_log.GetDirtyLog.time_get_dirty_log",
                        "strategy": strategy,
                        "slot_bytes": size * MIB,
                        "density": density,
                        "page_bytes": 4096,
                        "mapping": "linear",
                        "status": "ok",
                        "unit": "seconds",
                        "value": ns * times * 1e-9,
                        "q25": ns * times * 0.9e-9,
                        "q75": ns * times * 1.2e-9,
                        "samples": None,
                    }
                )
    return pd.DataFrame(rows)


def cell(cells, strategy, size, density):
    found = cells[
        (cells["strategy"] == strategy)
        & (cells["slot_pages"] == size * MIB // 4096)
        & (cells["density"] == density)
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_harvests_in_nanoseconds_with_quartiles_and_ratio():
    cells = derive.harvests(rows_of())
    one = cell(cells, "c_bit_scan", 16, 0.1)
    assert one["slot_pages"] == PAGES
    assert one["dirty_pages"] == 410
    assert one["median_ns"] == pytest.approx(4096 * 5 + 410 * 20)
    assert one["q25_ns"] == pytest.approx(0.9 * one["median_ns"])
    assert one["ratio"] == pytest.approx((4096 * 5 + 410 * 20) / (4096 * 0.25 + 410 * 30))
    assert cell(cells, "write_protect", 16, 0.1)["ratio"] == 1


def test_the_lowest_is_the_least_sample():
    rows = rows_of()
    rows["samples"] = [[3 * value, value, value / 2] for value in rows["value"]]
    one = cell(derive.harvests(rows), "c_bit_scan", 64, 0.0)
    assert one["lowest_ns"] == pytest.approx(one["median_ns"] / 2)


def test_of_several_passes_a_cell_has_the_median_the_least_sample_and_how_far_they_are_apart():
    passes = [rows_of(times=times, of=str(times)) for times in (1.0, 1.1, 2.0)]
    one = cell(derive.harvests(pd.concat(passes)), "c_bit_scan", 16, 0.0)
    assert one["passes"] == 3
    assert one["median_ns"] == pytest.approx(1.1 * 4096 * 5)
    assert one["lowest_ns"] == pytest.approx(4096 * 5)
    assert one["spread"] == one["lowest_spread"] == pytest.approx(1.0)


def test_one_pass_cannot_tell_how_far_passes_are_apart():
    cells = derive.harvests(rows_of())
    assert set(cells["passes"]) == {1}
    assert cells["spread"].isna().all()
    assert cells["lowest_spread"].isna().all()


def test_cells_that_failed_or_were_skipped_have_no_part():
    rows = rows_of()
    rows.loc[0, "status"] = "failed"
    rows.loc[1, "status"] = "skipped"
    assert len(derive.harvests(rows)) == len(rows) - 2


def test_no_harvest_is_one_clear_error():
    rows = rows_of().assign(benchmark="events.Events.track_faults")
    with pytest.raises(InputError, match="hold no harvest"):
        derive.harvests(rows)


def track(name, rows, columns):
    """Rows of another benchmark, of two passes unless told."""
    frame = pd.DataFrame(rows, columns=[*columns, "value"])
    return frame.assign(benchmark=name, status="ok", unit="ns")


def test_another_benchmark_has_its_parameters_and_the_median_over_passes():
    rows = [("c_bit_scan", 2, 30.0), ("c_bit_scan", 2, 20.0), ("null", 2, 1.0)]
    frame = track("contention.Contention.track_store", rows, ["strategy", "vcpus"])
    found = derive.measured(frame, "Contention.track_store")
    assert list(found) == [
        *("strategy", "vcpus", "unit", "value", "value_least", "value_most", "passes", "spread")
    ]
    assert found["value"].tolist() == [25.0, 1.0]
    assert found["value_least"].tolist() == [20.0, 1.0]
    assert found["value_most"].tolist() == [30.0, 1.0]
    assert found["passes"].tolist() == [2, 1]
    assert found["spread"].iloc[0] == pytest.approx(0.5)
    assert derive.measured(frame, "Contention.track_harvest").empty


def test_times_of_another_benchmark_are_in_nanoseconds():
    frame = track("a.Toggle.time_it", [("null", 2e-6)], ["strategy"])
    assert derive.measured(frame, "Toggle.time_it")["value"].tolist() == [pytest.approx(2000)]


def test_enabling_is_taken_without_the_call():
    times_us = {"null": 2, "c_bit_scan": 9, "write_protect": 7}
    rows = [(name, MIB, 4096, "linear", None, us * 1e-6) for name, us in times_us.items()]
    columns = ["strategy", "slot_bytes", "page_bytes", "mapping", "samples"]
    frame = track("logging_toggle." + derive.ENABLE_BENCHMARK, rows, columns)
    (one,) = derive.enablings(frame.assign(q25=frame["value"], q75=frame["value"])).to_dict(
        "records"
    )
    assert one["strategy"] == "enabling"
    assert (one["slot_pages"], one["dirty_pages"]) == (256, 0)
    assert one["median_ns"] == one["lowest_ns"] == pytest.approx(5000)


def test_the_clock_is_what_a_harvest_of_nothing_takes():
    cells = derive.harvests(rows_of(sizes=(16,)))
    assert derive.clock_ns(cells) == pytest.approx(4096 * 0.01)


def test_replays_of_an_empty_folder_are_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="no replays"):
        derive.read_replays(tmp_path)


def test_the_simulated_tlbie_is_the_least_of_the_linear_mapping():
    name = "machine_costs.MachineCosts.track_tlbie"
    frame = track(name, [("scattered", 4.0), ("linear", 5.0), ("linear", 7.0)], ["mapping"])
    assert derive.simulated_tlbie_ns(frame) == 5.0
    with pytest.raises(InputError, match="lack machine_costs"):
        derive.simulated_tlbie_ns(frame.assign(benchmark="a.b"))
