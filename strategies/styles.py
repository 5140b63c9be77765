"""How each tracker looks in every figure: by its place in the registry, with colour and without."""

from zlib import crc32

from strategies.outside import parted
from strategies.registry import names

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Of Okabe and Ito's palette, which the colour-blind tell apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "h", "<")
"""As many as share no divisor with COLORS: the pairs repeat only after 77 trackers."""


def style_of(strategy):
    """Return the colour and the marker of a tracker, by the names that matplotlib gives them.

    One tracker with several parameters keeps its colour. One from outside has its looks by chance.
    """
    name, value = parted(strategy)
    place = names().index(name) if name in names() else crc32(name.encode())
    marker = place + int(value or 0).bit_length()
    return {"color": COLORS[place % len(COLORS)], "marker": MARKERS[marker % len(MARKERS)]}
