"""The notebooks, run on a small made-up study, and the page that is made of them."""

import json
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from analysis.model.estimate import MODELS, Scenario

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
SLOTS = [16 * MIB, 256 * MIB, 4096 * MIB]
DENSITIES = [0.0, 0.001, 0.01, 0.1]
NAME = "get_dirty_log.GetDirtyLog.time_get_dirty_log"
PARAM_NAMES = ["strategy", "slot_bytes", "density", "page_bytes", "mapping"]
COSTS = {
    "page_scan": 6,
    "page_clear": 8,
    "word_read": 0.5,
    "page_rearm": 10,
    "page_unmap": 7,
    "tlbie": 12,
    "tlbie_vcpu": 0,
    "flush": 5,
    "flush_vcpu": 0,
    "fault": 0,
    "fault_vcpu": 0,
    "grace": 30,
    "set_changed": 0,
}
COLUMNS = [
    *("result", "params", "version", "started_at"),
    *("stats_q_25", "stats_q_75", "stats_ci_99_a", "stats_ci_99_b"),
]
TRACES = {"vga_desktop": (768, 15), "redis_ycsb": (139937, 293)}


def seconds(strategy, slot_bytes, density):
    pages = slot_bytes / 4096
    scenario = Scenario(pages, round(pages * density), 1.0)
    harvest = MODELS[strategy](COSTS, scenario).harvest_ns if strategy in MODELS else 0
    return (20 + harvest) * 1e-9


def write_asv(folder, values):
    """Write a folder as asv does, with one benchmark."""
    strategies = [*MODELS, "null"]
    suite = {NAME: {"param_names": PARAM_NAMES, "unit": "seconds", "version": "1"}, "version": 2}
    params = [list(map(repr, p)) for p in (strategies, SLOTS, DENSITIES, [4096], ["linear"])]
    cells = [values(*cell) for cell in product(strategies, SLOTS, DENSITIES)]
    result = {
        "version": 2,
        "commit_hash": "0123456789abcdef",
        "env_name": "made-up",
        "python": "3.11",
        "requirements": {},
        "params": {"machine": "made-up"},
        "result_columns": COLUMNS,
        "results": {NAME: [cells, params, "1", 1700000000000, *[cells] * 4]},
    }
    machine = {"cpu": "a made-up CPU", "num_cpu": "2", "os": "no system", "version": 1}
    (folder / "made-up").mkdir(parents=True)
    (folder / "benchmarks.json").write_text(json.dumps(suite))
    (folder / "made-up" / "machine.json").write_text(json.dumps(machine))
    (folder / "made-up" / "01234567-made-up.json").write_text(json.dumps(result))


def write_replays(folder):
    folder.mkdir()
    for trace, (pages, written) in TRACES.items():
        rows = []
        for strategy in [*MODELS, "null"]:
            scenario = Scenario(pages, written, 1.0)
            ns = MODELS[strategy](COSTS, scenario).harvest_ns if strategy in MODELS else 20
            is_fault = strategy.startswith(("write_protect", "double"))
            rows.append(
                {
                    "trace": trace,
                    "strategy": strategy,
                    "epochs": 100,
                    "pages_stored": 100 * written,
                    "lost": None if strategy == "null" else 0,
                    "harvest_ns_median": ns,
                    "write_faults": 100 * written * is_fault,
                    "map_faults": 100 * written * (strategy == "pte_flush"),
                }
            )
        pd.DataFrame(rows).to_csv(folder / f"{trace}.summary.csv", index=False)


def report(results, out):
    """Run the command in a process of its own, from elsewhere than the repository."""
    command = [sys.executable, "-m", "analysis.report", "--results", results, "--out", out]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A study whose times follow a formula."""
    folder = tmp_path_factory.mktemp("study")
    write_asv(folder / "raw", seconds)
    write_replays(folder / "replay")
    return folder


@pytest.fixture(scope="module")
def page(results):
    """The report of it."""
    done = report(results, results / "report" / "index.html")
    assert done.returncode == 0, done.stderr
    return (results / "report" / "index.html").read_text()


def test_report_has_every_notebook_and_figure(page):
    assert re.findall(r'<section id="(\w+)"', page) == [
        "04_answer",
        "01_takuya",
        "02_paul",
        "03_trade_off",
    ]
    assert (
        len(re.findall(r'<img alt="[^"]+" id="[^"]+" src="data:image/png;base64,[^"]{1000}', page))
        == 3
    )


def test_report_needs_nothing_else(page):
    references = re.findall(r'(?:src|href|action|data)\s*=\s*["\']?([^"\'\s>]+)', page)
    assert references
    assert [r for r in references if not r.startswith(("#", "data:image/png;base64,"))] == []
    assert re.search(r"@import|url\(|<script|<link|<iframe", page) is None


def test_report_says_where_its_numbers_come_from_and_of_which_kind(page):
    assert "a made-up CPU" in page
    assert str(ROOT) not in page
    for kind in ("Measured", "Modelled", "exact", "cited"):
        assert kind in page


def test_report_shows_numbers_that_the_formula_gives(page):
    # 16 MiB clean: the scan 4096 x 6 + 20 ns, the bitmap 64 x 0.5 + 20, below 100, counted as 100
    assert "246 to" in page
    # VGA: 768 x 6 + 15 x (8 + 12) ns
    assert "4.91 us a frame" in page


def test_the_answer_and_the_figures_are_files_too(page, results):
    report = results / "report"
    assert {p.name for p in report.glob("*.png")} == {
        "guest_stall.png",
        "harvest_latency.png",
        "winner_maps.png",
    }
    assert (report / "answer.md").read_text().startswith("**Takuya was right")
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in report.glob("*.png"))


def without_pictures(page):
    """The page but its figures, whose bytes differ with the version of matplotlib."""
    return re.sub(r"data:image/png;base64,[^\"]+", "", page)


def test_the_committed_report_follows_from_the_committed_results(tmp_path):
    committed = ROOT / "results" / "reference"
    done = report(committed, tmp_path / "index.html")
    assert done.returncode == 0, done.stderr
    again, there = (
        without_pictures(path.read_text())
        for path in (tmp_path / "index.html", committed / "report" / "index.html")
    )
    assert again.splitlines() == there.splitlines()
    assert (tmp_path / "answer.md").read_text() == (committed / "report/answer.md").read_text()


def test_a_claim_that_does_not_hold_ends_the_command(tmp_path):
    write_asv(tmp_path / "raw", lambda _strategy, slot, density: seconds("null", slot, density))
    write_replays(tmp_path / "replay")
    done = report(tmp_path, tmp_path / "index.html")
    assert done.returncode == 1
    assert "04_answer.py does not hold" in done.stderr
    assert not (tmp_path / "index.html").exists()


def test_no_results_is_one_clear_line(tmp_path):
    done = report(tmp_path, tmp_path / "index.html")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no asv results")
    assert len(done.stderr.splitlines()) == 1
