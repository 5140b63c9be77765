"""The recorded programs, replayed whole: every harvest of them."""

from functools import lru_cache

import numpy as np

from benchmarks.common import (
    IS_FULL,
    MEASURED,
    RECORDINGS,
    OwnClock,
    WrongHarvestError,
    tracker_class,
)
from strategies.replay.run import build, replay
from strategies.workloads.trace import bundled, load_trace


@lru_cache(maxsize=1)
def built(name):
    """Return a recording and a machine that fits it; the last one is kept."""
    trace = load_trace(name)
    return trace, *build(trace, vcpus=1, page_shift=12, mapping="linear")


class Recordings(OwnClock):
    """A recording with one store to each written page of an epoch, and a harvest after each."""

    param_names = ("strategy", "trace")
    params = (MEASURED, RECORDINGS if IS_FULL else RECORDINGS[:1])
    warmup_time = 0
    repeat = (2, 3, 2.0)

    def setup(self, strategy, trace):
        """Have the machine, no stamp of an earlier replay in its memory."""
        tracker_class(strategy)
        if trace not in bundled():
            raise NotImplementedError(trace)
        built(trace)[1].arrays.stamps.fill(0)

    def run(self, strategy, trace):
        """Replay and check; the recordings have no reads, so every report must be exact."""
        result = replay(built(trace)[0], strategy, *built(trace)[1:])
        if sum(result.lost) or sum(result.spurious):
            raise WrongHarvestError(f"{strategy}, {trace}: first lost {result.first_lost}")
        return result

    def time_all_harvests(self, strategy, trace):
        """Time all harvests together, by the clock inside them."""
        self.ns += sum(self.run(strategy, trace).harvest_ns)

    def track_median_harvest(self, strategy, trace):
        """Return the median time of a harvest, by the clock inside it."""
        return float(np.median(self.run(strategy, trace).harvest_ns))

    def track_p99_harvest(self, strategy, trace):
        """Return the 99th percentile of the same, by nearest rank."""
        ns = self.run(strategy, trace).harvest_ns
        return float(np.quantile(ns, 0.99, method="inverted_cdf"))

    def track_exact_faults(self, strategy, trace):
        """Return faults for the log, all epochs together: an exact count."""
        events = self.run(strategy, trace).events
        return events["write_faults"] + events["map_faults"]


Recordings.track_median_harvest.unit = "ns"
Recordings.track_p99_harvest.unit = "ns"
Recordings.track_exact_faults.unit = "faults"
