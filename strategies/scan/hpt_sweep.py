"""Sweep the whole HPT in the order of memory for C bits, then the rmap for CHANGED."""

from strategies.base import DirtyTracker
from strategies.core.changed import set_scan_mode
from strategies.core.machine import LOG_C_BIT, LOG_OFF
from strategies.core.sweep import harvest_all


class HptSweep(DirtyTracker):
    """As c_bit_scan_batched over absent HPTEs, but these are found by reading the HPT in order.

    A proposal for hashed page tables; no kernel has it. A scan by pages waits for memory at each
    of them, for the hash scatters their HPTEs; a sweep reads all HPTEs, other slots' too, as fast
    as memory is read. So its cost grows with the HPT and not with the slot: where the HPT has more
    than `value` HPTEs for each page of the slot (`hpt_sweep:8`), the harvest is that of
    c_bit_scan_pipelined. As measured on one machine, the two cost the same with a clean slot at
    some 8 (tables in the cache) to 24 (beyond it); with 64 KiB pages an HPT by the rule of 1/128
    has 32, and it does not sweep.

    HPTEs with C set are made absent and put aside, with tlbies that share one wait; when 512 are
    there, or at the end, their C is taken and they are valid again. The rmap's CHANGED is taken
    after the whole HPT, never before: an HPTE that goes behind the sweep leaves its C there, and
    one that is entered behind it has its C from there.

    A harvest with no vCPU running is definitive where TLBs keep C back: it makes all HPTEs absent
    that permit stores. Large pages report every page they cover.
    """

    name = "hpt_sweep"

    def _enable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_C_BIT)
        self._harvest(slot, self.buffer(slot))  # what was written before is not reported

    def _disable(self, slot):
        set_scan_mode(self.vm.machine, slot, LOG_OFF)

    def _harvest(self, slot, out):
        return harvest_all(self.vm, slot, out, self.value)
