"""The lanes: trackers that this machine's kernel runs, on real memory, relative to none."""

import sys
from functools import lru_cache

import numpy as np

from benchmarks.common import LANES, MIB, WrongHarvestError

EPOCHS = 9


@lru_cache(maxsize=len(LANES))
def reason_against(lane):
    """Return why this machine has not got a lane, or None; it is tried once in a process."""
    from strategies.lanes.session import reasons

    return reasons((lane,))[lane]


class Lanes:
    """Intervals of random pages on real memory, each with its harvest, judged by contents.

    A lane that is not here is n/a, and why is said on stderr. Times are medians over the intervals,
    relative to those of `plain`, which tracks nothing, in the same moment.
    """

    param_names = ("lane", "slot_bytes", "density")
    params = (LANES, [64 * MIB], [0.0, 0.01, 0.3])
    version = "1"
    timeout = 300

    def setup(self, lane, slot_bytes, density):
        """Replay the intervals on the lane and on none."""
        try:
            from strategies.lanes.child import in_child
            from strategies.lanes.run import replay_lane
            from strategies.workloads.synthetic import synthesize
        except ModuleNotFoundError as error:
            raise NotImplementedError(str(error)) from error
        reason = reason_against(lane)
        if reason:
            print(f"{lane}: {reason}", file=sys.stderr)
            raise NotImplementedError(reason)
        npages = slot_bytes // 4096
        trace = synthesize("uniform", slot_pages=npages, density=density, epochs=EPOCHS)
        self.plain = in_child(replay_lane, trace, "plain", False)
        self.result = in_child(replay_lane, trace, lane, False)
        if sum(self.result.lost) or sum(self.result.spurious):
            raise WrongHarvestError(f"{lane}: first lost {self.result.first_lost}")

    def _relative(self, of):
        mine, plain = (np.median(getattr(one, of)[1:]) for one in (self.result, self.plain))
        return float(mine / plain)

    def track_exact_reported(self, *_params):
        """Return pages reported in all harvests: an exact count, 0 of `plain`."""
        return int(sum(self.result.reported))

    def track_exact_stored(self, *_params):
        """Return pages whose contents changed: an exact count."""
        return int(sum(self.result.stored))

    def track_harvest_relative_to_plain(self, *_params):
        """Return a harvest's time in times of one that only zeroes the bitmap."""
        return self._relative("harvest_ns")

    def track_stores_relative_to_plain(self, _lane, _slot_bytes, density):
        """Return the time of an interval's stores in times of the same without tracking."""
        if not density:
            raise NotImplementedError("nothing is stored")
        return self._relative("write_ns")


Lanes.track_exact_reported.unit = Lanes.track_exact_stored.unit = "pages"
Lanes.track_harvest_relative_to_plain.unit = "harvests of plain"
Lanes.track_stores_relative_to_plain.unit = "stores of plain"
