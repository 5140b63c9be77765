"""Derived quantities against small frames that were worked out by hand."""

import pandas as pd
import pytest

from analysis.measured import fit
from analysis.measured import harvests as derive
from strategies.errors import InputError

MIB = 1 << 20
PAGES = 4096  # of 16 MiB
CLEAN_NS = {"c_bit_scan": 5.0, "write_protect": 0.25, "null": 0.01}
DIRTY_NS = {"c_bit_scan": 20.0, "write_protect": 30.0, "null": 0.0}
DENSITIES = (0.0, 0.001, 0.01, 0.1)


def rows_of(sizes=(16, 64, 256), densities=DENSITIES):
    """Rows as the reader gives them: clean pages x CLEAN_NS + dirty pages x DIRTY_NS."""
    rows = []
    for strategy in CLEAN_NS:
        for size in sizes:
            for density in densities:
                pages = size * MIB // 4096
                ns = pages * CLEAN_NS[strategy] + round(pages * density) * DIRTY_NS[strategy]
                rows.append(
                    {
                        "benchmark": "get_dirty_log.GetDirtyLog.time_get_dirty_log",
                        "strategy": strategy,
                        "slot_bytes": size * MIB,
                        "density": density,
                        "page_bytes": 4096,
                        "mapping": "linear",
                        "status": "ok",
                        "value": ns * 1e-9,
                        "q25": ns * 0.9e-9,
                        "q75": ns * 1.2e-9,
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


def test_harvests_in_nanoseconds_with_spread_and_ratio():
    cells = derive.harvests(rows_of())
    one = cell(cells, "c_bit_scan", 16, 0.1)
    assert one["slot_pages"] == PAGES
    assert one["dirty_pages"] == 410
    assert one["median_ns"] == pytest.approx(4096 * 5 + 410 * 20)
    assert one["q25_ns"] == pytest.approx(0.9 * one["median_ns"])
    assert one["spread"] == pytest.approx(0.3)
    assert one["ratio"] == pytest.approx((4096 * 5 + 410 * 20) / (4096 * 0.25 + 410 * 30))
    assert cell(cells, "write_protect", 16, 0.1)["ratio"] == 1


def test_cells_that_failed_or_were_skipped_have_no_part():
    rows = rows_of()
    rows.loc[0, "status"] = "failed"
    rows.loc[1, "status"] = "skipped"
    assert len(derive.harvests(rows)) == len(rows) - 2


def test_no_harvest_is_one_clear_error():
    rows = rows_of().assign(benchmark="events.Events.track_faults")
    with pytest.raises(InputError, match="hold no harvest"):
        derive.harvests(rows)


def test_page_costs_are_those_of_the_formula():
    costs = derive.page_costs(derive.harvests(rows_of()))
    scan = cell(costs, "c_bit_scan", 64, 0.01)
    assert scan["page_ns"] == pytest.approx(5.0)
    assert scan["dirty_page_ns"] == pytest.approx(20.0)
    assert cell(costs, "write_protect", 64, 0.01)["dirty_page_ns"] == pytest.approx(30.0)
    assert pd.isna(cell(costs, "write_protect", 64, 0.0)["dirty_page_ns"])


def test_costs_are_those_of_the_lowest_sample_unless_medians_are_asked_for():
    rows = rows_of()
    rows["samples"] = [[3 * value, value, value / 2] for value in rows["value"]]
    cells = derive.harvests(rows)
    assert cell(derive.page_costs(cells), "c_bit_scan", 64, 0.0)["page_ns"] == pytest.approx(2.5)
    medians = derive.page_costs(cells, "median_ns")
    assert cell(medians, "c_bit_scan", 64, 0.0)["page_ns"] == pytest.approx(5.0)


def test_noise_never_makes_a_dirty_page_cheaper_than_nothing():
    rows = rows_of()
    rows.loc[(rows["strategy"] == "c_bit_scan") & (rows["density"] == 0.001), "value"] = 1e-9
    costs = derive.page_costs(derive.harvests(rows))
    assert cell(costs, "c_bit_scan", 16, 0.001)["dirty_page_ns"] == derive.LEAST_NS


def test_prediction_of_what_was_fitted_is_exact():
    cells = derive.base_cells(derive.harvests(rows_of()))
    predicted = fit.predict(derive.page_costs(cells), cells)
    pd.testing.assert_series_equal(predicted, cells["median_ns"], check_names=False)


def test_prediction_between_sizes_is_geometric():
    rows = rows_of()
    large = rows["slot_bytes"] == 256 * MIB
    rows.loc[large, "value"] *= 4  # a page costs four times as much there
    costs = derive.page_costs(derive.harvests(rows[rows["slot_bytes"] != 64 * MIB]))
    cells = derive.harvests(rows_of(sizes=(64,), densities=(0.0,)))
    scan = cells[cells["strategy"] == "c_bit_scan"]
    # halfway between 16 and 256 MiB: the mean of 5 and 20 ns is 10
    assert fit.predict(costs, scan).iloc[0] == pytest.approx(4 * PAGES * 10.0)


def test_a_tracker_that_the_fit_lacks_has_no_prediction():
    cells = derive.harvests(rows_of())
    costs = derive.page_costs(cells[cells["strategy"] != "c_bit_scan"])
    predicted = fit.predict(costs, cells)
    assert predicted.isna().equals(cells["strategy"] == "c_bit_scan")


def test_held_out_cells_of_the_formula_have_no_error():
    judged = fit.held_out(derive.harvests(rows_of()))
    assert set(judged["left_out"]) == {"slot_bytes", "density"}
    assert set(judged["strategy"]) == {"c_bit_scan", "write_protect"}
    assert judged["error"].max() < 1e-9


def test_held_out_sees_what_the_fit_cannot_know():
    rows = rows_of()
    rows.loc[rows["slot_bytes"] == 64 * MIB, "value"] *= 2
    judged = fit.held_out(derive.harvests(rows))
    by_size = judged[judged["left_out"] == "slot_bytes"]
    assert by_size["error"].median() == pytest.approx(0.5, abs=0.01)


def test_two_sizes_and_two_densities_leave_nothing_out():
    with pytest.raises(InputError, match="three are needed"):
        fit.held_out(derive.harvests(rows_of(sizes=(16, 64), densities=(0.0, 0.01))))


def test_replays_of_an_empty_folder_are_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="no replays"):
        derive.read_replays(tmp_path)


def test_the_simulated_tlbie_is_that_of_the_linear_mapping():
    name = "machine_costs.MachineCosts.track_tlbie"
    rows = [(name, "ok", "scattered", 9.0), (name, "ok", "linear", 5.0), ("a.b", "ok", "linear", 1)]
    frame = pd.DataFrame(rows, columns=["benchmark", "status", "mapping", "value"])
    assert derive.simulated_tlbie_ns(frame) == 5.0
    with pytest.raises(InputError, match="lack machine_costs"):
        derive.simulated_tlbie_ns(frame[2:])
