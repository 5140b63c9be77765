"""Scan the hardware C bit of every page: the log of the posted patch (`kvm_test_clear_dirty`)."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.changed import EACH, EACH_WRITABLE, scan_slot, set_scan_mode
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.machine import LOG_C_BIT, LOG_OFF
from strategies.core.memslot import clear_log
from strategies.core.vcpus import vcpus_running


@kernel
def _get_dirty_log(machine, slot, out, words):
    """Scan for the C bits that are set; return nanoseconds."""
    start = monotonic_ns()
    clear_log(out, words)
    scan_slot(machine, slot, out, EACH)
    return monotonic_ns() - start


@kernel
def _get_definitive_dirty_log(machine, slot, out, words):
    """Scan with a tlbie for every writable HPTE: it brings the C that TLBs keep back."""
    start = monotonic_ns()
    clear_log(out, words)
    scan_slot(machine, slot, out, EACH_WRITABLE)
    return monotonic_ns() - start


class CBitScan(DirtyTracker):
    """Scan the hardware C bit of every page of the slot; a write costs the guest no fault.

    The log is in the HPTEs and, for HPTEs that are gone, in the CHANGED bit of the rmap words.
    This is Paul Mackerras' patch with the fixes that later kernels needed: CHANGED survives a
    re-enter (`add_to_ring`), C is read only after the tlbie (1e5bf454f587), a large page reports
    every page it covers (687414bebe30), also pages that were not written.

    Where the hardware may keep C in a TLB (`Vm(delayed_c=True)`), a harvest with no vCPU running is
    definitive: it makes a tlbie for every writable HPTE (6c576e74fd91). Beside running vCPUs it
    trusts a C that is clear, and a page may come late, in a later log than the next.
    """

    name = "c_bit_scan"

    def _enable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_C_BIT)
        self._harvest(slot, self.buffer(slot))  # what was written before is not reported

    def _disable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_OFF)

    def _harvest(self, slot, out):
        machine = self.vm.machine
        is_definitive = machine.delayed_c and not vcpus_running(machine)
        get = _get_definitive_dirty_log if is_definitive else _get_dirty_log
        return get(machine, slot, atomics.address_of(out), out.size)
