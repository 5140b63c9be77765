"""How a tracker looks in every figure: its family gives the colour, its place in it the rest."""

from zlib import crc32

from strategies.outside import parted
from strategies.registry import TRACKERS

COLORS = {
    "scan": "#0072b2",
    "fault": "#d55e00",
    "log": "#009e73",
    "mixed": "#cc79a7",
    "history": "#8c6d31",
    "baseline": "#7f7f7f",
    "outside": "#6a51a3",
}
"""By family; the first four of Okabe and Ito's palette, which the colour-blind tell apart."""

ON_DARK = {
    "#0072b2": "#4fa8e0",
    "#d55e00": "#f0883e",
    "#009e73": "#2fbf93",
    "#cc79a7": "#e29cc4",
    "#8c6d31": "#c9a35a",
    "#7f7f7f": "#9a9a9a",
    "#6a51a3": "#a695dd",
}
"""What each of COLORS becomes on a dark page."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "h", "<")
LINES = ("-", "--", "-.", ":")
"""As many as share no divisor with MARKERS: the pairs repeat only after 44 of a family."""


def style_of(strategy, trackers=TRACKERS):
    """Return the colour, marker and line style of a tracker, by the names of matplotlib.

    One tracker with several parameters keeps its colour and its line. One from outside has its
    looks by chance.

    Parameters
    ----------
    strategy : str
    trackers : mapping of str to strategies.registry.Tracker
        All there are, in their order.
    """
    name, value = parted(strategy)
    family = trackers[name].family if name in trackers else "outside"
    peers = [one for one, entry in trackers.items() if entry.family == family]
    place = peers.index(name) if name in peers else crc32(name.encode())
    marker = place + int(value or 0).bit_length()
    return {
        "color": COLORS[family],
        "marker": MARKERS[marker % len(MARKERS)],
        "linestyle": LINES[place % len(LINES)],
    }
