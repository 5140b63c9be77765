"""KVM's dirty bitmap with clearing apart (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)."""

import numpy as np

from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.lanes.base import check
from strategies.lanes.calls import errno, ioctl
from strategies.lanes.errors import Unavailable
from strategies.lanes.kvm import GET_DIRTY_LOG, SLOT, KvmLane

CLEAR_DIRTY_LOG = 0xC018AEC0
MANUAL_DIRTY_LOG_PROTECT2 = 168
ENABLE, INITIALLY_SET = 1, 2


@kernel
def _get_and_clear(vm, get, clear):
    """Fetch the bitmap, then clear and protect what it says; return ns or a negative errno.

    Whoever copies pages does so after the clear: a store in between to a page of the bitmap is
    in no later one.
    """
    begin = monotonic_ns()
    if ioctl(vm, GET_DIRTY_LOG, get) < 0:
        return -errno()
    if ioctl(vm, CLEAR_DIRTY_LOG, clear) < 0:
        return -errno()
    return monotonic_ns() - begin


class KvmManual(KvmLane):
    """KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG; the log starts with every page set.

    `enable` takes that first log, which protects the slot. A caller could clear in pieces; here
    the whole slot is one piece.
    """

    name = "kvm_manual"
    capability = MANUAL_DIRTY_LOG_PROTECT2, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with INITIALLY_SET"

    def _prepare_vm(self):
        if not self._offer & INITIALLY_SET:
            raise Unavailable("this KVM's manual clearing lacks INITIALLY_SET")
        self._enable_capability(MANUAL_DIRTY_LOG_PROTECT2, ENABLE | INITIALLY_SET)

    def enable(self):
        """Start logging, and take the log that says that every page is dirty."""
        super().enable()
        self.harvest(self.buffer())

    def harvest(self, out):
        """Fetch, then clear."""
        get = np.array([SLOT, out.ctypes.data], np.uint64)
        slot_and_pages = SLOT | self.npages << 32
        clear = np.array([slot_and_pages, 0, out.ctypes.data], np.uint64)
        return check(_get_and_clear(self._vm, get.ctypes.data, clear.ctypes.data))
