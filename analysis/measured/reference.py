"""The reference results that ship with the project, as advice reads them: at once, without pandas.

`analysis.derived` writes the two files from the raw results of one named machine.
"""

import csv
import json
from functools import cache
from importlib import resources

import numpy as np

from analysis.measured.walks import Cost, harvest_ns
from strategies.errors import InputError

FOLDER = resources.files("results") / "reference" / "derived"
COSTS, ORIGIN = "walks.csv", "origin.json"

WALKS = ("page_scan", "page_clear", "word_read", "word_take", "page_rearm", "page_protect")
"""Costs of walking the hashed page table and the bitmap, by their names in cost profiles."""


class Reference:
    """What a harvest costs on the reference machine, and where that was measured.

    Attributes
    ----------
    origin : dict
        Machine, date, commit and versions; `passes`, when each pass began; `tlbie_ns`, what one
        simulated tlbie costs; `noise`, relative; `held_out`, how well the fit predicts cells that
        were left out of it; `grid`, for each page size and mapping the least and the greatest slot
        (`slot_bytes`) and dirty density (`densities`).
    """

    def __init__(self, costs, origin):
        self._costs, self.origin = costs, origin

    def walks(self, slot_pages, page_bytes=4096, mapping="linear"):
        """Return what walks of the hashed page table and the bitmap cost, tlbies taken off.

        Parameters
        ----------
        slot_pages : array_like of float

        Returns
        -------
        dict of str to (float, float)
            For each of WALKS nanoseconds for each time, and their relative standard error; arrays
            where `slot_pages` is one. Constant beyond the measured sizes. Not in them: what a
            harvest pays for each region of pages that it enters (`region_enter`).
        """
        costs = self._variant(page_bytes, mapping)
        return {name: costs[name].at(slot_pages) for name in WALKS}

    def harvest_ns(self, strategy, slot_pages, dirty_pages, page_bytes=4096, mapping="linear"):
        """Return the time of a harvest, in ns, its simulated tlbies as they were measured.

        Parameters
        ----------
        strategy : {"c_bit_scan", "write_protect", "write_protect_batched", "double_buffer"}
        slot_pages, dirty_pages : array_like of float
        """
        return harvest_ns(self._variant(page_bytes, mapping), strategy, slot_pages, dirty_pages)

    def covers(self, slot_pages, density, page_bytes=4096, mapping="linear"):
        """Say whether slot size and density lie within what was measured."""
        for grid in self.origin["grid"]:
            if (grid["page_bytes"], grid["mapping"]) == (page_bytes, mapping):
                slot_bytes = np.multiply(slot_pages, float(page_bytes))
                density = np.asarray(density)
                (least, most), (sparse, dense) = grid["slot_bytes"], grid["densities"]
                is_density = (density == 0) | ((sparse <= density) & (density <= dense))
                return (least <= slot_bytes) & (slot_bytes <= most) & is_density
        return False

    def _variant(self, page_bytes, mapping):
        """Return the costs of a page size and mapping."""
        if (page_bytes, mapping) not in self._costs:
            accepted = ", ".join(f"{size} {name}" for size, name in self._costs)
            raise InputError(
                f"no walks of pages of {page_bytes} bytes, {mapping}: accepted are {accepted}"
            )
        return self._costs[page_bytes, mapping]


@cache
def load_reference(folder=FOLDER):
    """Return the reference results of a folder that `analysis.derived` wrote."""
    with (folder / COSTS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    costs = {}
    for row in rows:
        walks = costs.setdefault((int(row["page_bytes"]), row["mapping"]), {})
        knot = tuple(float(row[name] or "nan") for name in ("slot_pages", "ns", "error"))
        walks.setdefault(row["walk"], []).append(knot)
    costs = {
        variant: {name: Cost(*np.transpose(knots)) for name, knots in walks.items()}
        for variant, walks in costs.items()
    }
    return Reference(costs, json.loads((folder / ORIGIN).read_text()))
