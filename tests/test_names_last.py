"""Results stay comparable: every revision can be measured by the suite of every other.

asv hands parameters over by index and lets the measured revision import the suite, so neither the
parameters nor what the suite imports may depend on that revision. Slow is asv itself, over two
revisions: what it would stumble over is read from the suite first.
"""

import ast
import importlib.util
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from analysis.measured.load import OK, SKIPPED, load_results
from benchmarks import common, groups
from strategies import registry

ROOT = Path(__file__).resolve().parent.parent
SUITE = [
    importlib.util.find_spec(found.name).origin
    for found in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")
]
"""The files that asv imports."""

FIRST_NAMES = [
    *("c_bit_scan", "write_protect", "write_protect_batched", "double_buffer", "pte_flush", "null"),
]
FIRST_RECORDINGS = ["vga_desktop", "sqlite_oltp", "redis_ycsb", "gcc_compile"]

IMPORTED = {
    "strategies": {"registry"},
    "strategies.core": {
        *("atomics", "events", "hpt", "hpte", "locks", "machine", "memslot", "rmap"),
    },
    "strategies.core.clock": {"monotonic_ns"},
    "strategies.core.guest": {"VIEW_BASE", "store_pages"},
    "strategies.core.hpte": {"HPTE_R_RPN"},
    "strategies.core.jit": {"kernel"},
    "strategies.core.machine": {"TLB_DATA", "TLB_ENTRIES", "TLB_WORDS"},
    "strategies.core.tlb": {"flush_tlbs", "tlbie"},
    "strategies.core.vcpus": {"VcpuThreads"},
    "strategies.core.vm": {"MAPPINGS", "Vm"},
    "strategies.core.words": {"I64", "ONE"},
    "strategies.errors": {"InputError"},
    "strategies.replay.run": {"build", "check_harvest", "replay"},
    "strategies.workloads.trace": {"bundled", "load_trace"},
}
"""What the suite imports of the package. Every revision has it, earlier ones and later ones, so
nothing joins this table: what only newer revisions have is imported where it is used."""


def test_every_tracker_is_measured():
    missing = [name for name in registry.names() if name not in common.STRATEGIES]
    assert missing == [], f"append {missing} to STRATEGIES in benchmarks/common.py, at its end"


def test_names_are_appended_and_never_moved():
    assert common.STRATEGIES[: len(FIRST_NAMES)] == FIRST_NAMES
    assert common.RECORDINGS[: len(FIRST_RECORDINGS)] == FIRST_RECORDINGS
    assert len(set(common.STRATEGIES)) == len(common.STRATEGIES)


def test_the_suite_imports_only_what_every_revision_has():
    found = {}
    for path in SUITE:
        for node in ast.parse(Path(path).read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] != "benchmarks":
                found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    ours = {module: names for module, names in found.items() if module.startswith("strategies")}
    newer = {module: names - IMPORTED.get(module, set()) for module, names in ours.items()}
    assert not any(newer.values()), newer
    assert not [module for module in found if module.startswith("analysis")]


@pytest.mark.parametrize("module", IMPORTED)
def test_the_package_keeps_what_the_suite_imports(module):
    found = importlib.import_module(module)
    for name in IMPORTED[module]:
        assert hasattr(found, name) or importlib.import_module(f"{module}.{name}")


