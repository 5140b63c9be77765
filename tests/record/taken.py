"""Lets a program that is recorded wait for the recorder, not for a time."""

import ctypes
import os
import time

TICKS = 3


def wait_until_taken(buffer):
    """Return when harvests have taken all that was written, and then one the first page alone.

    The first page of a buffer is written and waited for so often: the first harvest that takes it
    may have passed other pages before they were written, the second has them, the third no more.
    """
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    page = -(-address // 4096)
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
    for _ in range(TICKS):
        buffer[page * 4096 - address] = 1
        while not os.pread(pagemap, 8, page * 8)[7] & 2:  # bit 57: write-protected again
            time.sleep(0.001)
    os.close(pagemap)
