"""The baseline of the lanes."""

from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.words import ZERO
from strategies.lanes.base import Lane


@kernel
def _nothing(out):
    begin = monotonic_ns()
    out[:] = ZERO
    return monotonic_ns() - begin


class Plain(Lane):
    """Real stores to memory that nobody tracks: what every time is compared with."""

    name = "plain"
    reports = False

    def enable(self):
        """Do nothing."""

    def disable(self):
        """Do nothing."""

    def harvest(self, out):
        """Report nothing: zero `out`."""
        return _nothing(out)
