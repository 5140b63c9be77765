"""Let branch predictors forget: a harvest's time shall not hang on what ran before it.

In a machine at work a guest's branches come between two harvests. Here only the same few do, and a
harvest of KVM's then takes one of two or three times, up to 1.5 apart (METHODOLOGY, Real kernels).
"""

import ctypes
import mmap
import platform
from functools import cache

JUMPS = 1 << 16
"""Enough here: half as many leave some harvests quick (measured)."""
JUMP, RETURN = bytes.fromhex("eb00"), bytes.fromhex("c3")
"""x86-64 code: a jump to the next instruction, and a return."""


def forget_branches():
    """Walk through JUMPS jumps, which takes 0.3 ms; on other processors than x86-64 do nothing."""
    if platform.machine() == "x86_64":
        _walk()()


@cache
def _walk():
    """Return a function of machine code: jumps, then a return; it is 128 KiB long."""
    code = JUMP * JUMPS + RETURN
    region = mmap.mmap(-1, len(code), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    region.write(code)
    function = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(region)))
    function.region = region  # lives as long as the function
    return function
