"""Commands for the guest, at random: hypercalls, loads and stores with good and bad arguments.

A command is nine words: what to do and r4 to r11. All draw on a small world, so that groups fill
up, an AVPN is often the right one, and pages of 4 KiB, 64 KiB and 16 MiB share their bytes. Under
logging there are two commands more, of the host: to the guest they are hypercalls that nobody has.
"""

import random

import numpy as np

from strategies.core.hpt import group_of, hpte_v_of, virtual_address
from strategies.core.hpte import (
    HPTE_R_C,
    HPTE_R_I,
    HPTE_R_KEY_HI,
    HPTE_R_KEY_LO,
    HPTE_R_M,
    HPTE_R_N,
    HPTE_R_PP,
    HPTE_R_PP0,
    HPTE_R_R,
    HPTE_R_W,
    HPTE_V_BOLTED,
    HPTE_V_LARGE,
    HPTE_V_SECONDARY,
    HPTE_V_VALID,
    LP_64K,
    SHIFT_4K,
    SHIFT_16M,
    SHIFT_64K,
)
from strategies.core.papr import H_ANDCOND, H_AVPN, H_EXACT, H_READ_4

WORDS = 9
LOAD, STORE, SLBMTE = 1, 2, 3
HARVEST, TOGGLE = 5, 6
"""What the host does: take the log; stop logging, or start it again."""
REMOVE, ENTER, READ, PROTECT, BULK_REMOVE = 0x04, 0x08, 0x0C, 0x18, 0x124
NAMES = {
    LOAD: "load",
    STORE: "store",
    SLBMTE: "slbmte",
    HARVEST: "harvest",
    TOGGLE: "logging off or on",
    REMOVE: "H_REMOVE",
    ENTER: "H_ENTER",
    READ: "H_READ",
    PROTECT: "H_PROTECT",
    BULK_REMOVE: "H_BULK_REMOVE",
}
ARGUMENTS = {LOAD: 1, STORE: 2, SLBMTE: 2, REMOVE: 3, ENTER: 4, READ: 2, PROTECT: 3, BULK_REMOVE: 8}
ARGUMENTS |= {HARVEST: 0, TOGGLE: 0}
WEIGHTS = {ENTER: 24, REMOVE: 16, BULK_REMOVE: 4, PROTECT: 12, READ: 10, LOAD: 15, STORE: 19}
LOGGED_WEIGHTS = WEIGHTS | {HARVEST: 1, TOGGLE: 0.2}

RAM_BYTES = 1 << 28
HPT_ORDER = 21
"""log2 of the bytes of the HPT that QEMU gives a guest of 256 MiB."""
NHPTES = (1 << HPT_ORDER) // 16

DATA = 8 << SHIFT_16M, 10 << SHIFT_16M
"""Physical addresses that the guest maps; its commands and results lie elsewhere."""

SEGMENT = 1 << 40
SEGMENTS = {SHIFT_4K: (1, 0), SHIFT_64K: (2, 0x110), SHIFT_16M: (3, 0x100)}
"""ESID and the L and LP bits of the SLB for each page size."""

MASK = (1 << 64) - 1
RIGHTS = [0, 1, 2, 2, 2, 3, 3, int(HPTE_R_PP0) | 2]
"""The protections the architecture defines, the usual ones more often."""

WIMG_M, WIMG_I, WIMG_W = int(HPTE_R_M), int(HPTE_R_I), int(HPTE_R_W)
GUARDED = 0x08
WIMG_BAD = [0, GUARDED, WIMG_M | GUARDED, WIMG_W, WIMG_W | WIMG_M, WIMG_W | WIMG_I, 0x78]
WIMG_BAD_FOR_RAM = [*WIMG_BAD, WIMG_I, WIMG_I | GUARDED, WIMG_I | WIMG_M, WIMG_I | WIMG_M | GUARDED]
LP_BAD = [0x2000, 0x3000, 0x6000, 0x9000, 0xA000, 0xF000, 0x10000, 0x80000, 0x18000, 0xF0000]
"""L bit set, and an LP field that is no page size to either side."""
UNALIGNED_16M = [1 << 20, 1 << 23]
"""Address bits inside a 16 MiB page that are not in its LP field."""
UNHEEDED = [63 - 16, 63 - 25, 63 - 27, 63 - 40, 63 - 41, 63 - 48, 63 - 49, 20]
"""Flags that change nothing on either side: zero page, I-cache, H_R_XLATE, and unknown ones."""
BAD_PTEX = [NHPTES, NHPTES + 7, 1 << 20, 1 << 32, 1 << 55, 1 << 63, MASK]


