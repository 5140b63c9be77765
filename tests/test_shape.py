"""What `dirtylog trace` says and draws of a trace."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.text import Text

from strategies.cli import main
from strategies.workloads import shape
from strategies.workloads.figure import trace_figure
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import Trace, bundled, load_trace, save_trace

WRITES = [{0, 1, 2, 9}, {0}, set(), {0, 2, 3, 5, 6}]


def trace_of(writes, slot_pages=10, epoch_ms=5):
    offsets = np.cumsum([0, *map(len, writes)])
    gfns = np.array([gfn for one in writes for gfn in sorted(one)], np.uint32)
    meta = {"name": "t", "page_size": 4096, "slot_pages": slot_pages}
    return Trace(offsets, gfns, meta | {"epoch_ms": epoch_ms, "epochs": len(writes)})


SMALL = trace_of(WRITES)


def test_distinct_pages_are_the_unions_of_epochs():
    rows = shape.distinct_by_interval(SMALL)
    assert [row["interval_ms"] for row in rows] == [5, 10, 20]
    assert [row["pages"] for row in rows] == [10 / 4, (4 + 5) / 2, 7]
    assert [row["density"] for row in rows] == [0.25, 0.45, 0.7]
    assert shape.densities(SMALL).tolist() == [0.4, 0.1, 0, 0.5]


def test_the_working_set_takes_the_hottest_pages_first():
    assert shape.writes_by_page(SMALL).tolist() == [3, 2, 1, 1, 1, 1, 1]
    assert shape.working_set(SMALL) == {0.5: 2, 0.9: 6, 0.99: 7}


def test_runs_end_with_a_gap_and_with_an_epoch():
    assert shape.runs(SMALL).tolist() == [3, 1, 1, 1, 2, 2]
    assert shape.pages_by_run(SMALL) == pytest.approx([0.3, 0.7, 0, 0, 0, 0, 0])
    beside = trace_of([{3, 4}, {5, 6}])
    assert shape.runs(beside).tolist() == [2, 2]


def test_heat_is_the_share_of_pages_and_epochs():
    assert shape.heat(SMALL).shape == (10, 4)
    assert [set(np.flatnonzero(column).tolist()) for column in shape.heat(SMALL).T] == WRITES
    wide = trace_of([set(range(100)), set()] * 300, slot_pages=1000)
    heat = shape.heat(wide)
    assert heat.shape == shape.CELLS
    assert heat[0] == pytest.approx(0.5, abs=0.2)
    assert not heat[10:].any()
    assert (heat.mean() / wide.density) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("name", bundled())
def test_recordings_agree_with_themselves(name):
    trace = load_trace(name)
    rows = shape.distinct_by_interval(trace)
    assert rows[0]["density"] == pytest.approx(trace.density)
    assert rows[-1]["pages"] == len(shape.writes_by_page(trace)) == len(np.unique(trace.gfns))
    assert rows[-1]["interval_ms"] == pytest.approx(trace.epochs * trace.epoch_ms)
    assert shape.runs(trace).sum() == shape.writes_by_page(trace).sum() == len(trace.gfns)
    assert shape.pages_by_run(trace).sum() == pytest.approx(1)


def test_the_command_says_it(capsys):
    assert main(["trace", "redis_ycsb"]) == 0
    text = capsys.readouterr().out
    assert "redis_ycsb: 3000 epochs of 10 ms, 139937 pages of 4 KiB. Exact counts." in text
    assert "83204 pages ever written" in text
    assert "Pages in a run: 1.18, mean." in text
    assert max(map(len, text.splitlines())) < 120


def test_page_size_and_interval_are_those_asked_for(capsys):
    line = "trace vga_desktop --page-size 64KiB --interval 1s --format json"
    assert main(line.split()) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["page_bytes"], document["slot_pages"], document["epochs"]) == (65536, 48, 85)
    assert document["epoch_ms"] == pytest.approx(1000, rel=0.001)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_it_is_drawn(capsys, tmp_path, suffix):
    path = tmp_path / f"vga.{suffix}"
    assert main(["trace", "vga_desktop", "--out", str(path)]) == 0
    assert capsys.readouterr().err == f"wrote {path}\n"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    if suffix == "svg":
        assert ET.parse(path).getroot().tag.endswith("svg")
    else:
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("trace", [load_trace("vga_desktop"), SMALL, trace_of([set()])],
                         ids=["vga", "small", "empty"])  # fmt: skip
def test_the_figure_has_a_message_for_each_panel_and_human_units(trace):
    figure = trace_figure(trace)
    figure.canvas.draw()
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) == 5
    assert all(p.get_title() and p.get_xlabel() and p.get_ylabel() for p in panels)
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
    assert min(t.get_fontsize() for t in texts) >= 9
    assert not any("$" in t.get_text() or "e+" in t.get_text() for t in texts)


def test_an_empty_trace_and_a_synthetic_one_are_told(capsys, tmp_path):
    for one in (
        trace_of([set(), set()]),
        synthesize("uniform", slot_pages=70, density=0.5, epochs=3),
    ):
        save_trace(one, tmp_path / "one.npz")
        assert main(["trace", str(tmp_path / "one.npz"), "--out", str(tmp_path / "one.png")]) == 0
    assert "0 pages ever written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trace", "Missing argument 'TRACE'"),
        ("trace nosuch", "no such file; accepted: an npz file, or one of gcc_compile"),
        ("trace vga_desktop --out x.jpg", "accepted is FILE.png or FILE.svg"),
        ("trace vga_desktop --interval 1", "is not a duration"),
        ("trace vga_desktop --out /nowhere/x.png", "cannot write '/nowhere/x.png'"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, line, said):
    assert main(line.split()) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert error.count("\n") == 1
