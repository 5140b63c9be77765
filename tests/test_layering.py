"""Who may import whom, and who may touch what, read from the sources."""

import ast
from functools import cache
from pathlib import Path

import pytest

import analysis
import strategies
from strategies import registry

STRATEGIES = Path(strategies.__file__).parent
ANALYSIS = Path(analysis.__file__).parent
CORE = sorted((STRATEGIES / "core").glob("*.py"))
TRACKERS = [registry.module_of(name) for name in registry.names()]
TRACKER_FILES = [STRATEGIES.parent / f"{name.replace('.', '/')}.py" for name in TRACKERS]
PART_FILES = [
    path
    for folder in sorted({path.parent for path in TRACKER_FILES} - {STRATEGIES})
    for path in sorted(folder.glob("*.py"))
    if path not in TRACKER_FILES and path.stem != "__init__"
]
"""What trackers are made of that are more than a file, beside them."""

ALL = sorted(STRATEGIES.rglob("*.py")) + sorted(ANALYSIS.rglob("*.py"))

LOCAL_ARRAYS = {"gfns", "out"}
"""What kernels may index: arrays of their caller's that no other thread touches."""


@cache
def tree_of(path):
    return ast.parse(path.read_text(), path.name)


@cache
def imports_of(path):
    """The modules that a file imports, and `module.name` for each name it imports from one."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path):
    return {name for name in imports_of(path) if name.split(".")[0] in ("strategies", "analysis")}


def names_in(path):
    """All identifiers of a file: names, attributes and imported names."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found |= set(node.name.split("."))
    return found


def kernels_of(path):
    """The functions of a file that are compiled."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            if decorators & {"kernel", "inlined", "jit.kernel", "jit.inlined"}:
                yield node


def found_in(paths, find):
    """What is found in each file where something is; each rule demands {}."""
    assert paths
    found = {str(path.relative_to(STRATEGIES.parent)): find(path) for path in paths}
    return {path: what for path, what in found.items() if what}


def imports_but(path, *allowed):
    return [name for name in ours(path) if not name.startswith(allowed)]


def imports_from(path, *forbidden):
    return [name for name in ours(path) if name.startswith(forbidden)]


def test_core_imports_core_alone():
    allowed = ("strategies.core.", "strategies.errors.", "strategies.costs.")
    assert found_in(CORE, lambda path: imports_but(path, *allowed)) == {}


def test_tracker_imports_core_and_base_alone_and_its_parts():
    parts = (f"strategies.{part.parent.name}.{part.stem}." for part in PART_FILES)
    allowed = ("strategies.core.", "strategies.base.", *parts)
    assert found_in(TRACKER_FILES + PART_FILES, lambda path: imports_but(path, *allowed)) == {}


def test_lanes_know_no_simulated_machine():
    core = {"atomics", "clock", "jit", "memory", "words"}
    forbidden = (*TRACKERS, "strategies.base", "strategies.registry", "strategies.replay")

    def of_the_machine(path):
        imported = imports_from(path, "strategies.core.")
        others = [name for name in imported if name.split(".")[2] not in core]
        return others + imports_from(path, *forbidden)

    assert found_in(sorted((STRATEGIES / "lanes").glob("*.py")), of_the_machine) == {}


def test_analysis_does_not_import_the_machine_or_trackers():
    forbidden = ("strategies.core", *TRACKERS)
    files = sorted(ANALYSIS.rglob("*.py"))
    assert found_in(files, lambda path: imports_from(path, *forbidden)) == {}


WINGS = ("measured", "model", "advice", "report", "fleet")
"""Folders of `analysis`, in the order of imports: each may import those before it."""


@pytest.mark.parametrize("wing", WINGS[:-1])
def test_imports_between_the_wings_of_analysis_go_one_way(wing):
    later = [f"analysis.{name}" for name in WINGS[WINGS.index(wing) + 1 :]]
    files = sorted((ANALYSIS / wing).rglob("*.py"))
    assert found_in(files, lambda path: imports_from(path, *later)) == {}


FIGURES = (
    STRATEGIES / "replay" / "figure.py",
    STRATEGIES / "workloads" / "figure.py",
    ANALYSIS / "fleet" / "figures.py",
)
"""The only files below the report that draw: a replay's figure, a trace's, and a fleet's three."""


def test_matplotlib_is_for_the_report_and_the_files_of_figures():
    files = [path for path in ALL if "report" not in path.parts and path not in FIGURES]

    def drawn(path):
        return [name for name in imports_of(path) if name.startswith("matplotlib")]

    assert found_in(files, drawn) == {}


def test_strategies_do_not_import_analysis():
    files = sorted(STRATEGIES.rglob("*.py"))
    assert found_in(files, lambda path: imports_from(path, "analysis")) == {}


def test_jit_is_named_in_one_file():
    jitters = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "generated_jit"}

    def used(path):
        of_numba = {
            node.attr
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "numba"
        }
        imported = {n.split(".")[-1] for n in imports_of(path) if n.startswith("numba.")}
        return (of_numba | imported) & jitters

    assert [*found_in(ALL, used)] == ["strategies/core/jit.py"]


def test_atomic_machinery_is_named_in_one_file():
    machinery = {"atomic_rmw", "cmpxchg", "load_atomic", "store_atomic", "inttoptr"}
    found = found_in(ALL, lambda path: names_in(path) & machinery)
    assert [*found] == ["strategies/core/atomics.py"]


def test_machine_words_are_not_indexed():
    def indexed(path):
        return [
            ast.unparse(node)
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Attribute)
            and ast.unparse(node.value.value).split(".")[-1] == "machine"
        ]

    assert found_in([path for path in ALL if path.name != "atomics.py"], indexed) == {}


def test_kernels_index_only_what_is_their_callers():
    def others(path):
        found = {
            ast.unparse(node.value)
            for function in kernels_of(path)
            for node in ast.walk(function)
            if isinstance(node, ast.Subscript)
        }
        return {name for name in found if not name.isupper()} - LOCAL_ARRAYS

    assert found_in(CORE + TRACKER_FILES + PART_FILES, others) == {}


def test_kernels_are_found():
    """The rule above sees something."""
    assert sum(1 for path in CORE for _ in kernels_of(path)) > 60
