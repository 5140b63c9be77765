"""The slow, obvious oracle: a guest, its HPT and the pages written, in dicts and sets.

It shares no code with the machine. It has no TLB, no rings, no locks and no bitmaps: a page is
written when somebody wrote it, and a log is a set. Numbers are those of the kernel's headers and of
PAPR, written out again.
"""

from dataclasses import dataclass

H_SUCCESS, H_PARAMETER, H_PTEG_FULL, H_NOT_FOUND = 0, -4, -6, -7
H_EXACT, H_READ_4, H_AVPN, H_ANDCOND = 1 << 39, 1 << 37, 1 << 31, 1 << 30

VALID, SECONDARY, LARGE, BOLTED, ABSENT, HVLOCK = 1, 2, 4, 0x10, 0x20, 0x40
AVPN = 0x3FFF_FFFF_FFFF_FF80
SEG_1TB = 1 << 62

PP, N, WIMG, C, R = 3, 4, 0x78, 0x80, 0x100
M, W_I_M = 0x10, 0x70
KEY_LO, KEY_HI, PP0 = 0xE00, 3 << 60, 1 << 63
RPN = 0x0FFF_FFFF_FFFF_F000
LP_64K = 0x1000
RWXX, RWRX, RWRW, RXRX, RXXX = 0, 1, 2, 3, PP0 | 2
LINUX_RIGHTS = M | R | C | RWRW

BASE, ALIAS, BIG, SMALL = range(4)
LOG_C_BIT, LOG_ABSENT = 1, 3
GROUP = 8
WORD = (1 << 64) - 1


def page_shift_of(v, r):
    """log2 of an HPTE's page size, or None."""
    if not v & LARGE:
        return 12
    if r & 0xF000 == LP_64K:
        return 16
    return 24 if r & 0xFFF000 == 0 else None


def is_writable(r):
    return r & (PP0 | PP) not in (RXRX, RXXX)


def scatter(page, bits, seed):
    mask = (1 << bits) - 1
    half = (bits + 1) // 2
    page ^= seed & mask
    page = page * 0x2545F491 & mask
    page ^= page >> half
    page = page * 0x5851F42D & mask
    return page ^ page >> half


@dataclass
class Hpte:
    """One HPTE as the guest sees it."""

    v: int
    r: int
    gfn: int
    npages: int
    is_mapped: bool  # False: the next access of either kind faults, or a harvest mapped it
    has_c: bool  # the hardware's C
    is_stale: bool = False  # R was cleared, but a TLB may still have the translation
    is_r_unsure: bool = False  # ... and an access was made since

    @property
    def pages(self):
        return range(self.gfn, self.gfn + self.npages)

    @property
    def dont_care(self):
        return R if self.is_r_unsure else 0