def test_the_suite_needs_numpy_numba_and_platformdirs_alone():
    """All else is hidden, as in the environment that asv makes."""
    hide = (
        "import importlib, pkgutil, sys\n"
        "known = {'numpy', 'numba', 'llvmlite', 'platformdirs', 'strategies', 'benchmarks'}\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if not (top in known or top in sys.stdlib_module_names or top[0] == '_'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "import benchmarks\n"
        "for found in pkgutil.walk_packages(benchmarks.__path__, 'benchmarks.'):\n"
        "    importlib.import_module(found.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_names_tell_exact_counts_racing_counts_and_times_apart():
    """Exact counts gate a change, racing ones vary from run to run, the rest are times."""
    for name in {name for name, _, _ in groups.suite_cells()}:
        module, suite, method = name.split(".")
        unit = getattr(getattr(sys.modules[f"benchmarks.{module}"], suite), method)
        unit = getattr(unit, "unit", "seconds")
        if method.startswith("track_exact_"):
            assert module in ("events", "recordings")
        elif method.startswith("track_racing_"):
            assert re.fullmatch(r"\w+/harvest", unit)
        elif method != "track_lost_pages":  # 0, or its cell fails
            assert unit in ("seconds", "ns", "ns/store", "copies", "times C")


# The real asv, over two revisions

NEWCOMER = '''
from strategies.fault.write_protect import WriteProtect


class Newcomer(WriteProtect):
    """write_protect under another name."""

    name = "newcomer"
'''
CONFIG = """{"version": 1, "project": "p", "repo": "%s", "branches": ["HEAD"], "pythons": ["same"],
"environment_type": "existing", "benchmark_dir": "%s", "results_dir": "results",
"launch_method": "forkserver"}"""
EXACT = r"events\.Events\.track_exact_tlbies"


def git(folder, *arguments):
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    command = ["git", "-C", folder, *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def revisions(tmp_path_factory):
    """Two checkouts and their commits: this tree; and the registry turned round, one more in it."""
    folder = tmp_path_factory.mktemp("revisions")
    old, new = folder / "old", folder / "new"
    for name in ("strategies", "benchmarks"):
        shutil.copytree(ROOT / name, old / name, ignore=shutil.ignore_patterns("__pycache__"))
    events = old / "benchmarks/events.py"
    events.write_text(events.read_text().replace("[256 * MIB]", "[MIB]"))
    git(folder, "init", "--quiet", str(old))
    git(old, "add", "--all")
    git(old, "commit", "--quiet", "-m", "old")
    git(folder, "clone", "--quiet", str(old), str(new))
    (new / "strategies/newcomer.py").write_text(NEWCOMER)
    with (new / "strategies/registry.py").open("a") as file:
        file.write(
            '\nTRACKERS["newcomer"] = Tracker("fault", 2026, "test", "newcomer:Newcomer")\n'
            "TRACKERS = dict(reversed(TRACKERS.items()))\n"
        )
    with (new / "benchmarks/common.py").open("a") as file:
        file.write('\nSTRATEGIES.append("newcomer")\n')
    git(new, "add", "--all")
    git(new, "commit", "--quiet", "-m", "new")
    return {path: git(path, "rev-parse", "HEAD") for path in (old, new)}


def measure(folder, suite, package, revisions):
    """Run a revision's package under a revision's suite; return the values by cell.

    A small slot, as plain Python: nothing has to be compiled.
    """
    folder.mkdir(exist_ok=True)
    repo = list(revisions)[1]
    (folder / "asv.conf.json").write_text(CONFIG % (repo, suite / "benchmarks"))
    environment = {**os.environ, "ASV_PYTHONPATH": str(package), "HOME": str(folder)}
    environment |= {"DIRTYLOG_GRID": "small", "NUMBA_DISABLE_JIT": "1"}
    for command in (
        ["machine", "--yes"],
        ["run", "--set-commit-hash", revisions[package], "--bench", EXACT],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "asv", *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    rows = load_results(folder / "results")
    rows = rows[rows["commit"] == revisions[package]]
    return rows.set_index(["benchmark", "strategy"])[["status", "value"]]


@pytest.mark.slow
def test_a_changed_registry_changes_no_result(revisions, tmp_path):
    old, new = revisions
    before = measure(tmp_path / "asv", new, old, revisions)
    after = measure(tmp_path / "asv", new, new, revisions)
    by_old_suite = measure(tmp_path / "old suite", old, new, revisions)

    assert set(before.xs("newcomer", level=1)["status"]) == {SKIPPED}
    known = before.drop("newcomer", level=1)
    assert set(known["status"]) == {OK}
    assert len(known) == len(common.STRATEGIES)
    assert after.drop("newcomer", level=1).equals(known)
    assert by_old_suite.equals(known)
    copy, original = (after.xs(name, level=1) for name in ("newcomer", "write_protect"))
    assert copy.equals(original)
    assert not original.equals(after.xs("c_bit_scan", level=1))

    compare = [sys.executable, "-m", "asv", "compare", *revisions.values(), "--only-changed"]
    done = subprocess.run(compare, cwd=tmp_path / "asv", capture_output=True, text=True, check=True)
    assert re.findall(r"^\| [-+]", done.stdout, re.MULTILINE) == []
