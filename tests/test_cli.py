"""The command line: what it prints, what it refuses, and how it ends."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from strategies.cli import COMMANDS, main
from strategies.core.cache import cache_folder
from strategies.errors import InputError
from strategies.workloads.synthetic import PATTERNS, synthesize
from strategies.workloads.trace import bundled, load_trace, save_trace

PROGRAM = Path(sys.executable).with_name("dirtylog")


def dirtylog(*arguments, **options):
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,
    )


def assert_refused(finished, saying):
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("dirtylog: error: ")
    assert finished.stderr.count("\n") == 1
    assert saying in finished.stderr


# What it prints


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_help_lists_the_commands(words):
    finished = dirtylog(*words)
    assert finished.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in finished.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    finished = dirtylog(command, "-h")
    assert finished.returncode == 0
    assert finished.stdout.startswith(f"Usage: dirtylog {command} ")


def test_the_version_is_the_packages():
    assert dirtylog("--version").stdout == f"dirtylog {version('dirtylog')}\n"


def test_help_of_synth_names_every_pattern():
    text = dirtylog("synth", "--help").stdout
    assert all(pattern in text for pattern in PATTERNS)


def test_help_waits_for_no_library():
    code = (
        "import sys; from strategies.cli import main; main(['--help']);"
        "print(*{'numba', 'numpy', 'pandas', 'matplotlib', 'rich'} & set(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.splitlines()[-1] == ""


def test_traces_has_a_row_per_recording():
    header, *rows = dirtylog("traces").stdout.splitlines()
    assert header.split("  ")[0] == "trace"
    assert tuple(row.split()[0] for row in rows) == bundled()
    assert "139937" in dirtylog("traces").stdout


def test_strategies_lists_the_registry():
    from strategies.registry import names

    rows = json.loads(dirtylog("strategies", "--format", "json").stdout)
    assert tuple(row["name"] for row in rows) == names()
    assert all(row["summary"] for row in rows)
    parameters = [row for row in rows if row["parameter"]]
    assert len(dirtylog("strategies").stdout.splitlines()) == 1 + len(rows) + len(parameters)


# synth


def test_synth_writes_a_trace_and_says_so(tmp_path):
    path = tmp_path / "toy.npz"
    size = ["--slot", "1 MiB", "--density", "25%", "--epochs", 7, "--epoch-ms", 2.5]
    finished = dirtylog("synth", "zipf", *size, "--stores", 99, "--reads", 9, "--out", path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == (
        f"wrote {path}: 256 pages of 4 KiB, 7 epochs of 2.5 ms, mean density 25.000%\n"
    )
    trace = load_trace(path)
    assert (trace.slot_pages, trace.epochs, trace.density, trace.epoch_ms) == (256, 7, 0.25, 2.5)
    assert trace.stores.sum() == 7 * 99
    assert len(trace.read_gfns) == 7 * 9


def test_synth_replaces_a_file_only_when_told(tmp_path):
    path = tmp_path / "toy.npz"
    path.write_text("precious")
    arguments = ["synth", "uniform", "--pages", 65, "--out", path]
    assert_refused(dirtylog(*arguments), "exists; give another --out, or --force")
    assert path.read_text() == "precious"
    assert dirtylog(*arguments, "--force").returncode == 0
    assert load_trace(path).slot_pages == 65


# Bad input

BAD = [
    ("nothing", f"accepted: a command ({', '.join(COMMANDS)})"),
    ("study-everything", "No such command 'study-everything'; accepted: a command"),
    ("--loud", "No such option '--loud'; accepted: a command"),
    ("traces extra", "extra argument"),
    ("strategies --format yaml", "'yaml' is not one of 'table', 'json'"),
    ("synth", "Missing argument 'PATTERN'; see 'dirtylog synth --help'"),
    ("synth uniform", "Missing option '--out'"),
    ("synth gaussian --out x.npz", "no pattern 'gaussian'; accepted: uniform"),
    ("synth uniform --out x.npz --slot 12q", "'12q' is not a size; accepted:"),
    ("synth uniform --out x.npz --slot -4096", "'-4096' is not a size; accepted:"),
    ("synth uniform --out x.npz --slot 5000", "a multiple of 4KiB"),
    ("synth uniform --out x.npz --slot 16TiB", "slot_pages must be 1 to 2147483648"),
    ("synth uniform --out x.npz --slot 1GiB --pages 5", "accepted: one of them"),
    ("synth uniform --out x.npz --pages 0", "slot_pages must be 1 to"),
    ("synth uniform --out x.npz --pages many", "'many' is not a valid integer"),
    ("synth uniform --out x.npz --density nan", "'nan' is not a fraction; accepted: 0 to 1"),
    ("synth uniform --out x.npz --density 101%", "'101%' is not a fraction; accepted: 0 to 1"),
    ("synth framebuffer --out x.npz --density 50%", "density of framebuffer must be at most"),
    ("synth zipf --out x.npz --slot 1TiB", "slot of zipf must be at most 16777216 pages"),
    ("synth uniform --out x.npz --epochs 0", "epochs must be 1 or more"),
    ("synth uniform --out x.npz --epoch-ms inf", "epoch_ms must be a number from 1e-06"),
    ("synth uniform --out x.npz --seed -1", "seed must be 0 or more"),
    ("synth uniform --out x.npz --stores 3", "stores must be at least the 655 pages"),
    ("synth uniform --out x.npz --reads 65536", "reads must be at most the 64881 pages"),
    ("synth uniform --out x.npz --epochs 10000000", "accepted: at most 4294967296 bytes"),
    ("synth uniform --out nowhere/x.npz", "accepted: a file in a folder that exists"),
    ("synth uniform --out .", "is a directory"),
    ("replay", "Missing argument 'TRACE'"),
    ("replay nowhere.npz", "no such file; accepted: an npz file, or one of gcc_compile"),
    ("replay .", "not a regular file; accepted: an npz file, or one of gcc_compile"),
    ("replay vga_desktop redis_ycsb", "extra argument"),
    ("replay vga_desktop --strategy hope", "hope"),
    ("replay vga_desktop --vcpus 0", "0 is not in the range 1<=x<=64"),
    ("replay vga_desktop --vcpus 65", "65 is not in the range 1<=x<=64"),
    ("replay vga_desktop --page-size 16MiB", "'16MiB' is not one of '4KiB', '64KiB'"),
    ("replay vga_desktop --mapping random", "'random' is not one of 'linear', 'scattered'"),
    ("advise --slot 1GiB", "lacks --density, --interval; accepted: all three, or --trace"),
    ("advise --trace vga_desktop --density 1%", "accepted: it or --density, not both"),
    ("advise --trace vga_desktop --profile z80", "accepted: a TOML file, or one of arm64"),
    ("advise --trace vga_desktop --weights cpu=", "accepted: latency=, stall=, cpu="),
    ("advise --trace vga_desktop --weights cpu=0", "all weights are 0"),
    ("advise --trace vga_desktop --max-harvest 5", "accepted: above 0 as in 100ms"),
    ("advise --slot 5000 --density 1% --interval 1s", "a multiple of 4KiB"),
    ("replay vga_desktop --format csv", "'csv' is not one of 'table', 'json'"),
    ("advise --slot 1GiB --density 1% --interval 1s --weights cpu=1,cpu=2", "each once"),
    ("litmus --out ''", "--out is empty; accepted: a folder"),
    ("sweep --traces vga_desktop --out ''", "the dataset's place is empty"),
    ("model --profile .", "profile '.': not a regular file; accepted: a TOML file, or one of"),
    # What would be ignored
    ("model --density 1%", "the deployment lacks --slot, --interval; accepted: all three, or"),
    ("advise --trace vga_desktop --reads 5%", "accepted: it or --reads, not both"),
    ("advise --slot 1GiB --interval 1s --density 60% --reads 60%", "at most the 40% of the slot"),
    (
        "advise --trace vga_desktop --slot 1GiB --interval 1s --density 1%/s --dirty-rate 1MiB/s",
        "both say what is written; accepted: one",
    ),
    ("calibrate --vcpus 4", "--slot and --vcpus are of a --perf-test; accepted: with one"),
    ("litmus --out tests --run", "accepted: one of them"),
    # What would be lost at the end
    ("calibrate --out nowhere/x.toml", "accepted: a file in a folder that exists"),
    ("record --out nowhere/x.npz -- touch ran", "accepted: a file in a folder that exists"),
    (f"record --out {'x' * 201}.npz -- touch ran", "name must be 1 to 200 printable letters"),
]


@pytest.mark.parametrize(("line", "saying"), BAD, ids=[line or "nothing" for line, _ in BAD])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, line, saying):
    monkeypatch.chdir(tmp_path)
    status = main(shlex.split(line))
    assert_refused(subprocess.CompletedProcess(line, status, *capsys.readouterr()), saying)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_trace_is_one_line(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"not an archive")
    assert_refused(dirtylog("replay", tmp_path / "bad.npz"), "unreadable or damaged")


def test_results_where_a_file_is_are_refused(tmp_path):
    (tmp_path / "taken").write_text("precious")
    finished = dirtylog("replay", "vga_desktop", "--out", tmp_path / "taken")
    assert_refused(finished, "is a file")
    assert (tmp_path / "taken").read_text() == "precious"


def test_a_readme_without_a_place_for_the_answer_is_refused_before_there_is_one(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("precious")
    finished = dirtylog("report", "--results", tmp_path / "nowhere", "--readme", readme)
    assert_refused(finished, "has no place for the answer; accepted: a line <!-- results/")
    assert readme.read_text() == "precious"


@pytest.mark.parametrize("lines", ["raise SystemExit(0)", "def ("], ids=["it ends", "it is none"])
def test_a_file_that_is_no_tracker_is_one_line(tmp_path, lines):
    (tmp_path / "own.py").write_text(lines)
    own = f"{tmp_path / 'own.py'}:Own"
    assert_refused(dirtylog("replay", "vga_desktop", "--strategy", own), f"strategy {own!r}: S")


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("NUMBA_CACHE_DIR", ["replay", "vga_desktop", "--strategy", "null"]),
        ("DIRTYLOG_CACHE", ["record", "--out", "x.npz", "--", "true"]),
    ],
)
def test_where_compiled_code_cannot_be_kept_one_line_says_so(tmp_path, variable, words):
    (tmp_path / "taken").write_text("")
    environment = os.environ | {variable: str(tmp_path / "taken" / "cache")}
    finished = dirtylog(*words, cwd=tmp_path, env=environment)
    assert_refused(finished, "cannot keep compiled code in")
    assert "(Not a directory); accepted: a folder that can be written" in finished.stderr


def test_a_user_without_a_home_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr("strategies.core.cache.user_cache_dir", raising(RuntimeError("no home")))
    with pytest.raises(InputError, match=r"no home.*accepted: a folder in XDG_CACHE_HOME"):
        cache_folder()


def test_no_folder_for_fonts_is_no_message(tmp_path):
    (tmp_path / "taken").write_text("")
    environment = os.environ | {"MPLCONFIGDIR": str(tmp_path / "taken" / "x")}
    finished = dirtylog("trace", "vga_desktop", "--out", tmp_path / "v.png", env=environment)
    assert (finished.returncode, finished.stderr) == (0, f"wrote {tmp_path / 'v.png'}\n")


def test_letters_that_a_terminal_lacks_are_shown_as_their_numbers(tmp_path):
    trace = synthesize("uniform", slot_pages=9, density=0.5, epochs=2)
    save_trace(replace(trace, meta=trace.meta | {"name": "日本"}), tmp_path / "x.npz")
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    finished = dirtylog("trace", tmp_path / "x.npz", env=environment)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith(r"\u65e5\u672c: 2 epochs")


# How it ends


def raising(error):
    def fail(*_arguments):
        raise error

    return fail


def test_an_interrupt_ends_in_130(monkeypatch, capsys):
    monkeypatch.setattr("strategies.workloads.trace.bundled", raising(KeyboardInterrupt))
    assert main(["traces"]) == 130
    assert capsys.readouterr().err.strip() == "dirtylog: interrupted"


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("strategies.workloads.trace.bundled", raising(MemoryError("8 TiB")))
    assert main(["traces"]) == 2
    assert capsys.readouterr().err == (
        "dirtylog: error: not enough memory (8 TiB); use a smaller slot or trace\n"
    )


def test_a_reader_that_goes_away_is_no_error_message():
    with subprocess.Popen(
        [PROGRAM, "traces"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_on_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(
            [PROGRAM, "traces"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert finished.returncode == 2
    assert finished.stderr == "dirtylog: error: output: No space left on device\n"


def test_the_models_costs_have_four_digits(capsys):
    line = "model --profile power9 --slot 64GiB --density 0.1% --interval 1s"
    assert main(line.split()) == 0
    table = capsys.readouterr().out.split("\n\n")[1]
    numbers = re.findall(r"(?<=  )\d[\d.]*(?:e[+-]\d+)?(?=  )", table)
    assert len(numbers) > 100
    assert [n for n in numbers if len(n.partition("e")[0].replace(".", "").lstrip("0")) > 4] == []
