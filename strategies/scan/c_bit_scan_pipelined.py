"""Scan the C bits with the HPTEs fetched ahead, and pass clean pages without a lock."""

from strategies.base import DirtyTracker
from strategies.core import atomics
from strategies.core.changed import harvest_ahead, set_scan_mode
from strategies.core.machine import LOG_C_BIT, LOG_OFF
from strategies.core.vcpus import vcpus_running


class CBitScanPipelined(DirtyTracker):
    """As c_bit_scan, but HPTEs are fetched ahead, and a clean page is passed without its lock.

    A proposal for hashed page tables; no kernel has it. The log and, for a page that is not clean
    or has several HPTEs, the locks are those of the posted patch. Clean pages are what a scan
    spends its time on: it waits for an HPTE and its reverse-map entry, each in a cache line
    that the rmap word alone names, so here they are asked for 24 pages ahead.

    Beside running vCPUs and without, the same holds as for c_bit_scan.
    """

    name = "c_bit_scan_pipelined"

    def _enable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_C_BIT)
        self._harvest(slot, self.buffer(slot))  # what was written before is not reported

    def _disable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_OFF)

    def _harvest(self, slot, out):
        machine = self.vm.machine
        is_definitive = bool(machine.delayed_c and not vcpus_running(machine))
        return harvest_ahead(machine, slot, atomics.address_of(out), out.size, is_definitive)
