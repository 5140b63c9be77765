"""Track nothing: the baseline of every time and cost."""

from strategies.base import DirtyTracker
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel


@kernel
def _get_dirty_log():
    """Do nothing; return the nanoseconds between two readings of the clock."""
    start = monotonic_ns()
    return monotonic_ns() - start


class Null(DirtyTracker):
    """Track nothing and leave the caller's buffer as it is; never ranked."""

    name = "null"

    def _enable(self, slot):
        pass

    def _disable(self, slot):
        pass

    def _harvest(self, slot, out):
        return _get_dirty_log()
