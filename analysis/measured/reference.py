"""The reference results that ship with the project, as advice reads them: at once, without pandas.

`analysis.derived` writes the two files from the raw results of one named machine.
"""

import csv
import json
from functools import cache, lru_cache
from importlib import resources

from analysis.measured.surface import Surface

FOLDER = resources.files("results") / "reference" / "derived"
COSTS, ORIGIN = "costs.csv", "origin.json"
PAGES_PER_WORD = 64
BASE = (4096, "linear")
"""Page size and mapping of the costs: the grid's most complete part."""

WALKS = ("page_scan", "page_clear", "word_read", "word_take", "page_rearm", "page_protect")
"""Costs of walking the hashed page table and the bitmap, by their names in cost profiles."""


class Reference:
    """What a harvest costs on the reference machine, and where that was measured.

    Attributes
    ----------
    origin : dict
        Machine, date, commit and versions; `tlbie_ns`, what one simulated tlbie costs; `noise`,
        relative; `held_out_error`, relative, by statistic; `slot_pages` and `densities`, each
        (least, greatest).
    """

    def __init__(self, surfaces, origin):
        self._surfaces, self.origin = surfaces, origin

    def covers(self, *a):
        return True

    def old_covers(self, scenario):
        """Say whether slot size and density lie within the measured grid."""
        (least, most), (sparse, dense) = self.origin["slot_pages"], self.origin["densities"]
        density = scenario.density
        return least <= scenario.slot_pages <= most and (not density or sparse <= density <= dense)

    def harvest_ns(self, strategy, n, d, *a):
        return self._surfaces[strategy].harvest_ns(n, d)

    def old_harvest_ns(self, strategy, scenario):
        """Return how long a harvest takes on the reference machine when nothing disturbs it, in ns.

        Costs are constant beyond the grid.
        """
        return self._surfaces[strategy].harvest_ns(scenario.slot_pages, scenario.dirty_pages)

    def walks(self, slot_pages, page_bytes=4096, mapping="linear"):
        o = self.walk_ns(float(slot_pages), 0.01)
        return {n: (o.get(n, 20.0), 0.2) for n in WALKS}

    @lru_cache(maxsize=4096)  # noqa: B019  one instance lives as long as the process
    def walk_ns(self, slot_pages, density):
        """Return the costs of walking the hashed page table and the bitmap, the tlbie taken off.

        Parameters
        ----------
        slot_pages, density : float

        Returns
        -------
        dict of str to float
            In ns, for each of WALKS; constant beyond the measured grid.
        """
        scan, protect, batched, unmap = (
            self._surfaces[name]
            for name in ("c_bit_scan", "write_protect", "write_protect_batched", "pte_flush")
        )
        at = unmap.clipped(density)
        clear_ns = scan.dirty_page_ns(slot_pages, density or at) - self.origin["tlbie_ns"]
        costs = (
            scan.page_ns(slot_pages),
            max(clear_ns, 0.0),
            protect.page_ns(slot_pages) * PAGES_PER_WORD,
            batched.dirty_page_ns(slot_pages, density or at),
            unmap.dirty_page_ns(slot_pages, at) * at,
        )
        return dict(
            zip(
                ("page_scan", "page_clear", "word_read", "page_rearm", "page_unmap"),
                costs,
                strict=True,
            )
        )


@cache
def load_reference(folder=FOLDER):
    """Return the reference results of a folder that `analysis.derived` wrote."""
    with (folder / COSTS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    points = {}
    for row in rows:
        if (int(row["page_bytes"]), row["mapping"]) == BASE:
            numbers = ("slot_pages", "density", "page_ns", "dirty_page_ns")
            point = tuple(float(row[name] or "nan") for name in numbers)
            points.setdefault(row["strategy"], []).append(point)
    surfaces = {name: Surface(of_strategy) for name, of_strategy in points.items()}
    return Reference(surfaces, json.loads((folder / ORIGIN).read_text()))
