"""What tracking costs the guest: its stores between two harvests."""

from benchmarks.common import GIB, IS_FULL, MEASURED, MIB, OwnClock, open_cell
from strategies.core.clock import monotonic_ns
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.jit import kernel


@kernel
def stores_ns(machine, gfns, stamp):
    """Store once to each page by vCPU 0; return the nanoseconds."""
    start = monotonic_ns()
    store_pages(machine, VIEW_BASE, 0, 1, gfns, stamp, 0)
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
        ns = stores_ns(self.cell.vm.machine, self.cell.gfns, self.cell.stamp)
        self.cell.harvest()
        self.ns += ns
