"""asv as a fresh clone has it: no question on the machine, short tables, pages without network."""

import functools
import http.server
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from asv.config import Config
from platformdirs import user_cache_dir

from benchmarks import history
from benchmarks.asv_plugin import VENDOR, what_ran

ROOT = Path(__file__).resolve().parent.parent
RECORDED = Path(__file__).parent / "data" / "asv"
README = (ROOT / "README.md").read_text()
CONFIG = json.loads((ROOT / "asv.conf.json").read_text())

STRANGERS = {
    "version": 1,
    "their-laptop": {"machine": "their-laptop", "cpu": "of theirs", "num_cpu": "64"},
    "their-server": {"machine": "their-server", "cpu": "of theirs", "num_cpu": "64"},
}
SUITE = """
class Suite:
    params = (["one", "two", "three"], [1, 2, 3])
    param_names = ("name", "n")
    version = "1"

    def track_it(self, name, n):
        return n
"""


def asv(*arguments, **environment):
    """Run the real asv in this tree; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "asv", *arguments],
        cwd=ROOT,
        env={**os.environ, "ASV_PYTHONPATH": str(ROOT), "DIRTYLOG_GRID": "small", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# The configuration


def test_asvs_environment_has_this_python_and_what_the_suite_imports():
    """Its versions are those of all tests, and switching revisions installs one wheel, no more."""
    config = Config.load(str(ROOT / "asv.conf.json"))
    assert config.pythons == [f"{sys.version_info.major}.{sys.version_info.minor}"]
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split("\n") if line
    )
    required = CONFIG["matrix"]["req"]
    assert set(required) == {"numpy", "numba", "platformdirs", "pip+asv_runner"}
    assert {name: [pins[name.removeprefix("pip+")]] for name in required} == required
    assert "--no-deps" in CONFIG["build_command"][0]
    assert "--no-deps --no-index" in CONFIG["install_command"][0]
    assert CONFIG["uninstall_command"] == []


# The machine and the tables


@pytest.fixture
def project(tmp_path):
    """A suite that runs at once, in a repository of one commit, with our plugin."""
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "__init__.py").write_text(SUITE)
    (tmp_path / ".asv-machine.json").write_text(json.dumps(STRANGERS))
    config = {key: CONFIG[key] for key in ("version", "plugins", "launch_method")} | {
        "project": "p",
        "repo": ".",
        "environment_type": "existing",
        "pythons": ["same"],
        "benchmark_dir": "suite",
        "results_dir": "results",
    }
    (tmp_path / "asv.conf.json").write_text(json.dumps(config))
    commit_all(tmp_path)
    return tmp_path


def commit_all(folder):
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*who, "commit", "--quiet", "-m", "all"],
    ):
        subprocess.run(["git", "-C", folder, *command], check=True)
    head = ["git", "-C", folder, "rev-parse", "HEAD"]
    return subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", [None, "reference"])
def test_the_machine_is_this_one_and_nobody_is_asked(project, name):
    config = ("--config", str(project / "asv.conf.json"), *(("--machine", name) if name else ()))
    asv("run", *config, "--set-commit-hash", "HEAD", HOME=str(project))
    name = name or platform.node()
    machine = json.loads((project / "results" / name / "machine.json").read_text())
    assert (machine["machine"], machine["num_cpu"]) == (name, str(os.cpu_count()))
    (result,) = (project / "results" / name).glob("*-existing*.json")
    assert json.loads(result.read_text())["params"]["cpu"] == machine["cpu"] != "of theirs"
    assert json.loads((project / ".asv-machine.json").read_text()) == STRANGERS


def test_tables_show_what_ran(project):
    config = ("--config", str(project / "asv.conf.json"), "--bench")
    one = asv("run", *config, "'two', 3", HOME=str(project))
    assert re.search(r"Suite\.track_it +3 \(two, 3\)\n$", one)
    few = asv("run", *config, "'two', [23]", HOME=str(project))
    assert "n/a" not in few
    assert re.search(r"two:\n", few)
    assert re.findall(r"^ +([0-9] +[0-9]) *$", few, re.MULTILINE) == ["2   2", "3   3"]


def test_a_failed_cell_is_no_cell_that_did_not_run():
    params = [["a", "b"], ["1", "2"]]
    nothing = (float("nan"), None)
    assert what_ran([nothing, (None, None), nothing, nothing], params) == [["a"], ["2"]]
    assert what_ran([nothing] * 4, params) is None


# What the README and the files for a user's CI say


def commands_of_the_readme():
    """The commands of the section, without their remarks; `.ci/run` runs them all."""
    section = re.search(r"## Measure a change\n(.*?)\n## ", README, re.DOTALL)[1]
    return [shlex.split(line, comments=True) for line in re.findall(r"^    (.+)$", section, re.M)]


def test_the_readme_names_asvs_commands_and_targets_of_make():
    by_program = {}
    for program, name, *_ in commands_of_the_readme():
        by_program.setdefault(program, []).append(name)
    assert by_program[".venv/bin/asv"] == ["check", "run", "continuous", "compare"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "history" in by_program["make"]
    assert set(by_program["make"]) <= set(targets)


@pytest.mark.slow
def test_the_readmes_smoke_is_of_the_whole_small_grid_in_60_lines(tmp_path):
    cache = os.environ.get("NUMBA_CACHE_DIR", user_cache_dir("dirtylog"))
    check, smoke = (c for c in commands_of_the_readme() if c[1] in ("check", "run"))
    assert "No problems found" in asv(*check[1:], HOME=str(tmp_path))
    lines = asv(*smoke[1:], HOME=str(tmp_path), NUMBA_CACHE_DIR=cache).splitlines()
    assert 20 < len(lines) <= 60
    assert any(
        re.search(r"Events.track_exact_tlbies +1310 \(write_protect,", line) for line in lines
    )


def test_the_workflow_calls_the_script_with_artifacts():
    folder = ROOT / "benchmarks" / "ci"
    steps = yaml.safe_load((folder / "github-actions.yml").read_text())["jobs"]["gate"]["steps"]
    (command,) = [step["run"] for step in steps if "run" in step]
    (kept,) = [step["with"]["path"] for step in steps if "upload" in step.get("uses", "")]
    script = ROOT / command.split()[0]
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    assert f"found={kept}\n" in script.read_text()


def test_the_script_refuses_a_tracker_that_the_suite_lacks():
    script = ROOT / "benchmarks" / "ci" / "gate.sh"
    done = subprocess.run(
        [script, "HEAD", "HEAD", "pml|mine"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "gate.sh: no mine in STRATEGIES of benchmarks/common.py\n"


def test_asv_times_a_tracker_that_the_study_only_counts():
    cell = "time_get_dirty_log.*'manual_protect', 16777216, 0.0,"
    command = "run", "-E", "existing", "--quick", "--bench", cell
    assert "(manual_protect, 16777216, 0.0" in asv(*command, DIRTYLOG_GRID="")


# The pages

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of a commit's results, and of some whose commit the repository lacks."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "repo").mkdir()
    (folder / "repo" / "file").write_text("")
    commit = commit_all(folder / "repo")
    results = shutil.copytree(RECORDED, folder / "raw")
    (path,) = results.glob("fixture/*-*.json")
    content = json.loads(path.read_text()) | {"commit_hash": commit}
    path.with_name(f"{commit[:8]}-virtualenv-py3.11.json").write_text(json.dumps(content))
    said = list(history.publish(folder / "repo", [results, folder / "none"], folder / "html"))
    assert said[0].endswith(" come from them: 81a72e45")
    assert said[1].startswith("1 result files are shown in ")
    return folder / "html"


def test_nothing_to_show_is_said_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(history, "SOURCES", (tmp_path,))
    assert history.main() == 2
    assert capsys.readouterr().err.startswith("history: nothing to show: accepted are results of ")


def test_pages_load_nothing_from_elsewhere(pages):
    text = (pages / "index.html").read_text()
    loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]*)"', text)
    assert len(loaded) > 15
    missing = [name for name in loaded if not (pages / name).exists() and name != "regressions.xml"]
    assert missing == []
    assert {path.name for path in VENDOR.iterdir()} - set(loaded) == {"LICENSES.txt"}


@pytest.fixture(scope="module")
def address(pages):
    """Where the pages are served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    handler = functools.partial(Quiet, directory=pages)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def shown(address, tmp_path):
    """What Chromium has drawn of a page, with no network but this machine, as HTML."""
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium")
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        *("--virtual-time-budget=10000", "--dump-dom"),
    )
    command = [CHROMIUM, *options, address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout


def test_chromium_draws_the_pages_without_network(address, tmp_path):
    grid = shown(f"{address}#/", tmp_path)
    assert "Cells.time_sum" in grid
    assert "failed to load" not in grid
    graph = shown(f"{address}#suite.Cells.time_sum?x-axis=slot_bytes", tmp_path)
    assert len(re.findall("<canvas", graph)) >= 2
    assert "density-0; strategy-scan" in graph
    assert len(re.findall("flot-tick-label", graph)) > 5