class Naive:
    """A guest with one tracker, of which it knows what it asks of the machine (LOG_C_BIT ...).

    A hypercall returns its code and its results, `{register: (value, bits that may be either)}`.
    """

    def __init__(self, log_mode, page_shift, hpt_order, vcpus, guest_pages, scattered, seed):
        self.log_mode = log_mode
        self.page_shift = page_shift
        self.nhptes = (1 << hpt_order) // 16
        self.scattered = scattered
        self.guest_bits = max(25, ((guest_pages << page_shift) - 1).bit_length())
        self.seed = seed
        self.slots = []
        self.hptes = {}
        self.stamps = [0] * guest_pages
        self.logs = {}
        self.saved_c = set()  # pages whose HPTE went, or lost C, while it was set
        self.evictions = [0] * vcpus

    # Addresses.

    def shift_of(self, view):
        return {BIG: 24, SMALL: 12}.get(view, self.page_shift)

    def address(self, view, gfn):
        shift = self.shift_of(view)
        ea = gfn << self.page_shift
        if self.scattered:
            offset = ea % (1 << shift)
            ea = scatter(ea >> shift, self.guest_bits - shift, self.seed) << shift | offset
        ea |= view << 44
        vsid = ((ea >> 40) + 1) * 12538073 % 0xFFFFFF
        return vsid << 40 | ea % (1 << 40)

    def group(self, va, shift, secondary):
        vsid, offset = va >> 40, va % (1 << 40)
        hashed = vsid ^ vsid << 25 ^ offset >> shift
        ngroups = self.nhptes // GROUP
        primary = hashed % ngroups
        return GROUP * (ngroups - 1 - primary if secondary else primary)

    @staticmethod
    def pteh(va, shift):
        page = va >> shift << shift
        return (page >> 23) << 7 & AVPN | SEG_1TB | (LARGE if shift > 12 else 0)

    def ptel(self, gfn, shift, rights):
        gpa = (gfn << self.page_shift) >> shift << shift
        return gpa | rights | (LP_64K if shift == 16 else 0)

    def find(self, va, shift):
        for secondary in (0, SECONDARY):
            want = self.pteh(va, shift) | secondary
            group = self.group(va, shift, secondary)
            for index in range(group, group + GROUP):
                hpte = self.hptes.get(index)
                if hpte and hpte.v & (AVPN | SEG_1TB | LARGE | SECONDARY) == want:
                    return index
        return None

    # Slots and logs.

    def slot_of(self, gfn):
        for slot, (base, npages) in enumerate(self.slots):
            if base <= gfn < base + npages:
                return slot
        return None

    def hptes_of(self, slot):
        return [hpte for hpte in self.hptes.values() if self.slot_of(hpte.gfn) == slot]

    def log(self, pages):
        slot = self.slot_of(pages[0])
        if slot in self.logs:
            self.logs[slot].update(pages)

    def enable(self, slot):
        if slot not in self.logs:
            self.logs[slot] = set()
            self.rearm(slot)

    def disable(self, slot):
        self.logs.pop(slot, None)
        for hpte in self.hptes_of(slot):
            hpte.is_mapped = True

    def harvest(self, slot):
        """The gfns written since the last harvest."""
        log = self.logs[slot]
        if log:
            self.logs[slot] = set()
            self.rearm(slot)
        return log

    def rearm(self, slot):
        self.saved_c -= {gfn for gfn in self.saved_c if self.slot_of(gfn) == slot}
        for hpte in self.hptes_of(slot):
            hpte.has_c = False
            hpte.is_mapped &= self.log_mode != LOG_ABSENT

    # Loads and stores.

    def touch(self, vcpu, view, gfn, stamp=None):
        """Load, or store `stamp`; return whether the guest could."""
        va, shift = self.address(view, gfn), self.shift_of(view)
        index = self.find(va, shift)
        if index is None:
            if self.guest_map(vcpu, va, shift, gfn) != H_SUCCESS:
                return False
            index = self.find(va, shift)
        hpte = self.hptes[index]
        is_store = stamp is not None
        if is_store and not is_writable(hpte.r):
            return False
        is_logged = is_store or (self.log_mode == LOG_ABSENT and not hpte.is_mapped)
        if is_logged and is_writable(hpte.r):
            self.log(hpte.pages)
        hpte.is_mapped = True
        if hpte.is_stale and not hpte.r & R:
            hpte.is_r_unsure = True
        else:
            hpte.r |= R
            hpte.is_r_unsure = False
        if is_store:
            hpte.r |= C
            hpte.has_c = True
            gpa = hpte.r & RPN & -(1 << shift) | va % (1 << shift)
            self.stamps[gpa >> self.page_shift] = stamp
        return True

    def host_store(self, gfn, stamp):
        if self.slot_of(gfn) is None:
            return False
        self.stamps[gfn] = stamp
        self.log([gfn])
        if self.slot_of(gfn) in self.logs:
            self.saved_c.add(gfn)
        return True

    def unmap(self, gfn):
        """Let the host take a page away; return the indices of its HPTEs.

        The guest sees no change, and no log gains or loses a page.
        """
        indices = [index for index, hpte in self.hptes.items() if hpte.gfn == gfn]
        for index in indices:
            hpte = self.hptes[index]
            self.take_c(hpte)
            hpte.is_mapped = hpte.is_stale = False
        return indices

    def guest_map(self, vcpu, va, shift, gfn):
        while True:
            for secondary in (0, SECONDARY):
                code, _ = self.h_enter(
                    0,
                    self.group(va, shift, secondary),
                    self.pteh(va, shift) | secondary,
                    self.ptel(gfn, shift, LINUX_RIGHTS),
                )
                if code != H_PTEG_FULL:
                    return code
            turn = self.evictions[vcpu]
            group = self.group(va, shift, turn % 2)
            for k in range(GROUP):
                victim = group + (turn // 2 + k) % GROUP
                if self.h_remove(H_ANDCOND, victim, BOLTED)[0] == H_SUCCESS:
                    self.evictions[vcpu] += 1
                    break

    # Hypercalls.

    def h_enter(self, flags, index, pteh, ptel):
        shift = page_shift_of(pteh, ptel)
        if index >= self.nhptes or shift is None or ptel & WIMG not in (M, W_I_M):
            return H_PARAMETER, {}
        gfn = (ptel & RPN & -(1 << shift)) >> self.page_shift
        npages = max(1, 1 << shift >> self.page_shift)
        slot = self.slot_of(gfn)
        if slot is None or any(number % npages for number in self.slots[slot]):
            return H_PARAMETER, {}
        first = index - index % GROUP
        wanted = [index] if flags & H_EXACT else range(first, first + GROUP)
        free = [index for index in wanted if index not in self.hptes]
        if not free:
            return H_PTEG_FULL, {}
        v = pteh & ~(VALID | ABSENT | HVLOCK) | VALID
        is_mapped = not (self.log_mode == LOG_ABSENT and slot in self.logs)
        hpte = Hpte(v, ptel, gfn, npages, is_mapped, bool(ptel & C) and gfn in self.saved_c)
        self.hptes[free[0]] = hpte
        if hpte.has_c and self.log_mode == LOG_C_BIT:
            self.log(hpte.pages)  # C is in the HPTE from the start, and speaks for all its pages
        return H_SUCCESS, {0: (free[0], 0)}

    def named(self, flags, index, avpn):
        """The HPTE a hypercall names, or the code of its failure."""
        if index >= self.nhptes:
            return H_PARAMETER
        hpte = self.hptes.get(index)
        if (
            not hpte
            or (flags & H_AVPN and hpte.v & ~0x7F != avpn)
            or (flags & H_ANDCOND and hpte.v & avpn)
        ):
            return H_NOT_FOUND
        return hpte

    def take_c(self, hpte):
        if hpte.has_c:
            self.saved_c.add(hpte.gfn)
        hpte.has_c = False

    def h_remove(self, flags, index, avpn):
        hpte = self.named(flags, index, avpn)
        if isinstance(hpte, int):
            return hpte, {}
        self.take_c(hpte)
        del self.hptes[index]
        return H_SUCCESS, {0: (hpte.v, 0), 1: (hpte.r, hpte.dont_care)}

    def h_bulk_remove(self, registers):
        results = {}
        for number in range(0, 8, 2):
            request, condition = registers[number], registers[number + 1]
            what, kind, index = request >> 62, request >> 56 & 3, request & (1 << 56) - 1
            if what == 3:
                break
            if what != 1 or kind == 3 or index >= self.nhptes:
                results[number] = (0xA0 | kind) << 56 | index, 0
                return H_PARAMETER, results
            flags = (0, H_ANDCOND, H_AVPN)[kind]
            code, removed = self.h_remove(flags, index, condition)
            if code == H_SUCCESS:
                r, dont_care = removed[1]
                answer = (0x80 | kind | (r & (R | C)) >> 5) << 56 | index
                results[number] = answer, (dont_care >> 5) << 56
            else:
                results[number] = (0x90 | kind) << 56 | index, 0
        return H_SUCCESS, results

    def h_protect(self, flags, index, avpn):
        hpte = self.named(flags & H_AVPN, index, avpn)
        if isinstance(hpte, int):
            return hpte, {}
        hpte.r &= ~(PP0 | PP | N | KEY_HI | KEY_LO)
        hpte.r |= flags << 55 & PP0 | flags << 48 & KEY_HI | flags & (PP | N | KEY_LO)
        hpte.is_stale = False
        return H_SUCCESS, {}

    def h_read(self, flags, index):
        if index >= self.nhptes:
            return H_PARAMETER, {}
        results = {}
        indices = range(index - index % 4, index - index % 4 + 4) if flags & H_READ_4 else [index]
        for number, each in enumerate(indices):
            hpte = self.hptes.get(each)
            # Dword 1 of what is not valid is not defined.
            results[2 * number] = (hpte.v, 0) if hpte else (0, 0)
            results[2 * number + 1] = (hpte.r, hpte.dont_care) if hpte else (0, WORD)
        return H_SUCCESS, results

    def h_clear_ref(self, index):
        hpte = self.named(0, index, 0)
        if isinstance(hpte, int):
            return hpte, {}
        before = {0: (hpte.r, hpte.dont_care)}
        hpte.r &= ~R
        hpte.is_stale, hpte.is_r_unsure = True, False
        return H_SUCCESS, before

    def h_clear_mod(self, index):
        hpte = self.named(0, index, 0)
        if isinstance(hpte, int):
            return hpte, {}
        before = {0: (hpte.r, hpte.dont_care)}
        hpte.r &= ~C
        self.take_c(hpte)
        hpte.is_stale = False
        return H_SUCCESS, before
