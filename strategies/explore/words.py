"""The explored machine's memory: arrays as dicts, which are quick to read, restore and compare."""

import numpy as np

from strategies.core.words import ZERO

KEY_SHIFT = 40


class Words(dict):
    """An array of uint64 of which only those words are kept that are not 0 or were written.

    `core/atomics` takes it for an array.

    Parameters
    ----------
    name : str
    number : int
        Tells the arrays of a machine apart: `base` + index identifies a word among all of them.
    array : uint64[n], optional
        Its content; by default zeros.
    """

    def __init__(self, name, number, array=()):
        super().__init__((i, array[i]) for i in map(int, np.flatnonzero(array)))
        self.name = name
        self.base = number << KEY_SHIFT

    def __missing__(self, index):
        return ZERO

    def restore(self, saved):
        """Take over the content of a dict."""
        self.clear()
        self.update(saved)

    def content(self):
        """Return a frozenset of (index, value) without zeros: equal for equal arrays."""
        return frozenset((int(i), int(value)) for i, value in self.items() if value)
