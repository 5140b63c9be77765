"""Exact counts of one interval and its harvest: the same on every machine, so they gate changes."""

from benchmarks.common import (
    GIB,
    IS_FULL,
    MIB,
    STRATEGIES,
    full_only,
    open_cell,
    page_count,
    skipped,
)


class Events:
    """An interval that stores once to each of its pages, then a harvest; the log runs already."""

    param_names = ("strategy", "slot_bytes", "density")
    params = (
        STRATEGIES,
        [16 * MIB, GIB] if IS_FULL else [256 * MIB],
        [0.0, 0.001, 0.01, 0.1, 1.0] if IS_FULL else [0.01],
    )
    skip_params = skipped(
        lambda _, size, density: density and not page_count(size // 4096, density), *params
    )
    version = "1"

    def setup(self, strategy, slot_bytes, density):
        """Run the interval and count."""
        self.cell = open_cell(strategy, slot_bytes)
        before = self.cell.vm.events()
        self.cell.dirty(density)
        self.cell.tracker.get_dirty_log(0, self.cell.out)
        after = self.cell.vm.events()
        self.lost, self.spurious = self.cell.judge()
        self.counts = {name: after[name] - before[name] for name in after}

    def track_exact_faults(self, *_params):
        """Return faults that the guest took for the log."""
        return self.counts["write_faults"] + self.counts["map_faults"]

    def track_exact_tlb_misses(self, *_params):
        """Return TLB misses."""
        return self.counts["tlb_misses"]

    def track_exact_tlbies(self, *_params):
        """Return single invalidations."""
        return self.counts["tlbies"]

    def track_exact_flushes(self, *_params):
        """Return flushes of all TLBs."""
        return self.counts["flushes"]

    def track_exact_rmap_steps(self, *_params):
        """Return HPTEs visited along reverse-map rings."""
        return self.counts["rmap_steps"]

    def track_exact_words_read(self, *_params):
        """Return words of the dirty bitmap that the harvest read."""
        return self.counts["bitmap_words_read"]

    def track_exact_state_bytes(self, *_params):
        """Return what the tracker keeps beyond the machine."""
        return self.cell.tracker.state_bytes

    def track_exact_lost_pages(self, *_params):
        """Return pages stored but not reported: 0, or the cell fails."""
        return int(self.lost)

    def track_exact_spurious_pages(self, *_params):
        """Return pages reported but not stored: 0, or the cell fails."""
        return int(self.spurious)


for _name, _unit in (
    ("faults", "faults"),
    ("tlb_misses", "misses"),
    ("tlbies", "tlbies"),
    ("flushes", "flushes"),
    ("rmap_steps", "HPTEs"),
    ("words_read", "words"),
    ("state_bytes", "bytes"),
    ("lost_pages", "pages"),
    ("spurious_pages", "pages"),
):
    getattr(Events, f"track_exact_{_name}").unit = _unit

# Every cell has checked them.
full_only(Events, "track_exact_lost_pages", "track_exact_spurious_pages")
