"""Lets a program that is recorded wait for the recorder, not for a time."""

import ctypes
import os
import random
import time

TICKS = 2
PAGES = 4096
LIMIT_SECONDS = 300


def wait_until_taken(buffer):
    """Return when harvests have taken all that was written to a buffer before.

    Its last whole page is written and waited for so often. A harvest goes from the first page to
    the last: the one that takes the last page first may have passed others before they were
    written, the next one has them, and what is written afterwards it has passed.
    """
    end = ctypes.addressof(ctypes.c_char.from_buffer(buffer)) + len(buffer)
    page = end // 4096 - 1
    give_up = time.monotonic() + LIMIT_SECONDS
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
    for _ in range(TICKS):
        buffer[len(buffer) - (end - page * 4096)] = 1
        while not os.pread(pagemap, 8, page * 8)[7] & 2:  # bit 57: write-protected again
            assert time.monotonic() < give_up, "no harvest takes the page"
            time.sleep(0.001)
    os.close(pagemap)


def write_bursts(region, seed, count):
    """Write pages of a region of PAGES in bursts that are taken one by one; return them."""
    chance, bursts = random.Random(seed), []
    wait_until_taken(region)
    for _ in range(count):
        burst = chance.sample(range(PAGES - 1), chance.randrange(1, 900))
        for page in burst:
            region[page * 4096 + 7] = 1
        bursts.append(sorted(burst))
        wait_until_taken(region)
    return bursts
