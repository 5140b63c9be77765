"""A guest of KVM that stores to pages: one slot under test, one vCPU, 7 bytes of code in a loop.

The guest runs 64-bit code at privilege level 3 in an identity map of 2 MiB pages, the one mode that
hardware and software backends alike execute rather than emulate. Its code, page tables and list of
addresses lie in a slot of their own, which is not logged. Numbers: `include/uapi/linux/kvm.h` and
`arch/x86/include/uapi/asm/kvm.h`.
"""

import errno as codes
import fcntl
import mmap
import os
import platform
import struct

import numpy as np

from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.lanes.base import Lane, check
from strategies.lanes.calls import errno, ioctl
from strategies.lanes.errors import LaneError, Unavailable
from strategies.lanes.words import PAGE_BYTES

GET_API_VERSION, CREATE_VM, CHECK_EXTENSION, GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE03, 0xAE04
CREATE_VCPU, SET_USER_MEMORY_REGION, RUN = 0xAE41, 0x4020AE46, 0xAE80
SET_REGS, GET_SREGS, SET_SREGS = 0x4090AE82, 0x8138AE83, 0x4138AE84
GET_SUPPORTED_CPUID, SET_CPUID2, ENABLE_CAP = 0xC008AE05, 0x4008AE90, 0x4068AEA3
GET_DIRTY_LOG = 0x4010AE42
LOG_DIRTY_PAGES = 1
EXIT_MMIO, EXIT_DIRTY_RING_FULL = 6, 31
SLOT = 1
"""The slot under test."""

CODE, PML4, PDPT, PDS = 0x1000, 0x2000, 0x3000, 0x4000
GIB = 1 << 30
BASE = 4 * GIB
"""Guest-physical address of the slot under test."""
NOWHERE = 0xC0000000
"""An address without a slot: a store to it ends the guest's run."""
LIST_STORES = 1 << 16
EMPTY_RUNS = 31
STORE_LOOP = bytes.fromhex("48ad 48ff00 e2f9")  # lodsq; inc qword [rax]; loop
END = bytes.fromhex("8803")  # mov [rbx], al
MAX_STORE_NS = 500
"""Dearest store to an open page that hardware makes; emulated ones were seen to cost 2600."""


@kernel
def _run(vcpu, exit_reason):
    """Enter the guest until it leaves for good; return ns or a negative errno, and the reason."""
    begin = monotonic_ns()
    while ioctl(vcpu, RUN, 0) < 0:
        code = errno()
        if code != codes.EINTR:
            return -code, 0
    reason = atomics.load_own(exit_reason, 1) & 0xFFFFFFFF
    return monotonic_ns() - begin, reason


@kernel
def _get_dirty_log(vm, argument):
    """Fetch, clear and re-protect (KVM_GET_DIRTY_LOG); return ns or a negative errno."""
    begin = monotonic_ns()
    if ioctl(vm, GET_DIRTY_LOG, argument) < 0:
        return -errno()
    return monotonic_ns() - begin


def backend():
    """Return what runs the guests of /dev/kvm here: "VMX", "SVM" or "other"."""
    known = {"kvm_intel": "VMX", "kvm_amd": "SVM"}
    loaded = [name for name in known if os.path.isdir(f"/sys/module/{name}")]  # noqa: PTH112
    return known[loaded[0]] if loaded else "other"


def _open_kvm():
    if platform.machine() != "x86_64":
        raise Unavailable(f"its guest is x86 code, and this is {platform.machine()}")
    try:
        return os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unavailable("no /dev/kvm") from None
    except PermissionError:
        raise Unavailable("no permission to open /dev/kvm") from None
    except OSError as error:
        raise Unavailable(f"/dev/kvm does not open ({error.strerror})") from None


