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


def parametrize(paths):
    ids = [str(path.relative_to(STRATEGIES.parent)) for path in paths]
    return pytest.mark.parametrize("path", paths, ids=ids)


@parametrize(CORE)
def test_core_imports_core_alone(path):
    allowed = ("strategies.core.", "strategies.errors.", "strategies.costs.")
    assert [name for name in ours(path) if not name.startswith(allowed)] == []


@parametrize(TRACKER_FILES + PART_FILES)
def test_tracker_imports_core_and_base_alone_and_its_parts(path):
    parts = (f"strategies.{part.parent.name}.{part.stem}." for part in PART_FILES)
    allowed = ("strategies.core.", "strategies.base.", *parts)
    assert [name for name in ours(path) if not name.startswith(allowed)] == []


@parametrize(sorted((STRATEGIES / "lanes").glob("*.py")))
def test_lanes_know_no_simulated_machine(path):
    core = {"atomics", "clock", "jit", "memory", "words"}
    of_core = {name.split(".")[2] for name in ours(path) if name.startswith("strategies.core.")}
    assert of_core <= core
    forbidden = (*TRACKERS, "strategies.base", "strategies.registry", "strategies.replay")
    assert [name for name in ours(path) if name.startswith(forbidden)] == []


@parametrize(sorted(ANALYSIS.rglob("*.py")))
def test_analysis_does_not_import_the_machine_or_trackers(path):
    forbidden = ("strategies.core", *TRACKERS)
    assert [name for name in ours(path) if name.startswith(forbidden)] == []


WINGS = ("measured", "model", "advice", "report", "fleet")
"""Folders of `analysis`, in the order of imports: each may import those before it."""


@parametrize([path for wing in WINGS for path in sorted((ANALYSIS / wing).rglob("*.py"))])
def test_imports_between_the_wings_of_analysis_go_one_way(path):
    wing = path.relative_to(ANALYSIS).parts[0]
    later = tuple(f"analysis.{name}" for name in WINGS[WINGS.index(wing) + 1 :])
    assert [name for name in ours(path) if later and name.startswith(later)] == []


FIGURES = (
    STRATEGIES / "replay" / "figure.py",
    STRATEGIES / "workloads" / "figure.py",
    ANALYSIS / "fleet" / "figures.py",
)
"""The only files below the report that draw: a replay's figure, a trace's, and a fleet's three."""


@parametrize([path for path in ALL if "report" not in path.parts])
def test_matplotlib_is_for_the_report_and_the_files_of_figures(path):
    drawn = [name for name in imports_of(path) if name.startswith("matplotlib")]
    assert drawn == [] or path in FIGURES


@parametrize(sorted(STRATEGIES.rglob("*.py")))
def test_strategies_do_not_import_analysis(path):
    assert [name for name in ours(path) if name.startswith("analysis")] == []


@parametrize(ALL)
def test_jit_is_named_in_one_file(path):
    jitters = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "generated_jit"}
    used = {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "numba"
    }
    used |= {name.split(".")[-1] for name in imports_of(path) if name.startswith("numba.")}
    assert bool(used & jitters) == (path == STRATEGIES / "core" / "jit.py")


@parametrize(ALL)
def test_atomic_machinery_is_named_in_one_file(path):
    machinery = {"atomic_rmw", "cmpxchg", "load_atomic", "store_atomic", "inttoptr"}
    assert bool(names_in(path) & machinery) == (path == STRATEGIES / "core" / "atomics.py")


@parametrize([path for path in ALL if path.name != "atomics.py"])
def test_machine_words_are_not_indexed(path):
    found = [
        ast.unparse(node)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and ast.unparse(node.value.value).split(".")[-1] == "machine"
    ]
    assert found == []


@parametrize(CORE + TRACKER_FILES + PART_FILES)
def test_kernels_index_only_what_is_their_callers(path):
    found = {
        ast.unparse(node.value)
        for function in kernels_of(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript)
    }
    constants = {name for name in found if name.isupper()}
    assert found - constants <= LOCAL_ARRAYS


def test_kernels_are_found():
    """The rule above sees something."""
    assert sum(1 for path in CORE for _ in kernels_of(path)) > 60
