"""The lanes: trackers that this machine's kernel runs, on real memory, relative to none."""

import math
import sys
from itertools import product

import numpy as np

from benchmarks.common import LANES, MIB, WrongHarvestError

EPOCHS = 9
TIMEOUT_S = 600


def replayed(lane, slot_bytes, density):
    """Return a LaneReplay of intervals with random pages."""
    from strategies.lanes.child import in_child
    from strategies.lanes.run import replay_lane
    from strategies.workloads.synthetic import synthesize

    npages = slot_bytes // 4096
    trace = synthesize("uniform", slot_pages=npages, density=density, epochs=EPOCHS)
    result = in_child(replay_lane, trace, lane, False)
    if sum(result.lost) or sum(result.spurious):
        raise WrongHarvestError(f"{lane}: first lost {result.first_lost}")
    return result


class Lanes:
    """Intervals of random pages on real memory, each with its harvest, judged by contents.

    A lane that is not here is n/a, and why is said on stderr. Times are medians over the intervals,
    relative to those of `plain`, which tracks nothing, in the same minute.
    """

    param_names = ("lane", "slot_bytes", "density")
    params = (LANES, [64 * MIB], [0.0, 0.01, 0.3])
    version = "2"
    timeout = TIMEOUT_S

    def setup_cache(self):
        """Return by lane its replays, by slot and density, or why there are none."""
        try:
            from strategies.lanes.session import reasons
        except ModuleNotFoundError as error:
            return dict.fromkeys(LANES, str(error))
        lanes, slots, densities = self.params
        found = {lane: reason or {} for lane, reason in reasons(tuple(lanes)).items()}
        for cell in product(slots, densities):
            for lane, replays in found.items():
                if isinstance(replays, dict):
                    replays[cell] = replayed(lane, *cell)
        return found

    def setup(self, found, lane, *cell):
        """Take the cell's replay, and that of none."""
        if isinstance(found[lane], str):
            print(f"{lane}: {found[lane]}", file=sys.stderr)
            raise NotImplementedError(found[lane])
        self.plain, self.result = (found[name][cell] for name in ("plain", lane))

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

    def track_stores_relative_to_plain(self, _found, _lane, _slot_bytes, density):
        """Return the time of an interval's stores in times of the same without tracking."""
        return self._relative("write_ns") if density else math.nan


Lanes.setup_cache.timeout = TIMEOUT_S
Lanes.track_exact_reported.unit = Lanes.track_exact_stored.unit = "pages"
Lanes.track_harvest_relative_to_plain.unit = "harvests of plain"
Lanes.track_stores_relative_to_plain.unit = "stores of plain"
