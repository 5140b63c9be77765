"""userfaultfd's write protection: the numbers of its ABI, and a slot registered with it.

`include/uapi/linux/userfaultfd.h` and `fs.h` (PAGEMAP_SCAN, Linux 6.7). UFFD_USER_MODE_ONLY makes
it work without privilege; in asynchronous mode writes by the kernel are tracked all the same.
"""

import ctypes
import errno
import fcntl
import os
import platform
import struct

from strategies.lanes.base import Lane
from strategies.lanes.errors import Unavailable

SYSCALL = {"x86_64": 323, "aarch64": 282, "ppc64le": 364, "riscv64": 282, "s390x": 355}
USER_MODE_ONLY = 1
API = 0xC018AA3F
REGISTER = 0xC020AA00
WRITEPROTECT = 0xC018AA06
REGISTER_MODE_WP = 2
PROTECT, UNPROTECT = 1, 0
PAGEFAULT_FLAG_WP, WP_UNPOPULATED, WP_ASYNC = 1 << 0, 1 << 13, 1 << 15


def open_userfaultfd():
    """Return a blocking userfaultfd.

    Raises
    ------
    Unavailable
        The kernel has none, or does not permit it.
    """
    number = SYSCALL.get(platform.machine())
    if number is None:
        raise Unavailable(f"the number of userfaultfd on {platform.machine()} is not known here")
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(ctypes.c_long(number), ctypes.c_long(os.O_CLOEXEC | USER_MODE_ONLY))
    if fd >= 0:
        return fd
    code = ctypes.get_errno()
    if code == errno.ENOSYS:
        raise Unavailable("this kernel has no userfaultfd")
    raise Unavailable(f"userfaultfd is refused ({os.strerror(code)})")


class UffdLane(Lane):
    """A slot under userfaultfd's write protection.

    Subclasses name the features they ask for, and what to say where the kernel has not got them.
    """

    features: int
    lacks: str

    def __init__(self, npages, *, thp=False):
        super().__init__(npages, thp=thp)
        self._uffd = None

    def enable(self):
        """Register the slot and write-protect all of it."""
        self._uffd = open_userfaultfd()
        try:
            self._call(API, 0xAA, self.features, 0)
        except OSError as error:
            self.disable()
            raise Unavailable(self.lacks) from error
        nbytes = self.memory.nbytes
        try:
            self._call(REGISTER, self._address, nbytes, REGISTER_MODE_WP, 0)
        except OSError as error:
            raise Unavailable(self.lacks) from error
        self._call(WRITEPROTECT, self._address, nbytes, PROTECT)

    def disable(self):
        """Unregister the slot, which opens its pages."""
        if self._uffd is not None:
            os.close(self._uffd)
            self._uffd = None

    def _call(self, request, *fields):
        fcntl.ioctl(self._uffd, request, struct.pack(f"{len(fields)}Q", *fields))