class KvmLane(Lane):
    """A slot of a KVM guest; the guest itself makes the stores.

    Counts `runs`, the times the guest was entered. A write includes one round trip into the guest
    for each 65536 stores.
    """

    needs = "access to /dev/kvm"
    capability = None
    """Number of a KVM capability that the lane needs, and what to call it."""

    def __init__(self, npages, *, thp=False):
        self._fds = []
        super().__init__(npages, thp=thp)
        self.counts = {"runs": 0}
        self._kvm = self._keep(_open_kvm())
        if fcntl.ioctl(self._kvm, GET_API_VERSION) != 12:
            raise Unavailable("/dev/kvm has another API version than 12")
        try:
            self._vm = self._keep(fcntl.ioctl(self._kvm, CREATE_VM, 0))
            self._offer = self._check_capability()
            self._prepare_vm()
            self._build()
        except OSError as error:
            raise Unavailable(f"KVM refuses the guest ({error.strerror})") from error

    def _keep(self, fd):
        self._fds.append(fd)
        return fd

    def _check_capability(self):
        if self.capability is None:
            return 0
        number, title = self.capability
        offer = fcntl.ioctl(self._vm, CHECK_EXTENSION, number)
        if not offer:
            raise Unavailable(f"this KVM has no {title}")
        return offer

    def _prepare_vm(self):
        """Enable what must be enabled before there is a vCPU."""

    def _enable_capability(self, number, argument):
        fields = struct.pack("IIQQQQ64x", number, 0, argument, 0, 0, 0)
        fcntl.ioctl(self._vm, ENABLE_CAP, fields)

    def _build(self):
        """Lay out code, page tables and list; make the slots and the vCPU."""
        tables = -(-(BASE + self.memory.nbytes) // GIB)
        self._list_gpa = PDS + tables * PAGE_BYTES
        size = self._list_gpa + LIST_STORES * 8
        region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._own = np.frombuffer(region, np.uint64)
        _fill(self._own, tables)
        self._list = self._own[self._list_gpa // 8 :]
        self._set_slot(0, 0, 0, size, self._own.ctypes.data)
        self._set_logging(False)
        self._vcpu = self._keep(fcntl.ioctl(self._vm, CREATE_VCPU, 0))
        self._shared = mmap.mmap(self._vcpu, fcntl.ioctl(self._kvm, GET_VCPU_MMAP_SIZE))
        self._exit = np.frombuffer(self._shared, np.uint64, 2)
        cpuid = bytearray(struct.pack("II", 100, 0) + bytes(40 * 100))
        fcntl.ioctl(self._kvm, GET_SUPPORTED_CPUID, cpuid)
        fcntl.ioctl(self._vcpu, SET_CPUID2, cpuid)
        sregs = bytearray(312)
        fcntl.ioctl(self._vcpu, GET_SREGS, sregs)
        _long_mode(sregs)
        fcntl.ioctl(self._vcpu, SET_SREGS, sregs)

    def _set_slot(self, slot, flags, gpa, size, address):
        fields = struct.pack("IIQQQ", slot, flags, gpa, size, address)
        fcntl.ioctl(self._vm, SET_USER_MEMORY_REGION, fields)

    def _set_logging(self, on):
        self._set_slot(SLOT, LOG_DIRTY_PAGES * on, BASE, self.memory.nbytes, self._address)

    def enable(self):
        """Let the guest map all pages, by a store to each; then set KVM_MEM_LOG_DIRTY_PAGES."""
        self.write(np.arange(self.npages))
        self._measure_round_trip()
        self._set_logging(True)

    def disable(self):
        """Clear KVM_MEM_LOG_DIRTY_PAGES."""
        self._set_logging(False)

    def write(self, gfns):
        """Let the guest store, 65536 pages at a time."""
        ns = 0
        for first in range(0, len(gfns), LIST_STORES):
            part = gfns[first : first + LIST_STORES]
            self._list[: len(part)] = BASE + part * PAGE_BYTES
            ns += self._enter(CODE, len(part))
        return ns

    def overhead_ns(self, stores):
        """Return what the entries into the guest took: as the median run that stores nothing."""
        return -(-stores // LIST_STORES) * self._round_trip_ns

    def _measure_round_trip(self):
        runs = [self._enter(CODE + len(STORE_LOOP), 0) for _ in range(EMPTY_RUNS)]
        self._round_trip_ns = int(np.median(runs))

    def _enter(self, rip, count):
        registers = np.zeros(18, np.uint64)
        rbx, rcx, rsi = 1, 2, 4
        registers[[rbx, rcx, rsi]] = NOWHERE, count, self._list_gpa
        registers[16:] = rip, 2
        fcntl.ioctl(self._vcpu, SET_REGS, registers)
        total = 0
        while True:
            self.counts["runs"] += 1
            ns, reason = _run(self._vcpu, self._exit.ctypes.data)
            total += check(ns)
            if reason == EXIT_MMIO:
                return total
            if reason != EXIT_DIRTY_RING_FULL:
                raise LaneError(f"the guest of {self.name} stopped with exit reason {reason}")
            total += self._make_room()

    def _make_room(self):
        raise LaneError(f"{self.name} has no ring that could be full")

    def harvest(self, out):
        """Fetch the bitmap, which clears and protects (KVM_GET_DIRTY_LOG)."""
        argument = np.array([SLOT, out.ctypes.data], np.uint64)
        return check(_get_dirty_log(self._vm, argument.ctypes.data))

    def self_test(self):
        """Write seven pages; also tell whether the guest's stores are emulated."""
        wrong = super().self_test()
        if wrong:
            return wrong
        again = np.zeros(4096, np.int64)
        # The best of a few: one that lost its CPU would look emulated.
        best = min(self.write(again) for _ in range(8))
        cost = (best - self.overhead_ns(len(again))) / len(again)
        if cost > MAX_STORE_NS:
            return f"this KVM emulates the guest's stores ({cost:.0f} ns each)"
        return None

    def close(self):
        """End the guest."""
        super().close()
        for fd in reversed(self._fds):
            os.close(fd)
        self._fds.clear()


def _fill(own, tables):
    """Write the code and the identity map of 2 MiB pages (writable, user, accessed, dirty)."""
    code = (STORE_LOOP + END).ljust(16, b"\xf4")
    own[CODE // 8 : CODE // 8 + 2] = np.frombuffer(code, np.uint64)
    own[PML4 // 8] = PDPT | 7
    own[PDPT // 8 : PDPT // 8 + tables] = PDS + np.arange(tables, dtype=np.uint64) * 4096 | 7
    entries = np.arange(512 * tables, dtype=np.uint64) * np.uint64(2 << 20)
    own[PDS // 8 : PDS // 8 + len(entries)] = entries | np.uint64(0xE7)


def _long_mode(sregs):
    """Set a `kvm_sregs` to 64-bit code at privilege level 3 with paging."""
    flat = "QIHBBBBBBBBBB"  # base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable
    code = struct.pack(flat, 0, 0xFFFFFFFF, 0x33, 11, 1, 3, 0, 1, 1, 1, 0, 0, 0)
    data = struct.pack(flat, 0, 0xFFFFFFFF, 0x2B, 3, 1, 3, 1, 1, 0, 1, 0, 0, 0)
    size = len(code)
    sregs[:size] = code
    for segment in range(1, 6):
        sregs[segment * size : (segment + 1) * size] = data
    control = 8 * size + 2 * 16  # eight segments, then GDT and IDT
    cr0, cr4, efer = 0x80000011, 0x20, 0x500
    struct.pack_into("QQQQQQ", sregs, control, cr0, 0, PML4, cr4, 0, efer)