class World:
    """The few addresses and groups that the commands of one run use.

    Parameters
    ----------
    machine : Machine
        For the size of its HPT and of its base pages: physical addresses are multiples of those.
    is_single : bool
        Each address has one HPTE where it may be, so that it never has two that are valid.
    data : (int, int)
        Physical addresses, from and to.
    """

    def __init__(self, rng, machine, is_single=False, data=DATA):
        self.rng = rng
        self.is_single = is_single
        self.last = None
        granule = 1 << machine.page_shift
        self.spots = [rng.randrange(*data, granule) for _ in range(6)]
        self.pages = {shift: self._pages(machine, shift) for shift in SEGMENTS}
        hot = {g for pages in self.pages.values() for _, _, groups in pages for g in groups}
        self.groups = sorted(hot)  # where accesses look
        self.cold = [g for g in rng.sample(range(0, NHPTES, 8), 8) if g not in hot][:2]

    def _pages(self, machine, shift):
        """Return address, dword 0 and both groups of pages; each four share their groups."""
        found = []
        for _ in range(2):
            first = self.rng.randrange(NHPTES // 8)
            for alias in range(4):
                ea = SEGMENTS[shift][0] * SEGMENT + (first + alias * NHPTES // 8 << shift)
                va = np.uint64(virtual_address(np.uint64(ea)))
                groups = [int(group_of(machine, va, shift, s)) for s in range(2)]
                found.append((ea, int(hpte_v_of(va, shift)) | int(HPTE_V_VALID), groups))
        return found

    @property
    def all_groups(self):
        """The groups that its commands name: a set."""
        return {*self.groups, *self.cold}

    def page(self):
        """Return a page: log2 of its size, its address, dword 0 and its two groups.

        Half the time it is the last one again: what a TLB keeps is used soon.
        """
        if self.last is None or self.rng.random() < 0.5:
            shift = self.rng.choice([*SEGMENTS, SHIFT_4K])
            self.last = shift, *self.rng.choice(self.pages[shift])
        return self.last

    def real(self, shift):
        """Return the address of a page of physical memory."""
        return self.rng.choice(self.spots) >> shift << shift


def some_bits(rng, mask):
    """Return a random part of the bits of `mask`."""
    return rng.getrandbits(64) & int(mask)


def unheeded(rng):
    """Return, one time in four, a flag that changes nothing."""
    return 1 << rng.choice(UNHEEDED) if rng.random() < 0.25 else 0


def rights(rng, cold):
    """Return PP, N and key as bits of dword 1; reserved PP only where no access goes."""
    pp = some_bits(rng, HPTE_R_PP0 | HPTE_R_PP) if cold else rng.choice(RIGHTS)
    return pp | some_bits(rng, HPTE_R_N | HPTE_R_KEY_HI | HPTE_R_KEY_LO)


def enter(world):
    """Return H_ENTER's arguments: mostly a page where an access looks for it."""
    rng = world.rng
    shift, ea, pteh, groups = world.page()
    secondary, place = rng.random() < 0.4, rng.randrange(8)
    if world.is_single:
        place = (ea % SEGMENT >> shift) // (NHPTES // 8)
        secondary = place % 2 == 1
    ptex = groups[secondary]
    if secondary:
        pteh |= int(HPTE_V_SECONDARY)
    pteh |= some_bits(rng, 0x68 | HPTE_V_BOLTED)
    cold = rng.random() < 0.1
    if cold:
        ptex = rng.choice(world.cold)
    ptel = world.real(shift) | rights(rng, cold) | WIMG_M
    ptel |= rng.choice([0, 0, int(HPTE_R_R), int(HPTE_R_C), int(HPTE_R_R | HPTE_R_C)])
    if shift == SHIFT_64K:
        ptel |= int(LP_64K)
    flags = unheeded(rng)
    if world.is_single or rng.random() < 0.4:
        flags |= int(H_EXACT)
    ptex |= place

    spoil = rng.random()
    if spoil < 0.02:
        ptex = rng.choice(BAD_PTEX)
    elif spoil < 0.05:
        ptel = ptel & ~0x78 | rng.choice(WIMG_BAD_FOR_RAM)
    elif spoil < 0.07:
        ptel += rng.choice([RAM_BYTES, 1 << 40])
    elif spoil < 0.08:
        ptel = (ptel + RAM_BYTES) & ~0x78 | rng.choice(WIMG_BAD)
    elif spoil < 0.10 and shift != SHIFT_4K:
        ptel = ptel & ~0xFF000 | rng.choice(LP_BAD)
    elif spoil < 0.12 and shift == SHIFT_16M:
        ptel |= rng.choice(UNALIGNED_16M)
    elif spoil < 0.13:
        pteh ^= 1 << rng.choice([1, 7, 8, 20, 61, 62, 63])
    elif spoil < 0.14 and cold:
        pteh = some_bits(rng, ~HPTE_V_LARGE) | int(HPTE_V_VALID)
    return flags, ptex, pteh, ptel


def some_ptex(world, groups):
    """Return a PTE index: mostly in `groups`, sometimes in a cold one or beyond the HPT."""
    chance = world.rng.random()
    if chance < 0.04:
        return world.rng.choice(BAD_PTEX)
    if chance < 0.12:
        groups = world.cold
    return world.rng.choice(groups) + world.rng.randrange(8)


def named(world):
    """Return a PTE index with the flags and the AVPN argument of a call that names an HPTE."""
    rng = world.rng
    _, _, pteh, groups = world.page()
    ptex, flags, avpn = some_ptex(world, groups), 0, 0
    kind = rng.random()
    if kind < 0.5:
        flags, avpn = int(H_AVPN), pteh & ~0x7F
        if rng.random() < 0.1:
            avpn ^= 1 << rng.choice([0, 4, 7, 8, 61, 62, 63])
        if rng.random() < 0.05:
            flags |= int(H_ANDCOND)
    elif kind < 0.75:
        flags = int(H_ANDCOND)
        avpn = rng.choice([int(HPTE_V_BOLTED), 2, 0x28, 1 << 9, 0])
    elif kind < 0.85:
        avpn = rng.getrandbits(64)
    return ptex, flags, avpn


def remove(world):
    ptex, flags, avpn = named(world)
    return flags | unheeded(world.rng), ptex, avpn


def protect(world):
    ptex, flags, avpn = named(world)
    wanted = rights(world.rng, ptex & ~7 in world.cold)
    flags |= (wanted >> 55 & 0x100) | (wanted >> 48 & 0x3000) | (wanted & 0xE07)
    return flags | unheeded(world.rng), ptex, avpn


def read(world):
    flags = world.rng.choice([0, int(H_READ_4)]) | unheeded(world.rng)
    return flags, some_ptex(world, world.groups)


def bulk_remove(world):
    """Return four requests of H_BULK_REMOVE, each perhaps malformed, perhaps an end mark."""
    rng = world.rng
    words = []
    for _ in range(4):
        ptex, flags, avpn = named(world)
        kind = flags >> 30
        first = 0x40 | kind | some_bits(rng, 0x3C)
        chance = rng.random()
        if chance < 0.05:
            first = rng.choice([0x00, 0x80, 0x81, 0x43])
        elif chance < 0.1:
            first = 0xC0
        words += [first << 56 | ptex & (1 << 56) - 1, avpn]
    return words


def load(world):
    """Return an address of a page; its physical bytes are those of pages of other sizes, too."""
    shift, ea, _, _ = world.page()
    return (ea | world.rng.choice(world.spots) & (1 << shift) - 1,)


def store(world):
    return *load(world), world.rng.getrandbits(64)


def look(world):
    """Return the commands that read every HPTE there may be, and then take the log."""
    groups = [*world.groups, *world.cold]
    reads = [(READ, int(H_READ_4), group + half) for group in groups for half in (0, 4)]
    return [*reads, (HARVEST,)]


MAKERS = {
    ENTER: enter,
    REMOVE: remove,
    BULK_REMOVE: bulk_remove,
    PROTECT: protect,
    READ: read,
    LOAD: load,
    STORE: store,
    TOGGLE: lambda _world: (),
}


def segments():
    """Return the commands that fill the SLB: what every run begins with."""
    commands = np.zeros((len(SEGMENTS), WORDS), np.uint64)
    for row, (esid, l_lp) in zip(commands, SEGMENTS.values(), strict=True):
        vsid = int(virtual_address(np.uint64(esid * SEGMENT))) >> 40
        row[:3] = SLBMTE, 1 << 62 | vsid << 24 | l_lp, esid * SEGMENT | 1 << 27 | esid
    return commands


def generate(seed, count, machine, *, is_logged=False, is_single=False):
    """Return at least `count` random commands.

    Parameters
    ----------
    is_logged : bool
        Also harvests, before each of which all HPTEs are read.
    is_single : bool
        No address ever has two valid HPTEs.

    Returns
    -------
    uint64[n, 9]
        For each what to do and r4 to r11.
    """
    world = World(random.Random(seed), machine, is_single)
    return _draw(world, LOGGED_WEIGHTS if is_logged else WEIGHTS, count)


def generate_apart(seed, count, machine):
    """Return lists of random commands for two vCPUs that share no group of the HPT and no page."""
    rng = random.Random(seed)
    first, end = DATA
    halves = (first, (first + end) // 2), ((first + end) // 2, end)
    while True:
        worlds = [World(rng, machine, data=half) for half in halves]
        if not worlds[0].all_groups & worlds[1].all_groups:
            return [_draw(world, WEIGHTS, count) for world in worlds]


def _draw(world, weights, count):
    """Return at least `count` random commands in a world."""
    rows = []
    for kind in world.rng.choices(list(weights), weights.values(), k=count):
        rows += look(world) if kind == HARVEST else [(kind, *MAKERS[kind](world))]
    commands = np.zeros((len(rows), WORDS), np.uint64)
    for row, words in zip(commands, rows, strict=True):
        row[: len(words)] = words
    return commands


def line(command):
    """Return a command as a person reads it."""
    kind = int(command[0])
    arguments = (f"{int(word):#x}" for word in command[1 : 1 + ARGUMENTS[kind]])
    return f"{NAMES[kind]}({', '.join(arguments)})"
