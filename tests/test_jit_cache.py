"""Compiled code comes from the disk, and never from sources that have changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import strategies

# A small kernel, whose constant and whose callee are in another file of the core.
PROGRAM = """
from strategies.core.asks import U64, form
print(hex(form(U64(0), 16)))
"""
CALLER = """
from strategies.core.h_change import hpte_is_writable
from strategies.core.hpt import hpte_v_of
from strategies.core.jit import inlined, kernel
from strategies.core.words import U64


@kernel
def form(va, shift):
    return hpte_v_of(va, shift)


@kernel
def ask(r):
    return hpte_is_writable(r)


@inlined
def plus(n, k):
    return n + k


@kernel
def sums(n):
    return plus(n, 1) + plus(n, k=2)
"""


@pytest.fixture
def sources(tmp_path):
    """A copy of the package, with one more file of kernels, one of which calls into hpte.py."""
    package = Path(strategies.__file__).parent
    copy = tmp_path / "strategies"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "recordings"))
    (copy / "core" / "asks.py").write_text(CALLER)
    return copy


def run(sources, program):
    """Run a program on a copy of the package; return what it printed."""
    environment = os.environ | {
        "PYTHONPATH": str(sources.parent),
        "NUMBA_CACHE_DIR": str(sources.parent / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("NUMBA_DISABLE_JIT", None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=sources.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def cached(sources):
    """The files of the cache and when each was written."""
    files = (sources.parent / "cache").rglob("*.nb*")
    return {str(path): path.stat().st_mtime_ns for path in files}


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_unchanged_sources_hit_the_cache(sources):
    first = run(sources, PROGRAM)
    files = cached(sources)
    assert files
    assert run(sources, PROGRAM) == first == ["0x4000000000000004"]
    assert cached(sources) == files


def test_changed_constant_of_another_file_is_compiled_anew(sources):
    run(sources, PROGRAM)
    change(sources / "core" / "hpte.py", "HPTE_V_LARGE = bit(2)", "HPTE_V_LARGE = bit(3)")
    assert run(sources, PROGRAM) == ["0x4000000000000008"]


def test_changed_callee_of_another_file_is_compiled_anew(sources):
    program = "from strategies.core.asks import U64, ask; print(ask(U64(2)))"
    assert run(sources, program) == ["True"]
    files = cached(sources)
    change(
        sources / "core" / "hpte.py",
        "return permission != PP_RXRX and permission != PP_RXXX",
        "return permission == PP_RXRX",
    )
    assert run(sources, program) == ["False"]
    change(sources / "core" / "hpte.py", "return permission == PP_RXRX", "return True")
    assert run(sources, program) == ["True"]
    assert files.keys() < cached(sources).keys()


def test_what_is_inlined_is_compiled_once_for_all_constants_and_apart_for_python(sources):
    program = "from strategies.core.asks import plus, sums; print(sums(3), plus(3, 4))"
    assert run(sources, program) == ["9", "7"]
    versions = [path for path in cached(sources) if path.endswith(".nbc") and ".plus-" in path]
    assert len(versions) == 1
