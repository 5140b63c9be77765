"""Command lines: every command, with option values that are right, nearly right, or anything."""

import json
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from fuzzing import file_of, fuzz, judge, refusal_of
from hypothesis import strategies as st

from strategies.registry import names
from strategies.replay.run import build, replay
from strategies.units import parse_duration, parse_fraction, parse_size, parse_weights
from strategies.workloads.checks import MAX_NAME
from strategies.workloads.figure import trace_figure
from strategies.workloads.synthetic import PATTERNS, synthesize
from strategies.workloads.trace import save_trace

# No argument of a process holds a 0. One with a slash might name a file that the tests must not
# touch. Bytes that are no UTF-8 arrive as surrogates.
characters = st.characters(exclude_characters="\0/", max_codepoint=0x2FFFF) | st.sampled_from(
    [*"0123456789.,=-+%eEKMGTiBns_ \n\t", "\udc80", "\udcff", "µ", "٤", "\u2028"]
)
anything = st.text(characters, max_size=12)
long = st.sampled_from(["9" * 400, "9" * 4000, "9" * 5000, "x" * 300, "x" * 5000, "1e" + "9" * 9])

figures = st.one_of(
    st.integers(-3, 2000).map(str),
    st.floats(-2, 2000).map(str),
    st.sampled_from(
        ["", "0", "0.0", "1e-9", "1e99", "nan", "inf", "-0", "00", "1_0", "0x10", "+1"]
    ),
)
units = st.sampled_from(
    ["", " ", "B", "k", "KiB", "MiB", "G", "TiB", "%", "ns", "us", "µs", "ms", "s"]
)
quantities = st.tuples(figures, units).map("".join)
odd = st.one_of(anything, long, quantities)

PARSERS = [parse_size, parse_fraction, parse_duration, parse_weights]


@fuzz("option values", st.sampled_from(PARSERS), odd)
def test_a_quantity(parse, text):
    parsed = []
    if refusal_of(lambda: parsed.append(parse(text))) is None and parse is not parse_weights:
        assert 0 <= parsed[0] < float("inf")


def of(*values):
    """Values of an option: mostly the given ones, sometimes anything."""
    return st.one_of(st.sampled_from(values), st.sampled_from(values), odd)


def options(accepted):
    """Some options with their values, in any order and repeated."""
    pairs = [
        values.map(lambda value, name=name: [name, value]) for name, values in accepted.items()
    ]
    flags = st.sampled_from([["--help"], ["--nonsense"], ["extra"], ["--"], ["-"]])
    chosen = st.lists(st.one_of(*pairs, *pairs, flags), max_size=4)
    return chosen.map(lambda parts: [word for part in parts for word in part])


# In memory and time a valid command stays small.
SIZES = ("4096", "64KiB", "1MiB", "0.5 MiB", "5000", "16TiB", "1PiB")
TRACES = ("toy.npz", "reads.csv", "$\\frac{$.npz", "日本 1e5,.npz", "\udcff.npz", "x" * 240)


@cache
def made():
    """Return files, name -> bytes: traces, and a damaged one; compile the kernels, draw once."""
    files = {"bad.npz": b"PK\x03\x04"}
    for name in TRACES:
        stem = Path(name).stem
        reads = 9 if stem == "reads" else 0
        trace = synthesize("uniform", slot_pages=100, density=0.1, epochs=3, reads=reads)
        if stem.isprintable():
            trace = replace(trace, meta=trace.meta | {"name": stem[:MAX_NAME]})
        with file_of(b"") as path:
            save_trace(trace, path)
            files[name] = path.read_bytes()
    for shift, vcpus, name in product((12, 16), (1, 2), names()):
        coarse = trace.coarsen(shift)
        replay(coarse, name, *build(coarse, vcpus=vcpus, page_shift=shift, mapping="linear"))
    trace_figure(trace).canvas.draw()
    return files


def judge_line(argv, accepted=(0, 2), **more):
    """Judge a command line in a folder of those files; what is printed as JSON is JSON."""
    files = made() | more
    with TemporaryDirectory() as base:
        # Two folders down: what is written to `..` by mistake is seen, and does no harm.
        folder = Path(base, "work")
        Path(folder, "folder").mkdir(parents=True)
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        status, out = judge(argv, folder, accepted)
        if status != 2 and out.startswith("{"):
            json.loads(out, parse_constant=pytest.fail)
    return status


scenario = {
    "--slot": of(*SIZES),
    "--density": of("0", "1", "50%", "1e-9", "5%/s", "999999999999999/s"),
    "--dirty-rate": of("1B/s", "264MiB/s", "999999999999999TB/s"),
    "--interval": of("1ns", "100ms", "60Hz", "1min", "999999999999999s"),
    "--reads": of("0", "1"),
    "--resend": of("1us"),
    "--mapping": of("scattered"),
}
rest_of_advise = {
    "--page-size": of("4KiB", "64KiB", "2MiB", "16MiB", "1GiB"),
    "--trace": of(*TRACES, "bad.npz", "folder", "vga_desktop"),
    "--vcpus": of("1", "4096"),
    "--profile": of("power9", "power9-radix", "arm64", "folder", "toy.npz"),
    "--max-harvest": of("1ns", "1s"),
    "--max-stall": of("0", "0%", "100%"),
    "--weights": of("latency=1", "stall=999999999,cpu=0.000000001", "cpu=0", "latency=0,stall=0"),
    "--format": of("table", "json"),
}
given = st.sampled_from([[], *[["--slot", "1MiB", "--density", "1%", "--interval", "10ms"]] * 4])


