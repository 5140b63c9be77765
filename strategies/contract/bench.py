"""What the clauses share: machines, hypercalls by name, harvests as sets."""

from functools import cache
from numbers import Integral

import numpy as np

from strategies import registry
from strategies.core import h_change, h_enter, h_remove, hpte
from strategies.core.guest import VIEW_LARGE
from strategies.core.machine import LOG_ABSENT, SLOT_LOG_MODE
from strategies.core.papr import PRESENT
from strategies.core.vm import Vm

STAMP = 1000
WRITTEN = [0, 1, 63, 64, 99]
FAULTS = {"write_faults", "map_faults", "upgrade_faults", "spurious_faults"}
EXACT = 1 << 39
"""The flag of H_ENTER that takes no other place in the group."""

ABSENT, LARGE = int(hpte.HPTE_V_ABSENT), int(hpte.HPTE_V_LARGE)
R, C, M = int(hpte.HPTE_R_R), int(hpte.HPTE_R_C), int(hpte.HPTE_R_M)
PP, PP0 = int(hpte.HPTE_R_PP), int(hpte.HPTE_R_PP0)
RWRW, RXRX = int(hpte.PP_RWRW), int(hpte.PP_RXRX)
LINUX_RIGHTS = M | R | C | RWRW


def expect(got, wanted):
    """Raise AssertionError with both unless they are equal."""
    if got == wanted:
        return
    if isinstance(got, set) and isinstance(wanted, set):
        parts = (("missing", wanted - got), ("too many", got - wanted))
        said = (f"{len(pages)} {what} ({_short(sorted(pages))})" for what, pages in parts if pages)
        raise AssertionError(f"of {len(wanted)} expected: {', '.join(said)}")
    raise AssertionError(f"{_short(got)}, expected {_short(wanted)}")


def _short(value):
    text = ", ".join(map(str, value)) if isinstance(value, list) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def build(strategy, npages, *, base_gfn=0, enabled=True, populated=True, **options):
    """Return a machine with one slot, mapped by the guest, and the tracker that logs it."""
    options.setdefault("guest_pages", base_gfn + npages)
    vm = Vm(**options)
    slot = vm.add_memslot(base_gfn, npages)
    if populated:
        vm.populate(slot)
    tracker = registry.get(strategy)(vm)
    if enabled:
        tracker.enable_logging(slot)
    return vm, tracker


def build_large(strategy, page_shift, **options):
    """Return a machine with one slot of two 16 MiB pages, mapped at VIEW_LARGE, and the tracker."""
    npages = 2 << 24 - page_shift
    vm, tracker = build(
        strategy, npages, page_shift=page_shift, enabled=False, populated=False, **options
    )
    vm.populate(0, view=VIEW_LARGE)
    tracker.enable_logging(0)
    return vm, tracker


def large_page(vm, number=0):
    """Return the gfns of a 16 MiB page."""
    pages = 1 << 24 - vm.page_shift
    return set(range(number * pages, (number + 1) * pages))


@cache
def log_mode_of(strategy):
    """Return what a tracker asks of H_ENTER and of the fault handler: LOG_OFF, LOG_C_BIT ..."""
    vm, _ = build(strategy, 1)
    return int(vm.arrays.slots[SLOT_LOG_MODE])


def reports_reads(strategy):
    """Say whether a page that was only read is reported: its HPTE is absent until accessed."""
    return log_mode_of(strategy) == LOG_ABSENT


def harvest(tracker, slot=0):
    """Return the gfns that a harvest reports; hold it to its time, and the padding bits to 0."""
    base, npages = tracker.vm.slots[slot]
    out = tracker.buffer(slot)
    out.fill(2**64 - 1)
    ns = tracker.get_dirty_log(slot, out)
    if not isinstance(ns, Integral) or ns < 0:
        raise AssertionError(f"a harvest returned {ns!r}, not the nanoseconds that it took")
    bits = np.unpackbits(out.view(np.uint8), bitorder="little")
    if bits[npages:].any():
        raise AssertionError("padding bits are set")
    return {base + int(page) for page in np.flatnonzero(bits)}


def changes(vm, before, who=None):
    """Return the events counted since `before`, those that did not happen left out."""
    return {name: n - before[name] for name, n in vm.events(who).items() if n != before[name]}


def enter(vm, index, pteh, ptel, flags=0):
    """Make H_ENTER; return its code and registers, as all below do."""
    return vm.hypercall(h_enter.h_enter, flags, index, pteh, ptel)


def remove(vm, index, flags=0, avpn=0):
    """Make H_REMOVE."""
    return vm.hypercall(h_remove.h_remove, flags, index, avpn)


def protect(vm, index, flags, avpn=0):
    """Make H_PROTECT."""
    return vm.hypercall(h_change.h_protect, flags, index, avpn)


def clear_mod(vm, index):
    """Make H_CLEAR_MOD."""
    return vm.hypercall(h_change.h_clear_mod, index)


def clear_ref(vm, index):
    """Make H_CLEAR_REF."""
    return vm.hypercall(h_change.h_clear_ref, index)


def bulk_remove(vm, *registers):
    """Make H_BULK_REMOVE."""
    row = vm.arrays.gpr[:8]
    row[:] = 0
    row[: len(registers)] = registers
    return vm.hypercall(h_remove.h_bulk_remove)


def read(vm, index):
    """Return both dwords of an HPTE as the guest sees them."""
    code, gpr = vm.hypercall(h_change.h_read, 0, index)
    expect(code, 0)
    return int(gpr[0]), int(gpr[1])


def hptes_of(vm, gfn):
    """Return the indices of all present HPTEs whose first page is `gfn`, in the table's order."""
    v, r = vm.arrays.hpt[::2], vm.arrays.rev[::2]
    present = np.flatnonzero(v & PRESENT)
    gpa = r[present] & hpte.HPTE_R_RPN
    return [int(i) for i in present[gpa >> np.uint64(vm.page_shift) == gfn]]


def hpte_of(vm, gfn):
    """Return the index of the only HPTE of a page."""
    (index,) = hptes_of(vm, gfn)
    return index


def hardware(vm, index):
    """Return both dwords of an HPTE as the hardware sees them."""
    return int(vm.arrays.hpt[2 * index]), int(vm.arrays.hpt[2 * index + 1])


def ptel_of(vm, gfn, rights=LINUX_RIGHTS):
    """Return dword 1 of a base page."""
    return gfn << vm.page_shift | (int(hpte.LP_64K) if vm.page_shift == 16 else 0) | rights


def overwrite(vm, gfn, other):
    """Let the HPTE of a page map another page; return its index."""
    index = hpte_of(vm, gfn)
    v, _ = read(vm, index)
    expect(remove(vm, index)[0], 0)
    expect(enter(vm, index, v, ptel_of(vm, other), EXACT)[0], 0)
    return index
