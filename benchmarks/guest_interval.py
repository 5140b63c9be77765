"""What tracking costs the guest: its stores between two harvests."""

from benchmarks.common import GIB, IS_FULL, MEASURED, MIB, OwnClock, open_cell
from strategies.core.clock import monotonic_ns
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.jit import kernel


@kernel
def stores_ns(machine, view, vcpu, nvcpus, gfns, first_stamp, stamp_step):
    """Store to pages as `store_pages` does; return the nanoseconds.

    Its arguments are handed on: for constants numba would compile the whole machine once more.
    """
    start = monotonic_ns()
    store_pages(machine, view, vcpu, nvcpus, gfns, first_stamp, stamp_step)
    return monotonic_ns() - start


class GuestInterval(OwnClock):
    """One store to each page of an interval, each the first to its page since the last harvest.

    It is the simulation's time of a fault, not hardware's: `null` beside it has the same stores.
    """

    param_names = ("strategy", "slot_bytes", "density")
    params = (
        MEASURED,
        [16 * MIB, 256 * MIB, 4 * GIB] if IS_FULL else [256 * MIB],
        [0.01],
    )

    def setup(self, strategy, slot_bytes, density):
        """Choose the pages."""
        self.cell = open_cell(strategy, slot_bytes)
        self.cell.draw(density)

    def time_guest_interval(self, *_params):
        """Time the stores, by a clock inside compiled code; the harvest after them is checked."""
        machine, gfns, stamp = self.cell.vm.machine, self.cell.gfns, self.cell.stamp
        ns = stores_ns(machine, VIEW_BASE, 0, 1, gfns, stamp, 0)
        self.cell.harvest()
        self.ns += ns