@fuzz("advise", given, options(scenario | rest_of_advise))
def test_advise(scenario, words):
    judge_line(["advise", *scenario, *words], accepted=(0, 2, 3))


@fuzz("model", given, options(scenario | {"--strategy": of(*names()), "--format": of("json")}))
def test_model(scenario, words):
    judge_line(["model", *scenario, *words])


synth_options = {
    "--slot": of(*SIZES),
    "--pages": of("1", "63", "1000", "2147483649"),
    "--density": of("0", "1", "1%", "1e-9"),
    "--epochs": of("1", "2", "0", "99999999999"),
    "--epoch-ms": of("1", "0.001", "nan", "1e300"),
    "--seed": of("0", "7", "-1", "99999999999999999999"),
    "--stores": of("0", "1000", "67108865"),
    "--reads": of("0", "9", "1001"),
    "--out": of("y.npz", "toy.npz", "folder", "folder/y", "toy.npz/y", "nowhere/y", "", "."),
    "--force": st.just("--force"),
}
small = ["--density", "1%", "--epochs", "2", "--out", "x.npz", "--pages", "100"]


@fuzz("synth", of(*PATTERNS), options(synth_options))
def test_synth(pattern, words):
    judge_line(["synth", *small, pattern, *words])


replay_options = {
    "--profile": of("power8", "nowhere"),
    "--strategy": of(*names(), "null:4", ":", ".py:", "toy.npz:A", "nowhere.py:A:4", "folder.py:"),
    "--interval": of("1ns", "30ms", "999999999999999s", "0s"),
    "--vcpus": of("1", "2", "64", "65"),
    "--page-size": of("4KiB", "64KiB"),
    "--mapping": of("linear", "scattered"),
    "--format": of("table", "json"),
    "--out": st.sampled_from(["toy.npz", "toy.npz/x", "a/b/" + "x" * 300, "x" * 5000]),
}


@fuzz("replay", of(*TRACES, "bad.npz", "folder", "nowhere.npz", ""), options(replay_options))
def test_replay(trace, words):
    judge_line(["replay", trace, *words])


trace_options = {
    "--interval": of("1ns", "30ms", "999999999999999s", "0s"),
    "--page-size": of("4KiB", "64KiB"),
    "--format": of("table", "json"),
    "--out": of("x.png", "x.svg", "toy.npz", "folder", "folder/x.png", "nowhere/x.png", ""),
}


@fuzz("trace", of(*TRACES, "bad.npz", "folder", "nowhere.npz", ""), options(trace_options))
def test_trace(trace, words):
    judge_line(["trace", trace, *words])


others = st.tuples(
    st.sampled_from(["strategies", "traces", "study", "trace", "contract"]),
    odd | st.just("--format"),
)
explore = st.tuples(
    st.just("explore"),
    st.sampled_from(["--strategy", "--bound", "--replay", "--defect"]),
    odd,
    st.just("no program"),  # all programs take a minute
)
commands = st.one_of(odd, of("strategies", "traces"), st.just("--help"))


words = st.one_of(others, explore, st.tuples(commands), st.tuples(odd, odd), st.just(()))


@fuzz("other commands", words)
def test_other_commands(words):
    judge_line(list(words))


# What was found

DEPLOYMENT = "advise --slot 1MiB --density 1% --interval 10ms"
FOUND = {
    "no stall allowed": ([*DEPLOYMENT.split(), "--max-stall", "0"], 3),
    "epochs beyond a float": (["synth", "uniform", *small, "--epochs", "9" * 400], 2),
    "epochs beyond what is printed": (["synth", "uniform", *small, "--epochs", "9" * 4300], 2),
    "no name": (["synth", "uniform", *small, "--out", "", "--force"], 2),
    "folders that cannot be made": (["replay", "toy.npz", "--out", "a/b/" + "x" * 300], 2),
    "files that cannot be made": (["replay", "x" * 240, "--out", "a/b"], 2),
    "formula in the name": (["replay", "$\\frac{$.npz", "--out", "a", "--strategy", "null"], 0),
    "no glyph for the name": (["replay", "日本 1e5,.npz", "--out", "a", "--strategy", "null"], 0),
    "a name that is no text": (["synth", "uniform", *small, "--out", "\udcfe.npz"], 0),
}


@pytest.mark.parametrize(("argv", "status"), FOUND.values(), ids=FOUND)
def test_what_was_found(argv, status):
    assert judge_line(argv, accepted=(status,)) == status


@pytest.mark.parametrize("depth", [100, 900, 970, 990, 5000])
def test_meta_nested_deeply_is_printed_or_refused(depth):
    note = "[" * depth + "]" * depth
    meta = {"name": "deep", "page_size": 4096, "slot_pages": 9, "epoch_ms": 1, "epochs": 1}
    text = json.dumps(meta)[:-1] + f', "note": {note}}}'
    with file_of(b"", "deep.npz") as path:
        np.savez(path, offsets=np.zeros(2, np.int64), gfns=np.zeros(0, np.uint32), meta=text)
        deep = path.read_bytes()
    argv = ["replay", "deep.npz", "--strategy", "null", "--format", "json"]
    judge_line(argv, **{"deep.npz": deep})
