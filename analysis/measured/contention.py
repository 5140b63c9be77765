"""Tables of what many threads do to each other: `benchmarks.by_hand.contention` writes the files.

A number is the median over the passes, and in brackets the least and the greatest of them.
"""

import pandas as pd

from strategies.units import time_text, two_digits

FIRST_STORES, STORMS = "first_stores.csv", "storms.csv"
TRACK_NOTHING = "null", "plain"


def first_stores_table(folder):
    """Return what tracking takes of a first store, in ns, by threads: lines of Markdown.

    `first_ns` less `again_ns`, threads storing to neighbours in turn; then by how much it grows
    with each further thread, from the fewest to the most, so and where each has its part of the
    slot.
    """
    frame = pd.read_csv(folder / FIRST_STORES)
    frame["price"] = frame["first_ns"] - frame["again_ns"]
    threads = sorted(frame["threads"].unique())
    titles = (f"{n} at once" for n in threads)
    lines = _head("tracker or lane", *titles, "each further, together", "each further, apart")
    for name, rows in frame.groupby("name", sort=False):
        prices = {
            layout: own.pivot(index="pass", columns="threads", values="price")
            for layout, own in rows.groupby("layout")
        }
        cells = [_spread(prices["together"][n]) for n in threads]
        cells += [_spread(_slope(prices[layout], threads)) for layout in ("together", "apart")]
        lines.append(_line(f"`{name}`", *cells))
    return lines


def storms_table(folder):
    """Return what storms took with the most threads: lines of Markdown; stores in ns."""
    frame = pd.read_csv(folder / STORMS)
    threads = sorted(frame["threads"].unique())
    titles = ("tracker or lane", "stores", "lost", "pages", "harvest beside", "the same, still")
    lines = _head(*titles, *(f"a store, {n} at once" for n in threads), "busy locks a 1,000 stores")
    for name, rows in frame.groupby("name", sort=False):
        most = rows[rows["threads"] == threads[-1]]
        lost = "-" if name in TRACK_NOTHING else f"{most['lost'].sum():.0f}"
        cells = [f"{most['stores'].sum():,}", lost, f"{most['pages'].median():,.0f}"]
        cells += [_spread(most[column], time_text) for column in ("beside_ns", "still_ns")]
        cells += [_spread(rows.loc[rows["threads"] == n, "store_ns"]) for n in threads]
        cells.append(_spread(most["lock_retries"] / most["stores"] * 1000))
        lines.append(_line(f"`{name}`", *cells))
    return lines


def _slope(prices, threads):
    """Return by how much a price grows with each further thread, in each pass."""
    return (prices[threads[-1]] - prices[threads[0]]) / max(threads[-1] - threads[0], 1)


def _spread(values, text=two_digits):
    """Return a median with the least and the greatest, or - where nothing was counted."""
    values = values.dropna()
    if values.empty:
        return "-"
    middle, low, high = (text(one) for one in (values.median(), values.min(), values.max()))
    return middle if low == high else f"{middle} ({low} to {high})"


def _head(*titles):
    return [_line(*titles), _line(*("---" for _ in titles))]


def _line(*cells):
    return f"| {' | '.join(cells)} |"
