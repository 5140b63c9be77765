"""The interleaving explorer: small programs of the real kernels under all schedules to a bound.

Importing it disables the JIT of this process, without which kernels cannot be stopped half-way; so
nothing of `strategies.core` may have been imported before.
"""

import os
import sys

from strategies.errors import InputError

if "numba" not in sys.modules:
    os.environ["NUMBA_DISABLE_JIT"] = "1"
elif not sys.modules["numba"].config.DISABLE_JIT:
    raise InputError("the explorer needs a process of its own, or NUMBA_DISABLE_JIT=1")
