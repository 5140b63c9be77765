"""The one jit wrapper: every kernel of the project is compiled with the flags set here.

Compiled code is kept on disk. Numba stamps a cached kernel only with its own file, so it would
run old code after a *callee* in another file changed; the cache folder is therefore named after
a digest of all the package's sources (and numba's version). The explorer is left out, which runs
with the JIT disabled, and the contract, which has no kernels.
"""

import hashlib
from pathlib import Path

import numba
from numba import config
from numba.types import unliteral

from strategies.core.cache import cache_folder

PACKAGE = Path(__file__).resolve().parent.parent


def source_digest():
    """Return a hex digest of numba's version and every source file of the package."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=12)
    others = {path for name in ("explore", "contract") for path in (PACKAGE / name).rglob("*.py")}
    for path in sorted(set(PACKAGE.rglob("*.py")) - others):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


if not config.DISABLE_JIT:
    config.CACHE_DIR = str(cache_folder(config.CACHE_DIR) / source_digest())

_FLAGS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

kernel = numba.njit(cache=True, **_FLAGS)
"""Compile a function that Python calls, or that is too large to be worth inlining."""


def inlined(function):
    """Compile a small function into each of its callers (LLVM `alwaysinline`).

    Numba compiles a callee anew for each constant that it is called with, though LLVM finds the
    constants where it inlines: one version is enough. And it compiles what unpacks the arguments
    that Python passes, which for a machine is longer than most functions: what kernels call does
    without, and Python's own calls have a version apart, compiled in each process that makes one.
    """
    if config.DISABLE_JIT:
        return function
    from_python = numba.njit(forceinline=True, **_FLAGS)(function)
    from_kernels = numba.njit(forceinline=True, cache=True, no_cpython_wrapper=True, **_FLAGS)(
        function
    )
    from_python.get_overload = from_kernels.get_overload
    from_python.get_call_template = lambda args, kws: from_kernels.get_call_template(
        [unliteral(kind) for kind in args],
        {name: unliteral(kind) for name, kind in kws.items()},
    )
    return from_python
