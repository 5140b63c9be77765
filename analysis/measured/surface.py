"""What a tracker's harvest costs per page, interpolated between the sizes and densities measured.

By logarithms, and constant beyond the grid. No pandas here: `dirtylog advise` answers at once.
"""

import numpy as np


def by_logarithm(at, known, values):
    """Return a value at a point, all logarithmic; constant beyond the known points (sorted)."""
    logs = (np.log(np.asarray(part, float)) for part in (at, known, values))
    return float(np.exp(np.interp(*logs)))


class Surface:
    """The measured costs of one tracker, page size and mapping.

    Parameters
    ----------
    rows : iterable of (slot_pages, density, page_ns, dirty_page_ns)
        A row for each cell: the cost of a page of a clean slot of that size, and what a dirty page
        adds; the latter is ignored where the density is 0.
    """

    def __init__(self, rows):
        self._page_ns, self._dirty_ns = {}, {}
        for slot_pages, density, page_ns, dirty_page_ns in sorted(rows):
            self._page_ns[slot_pages] = page_ns
            if density:
                self._dirty_ns.setdefault(slot_pages, {})[density] = dirty_page_ns

    def page_ns(self, slot_pages):
        """Return what each page of a clean slot costs, in ns."""
        return by_logarithm(slot_pages, list(self._page_ns), list(self._page_ns.values()))

    def dirty_page_ns(self, slot_pages, density):
        """Return what each dirty page adds, in ns; NaN if no dirty slot was measured.

        Sizes whose measured densities surround this one come before those that must be extended.
        """
        covering = {n: c for n, c in self._dirty_ns.items() if min(c) <= density <= max(c)}
        sizes = covering or self._dirty_ns
        if not sizes:
            return np.nan
        costs = [by_logarithm(density, list(c), list(c.values())) for c in sizes.values()]
        return by_logarithm(slot_pages, list(sizes), costs)

    def harvest_ns(self, slot_pages, dirty_pages):
        """Return the time of one harvest, in ns."""
        clean_ns = slot_pages * self.page_ns(slot_pages)
        if not dirty_pages:
            return clean_ns
        return clean_ns + dirty_pages * self.dirty_page_ns(slot_pages, dirty_pages / slot_pages)

    def clipped(self, density):
        """Return the measured density that is nearest to one: within the grid, the same."""
        known = [d for costs in self._dirty_ns.values() for d in costs]
        return min(max(density, min(known)), max(known))
