"""Harvests while vCPUs store on other threads."""

import os

import numpy as np

from benchmarks.common import IS_FULL, LOGGING, WrongHarvestError, skipped
from benchmarks.storm import ROUNDS, STORM_PAGES, Simulated, Storm


class Contention:
    """vCPUs that store on at most cores - 1 threads, each thread its vCPUs in turn.

    Times are recorded only where every vCPU could have a core. Counts are means per harvest; they
    race with the harvests and vary from run to run, so they are measured, not exact.
    """

    param_names = ("strategy", "vcpus")
    params = (LOGGING, [1, 2] if IS_FULL else [2])
    version = "2"

    def setup(self, strategy, vcpus):
        """Run the storm; a lost page fails the cell."""
        from strategies.core.vcpus import storing_threads

        threads = storing_threads(vcpus)
        tracked = Simulated(strategy, STORM_PAGES, threads, vcpus // threads)
        self.storm = Storm(tracked, threads, ROUNDS, 0)
        if self.storm.lost:
            raise WrongHarvestError(f"{strategy}: {self.storm.lost} pages lost")

    def track_lost_pages(self, *_params):
        """Return pages whose last store no harvest reported: 0, or the cell fails."""
        return self.storm.lost

    def track_racing_faults(self, *_params):
        """Return faults for the log, per harvest."""
        events = self.storm.events
        return (events["write_faults"] + events["map_faults"]) / self.storm.harvests

    def track_racing_tlbies(self, *_params):
        """Return single invalidations, per harvest."""
        return self.storm.events["tlbies"] / self.storm.harvests

    def track_racing_lock_retries(self, *_params):
        """Return how often a lock was busy, per harvest."""
        return self.storm.events["lock_retries"] / self.storm.harvests

    def track_harvest(self, *_params):
        """Return the median time of a harvest while all threads store; nan if there was none."""
        return float(np.median(self.storm.harvest_ns or [np.nan]))

    def track_store(self, *_params):
        """Return the median over threads and rounds of the time per store beside harvests."""
        return float(np.median(self.storm.store_ns))


# Where vCPUs outnumber cores, times would be the scheduler's.
Contention.track_harvest.skip_params = Contention.track_store.skip_params = skipped(
    lambda _, vcpus: vcpus > (os.cpu_count() or 1), *Contention.params
)

for _name, _unit in (
    ("lost_pages", "pages"),
    ("racing_faults", "faults/harvest"),
    ("racing_tlbies", "tlbies/harvest"),
    ("racing_lock_retries", "retries/harvest"),
    ("harvest", "ns"),
    ("store", "ns/store"),
):
    getattr(Contention, f"track_{_name}").unit = _unit
