"""Adaptive beside its rivals, and beside the least that any choice could cost."""

import pandas as pd

from analysis.report.programs import THREAD
from analysis.report.wording import factor, two_digits

COLUMNS = {
    "ratio": "CPU time: of the best other in software",
    "over_least": "of the least possible",
    "times_better_than_2011": "times better than the best of 2011",
    "times_possible_than_2011": "times that are possible",
}


def load_rivals(results):
    """Return `analysis.rivals`' recordings in a folder of results, or None where there are none."""
    path = results / "rivals" / "recordings.csv"
    if not path.exists():
        return None
    rivals = pd.read_csv(path)
    return rivals.assign(over_least=rivals["cpu_us"] / rivals["least_cpu_us"])


def by_platform(rivals):
    """Return a row for each platform: least and greatest of COLUMNS over its recordings."""
    rows = [
        {"platform": profile}
        | {title: factor(one[name].min(), one[name].max()) for name, title in COLUMNS.items()}
        for profile, one in rivals.groupby("profile", sort=False)
    ]
    return pd.DataFrame(rows)


def cheaper(rivals, priced, other):
    """Say in how many pairs another tracker takes less CPU time than adaptive, and how much less.

    Parameters
    ----------
    rivals : DataFrame
        As from `load_rivals`.
    priced : DataFrame
        As from `programs.priced_replays`.
    other : str
        A tracker that the rivals leave out.
    """
    pair = ["trace", "profile"]
    cpu = priced.pivot(index=pair, columns="strategy", values="cpu")
    theirs = cpu[other] / cpu[[one for one in THREAD if one in cpu]].min(axis="columns")
    ours = 1 / rivals.set_index(pair)["times_better_than_2011"]
    ratio = (ours / theirs).dropna()
    text = f"`{other}` takes less in {(ratio > 1).sum()} of {len(ratio)} pairs"
    return f"{text}, at most {two_digits(ratio.max())} times less" if ratio.max() > 1 else text


def said(rivals):
    """Return how near adaptive comes to what is possible, in a sentence or two."""
    assert (rivals["over_least"] >= 1).all(), "less than the least that is possible"
    ranges = {name: factor(rivals[name].min(), rivals[name].max()) for name in COLUMNS}
    return (
        "- **The rest is knowing the future.** A tracker that knew all stores beforehand, and "
        "chose for each page between a fault and a changed bit, would take at best "
        f"{ranges['times_possible_than_2011']} times less CPU time than the best of c_bit_scan, "
        f"write_protect and double_buffer (*derived*, a bound from below); `adaptive`, by each "
        f"platform's costs, takes {ranges['times_better_than_2011']} times less than that, and "
        f"{ranges['over_least']} times the bound (*modelled*)."
    )
