"""Let branch predictors forget: a harvest's time shall not hang on what ran before it.

In a machine at work a guest's branches come between two harvests. Here only the same few do, and a
harvest of KVM's then takes one of two or three times, up to 1.5 apart (METHODOLOGY, Real kernels).
"""

import ctypes
import mmap
import platform
from functools import cache

import numpy as np

JUMPS, APART = 1 << 16, 16
"""More than any predictor is known to hold, and bytes from one to the next."""
JUMP, RETURN = 0xE9, 0xC3
JUMP_BYTES = 5


def forget_branches():
    """Walk through JUMPS jumps, which takes 0.3 ms; on other processors than x86-64 do nothing."""
    if platform.machine() == "x86_64":
        _walk()()


@cache
def _walk():
    """Return a function of machine code: jumps, each to the next, then a return."""
    region = mmap.mmap(-1, JUMPS * APART, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code = np.frombuffer(region, np.uint8).reshape(JUMPS, APART)
    code[:, 0] = JUMP
    code[:, 1] = APART - JUMP_BYTES  # relative to the next instruction, 32 bits, lowest byte first
    code[-1, 0] = RETURN
    function = ctypes.CFUNCTYPE(None)(code.ctypes.data)
    function.code = code  # lives as long as the function
    return function
