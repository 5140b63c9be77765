"""How far the reference's times carry over: the same harvests on a second machine, cell by cell.

Compared are the cells that both have, of the trackers that one may choose.
"""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.measured.harvests import CELL, CLOCK_LIMIT_NS, HARVESTS
from analysis.measured.reference import ORIGIN
from strategies.registry import choices

TIMES = {"reference_ns": "reference", "second_ns": "second"}
MACHINES = tuple(TIMES.values())
FAR = 2
"""From this factor on, two trackers are far apart."""

QUANTILES = {"least": 0, "p5": 0.05, "p50": 0.5, "p95": 0.95, "most": 1}


class Carried(NamedTuple):
    """Two machines beside each other.

    Attributes
    ----------
    cells : DataFrame
        As from `joined`.
    reference, second : dict
        Where and when each was measured, as `analysis.derived` wrote it.
    """

    cells: pd.DataFrame
    reference: dict
    second: dict

    @property
    def noise(self):
        """By how much medians must differ to be no tie: of the reference, of the second."""
        return self.reference["noise"], self.second["noise"]


def load_carried(reference, second):
    """Return two machines beside each other, or None where the second was not measured.

    Parameters
    ----------
    reference, second : Path
        Folders that `analysis.derived` wrote.
    """
    if not (second / HARVESTS).is_file():
        return None
    folders = (reference, second)
    cells = joined(*(pd.read_csv(one / HARVESTS) for one in folders))
    return Carried(cells, *(json.loads((one / ORIGIN).read_text()) for one in folders))


def joined(reference, second):
    """Return the cells that two machines have.

    Parameters
    ----------
    reference, second : DataFrame
        As from `analysis.measured.harvests.harvests`.

    Returns
    -------
    DataFrame
        `strategy`, CELL, `reference_ns`, `second_ns` (medians; less than CLOCK_LIMIT_NS counts as
        that) and `ratio`, second / reference: missing where both are at that limit.
    """
    by = ["strategy", *CELL]
    times = (one.set_index(by)["median_ns"] for one in (reference, second))
    cells = pd.concat(times, axis="columns", join="inner", keys=TIMES)
    cells = cells.clip(lower=CLOCK_LIMIT_NS).reset_index()
    ratio = cells["second_ns"] / cells["reference_ns"]
    is_told = (cells[[*TIMES]] > CLOCK_LIMIT_NS).any(axis="columns")
    cells = cells.assign(ratio=ratio.where(is_told))
    return cells[cells["strategy"].isin(choices())].reset_index(drop=True)


def spread(ratio):
    """Return QUANTILES of ratios, `count`, and `within_two`: how many are within a factor of two.

    Parameters
    ----------
    ratio : Series
        Missing ones have no part.
    """
    found = {name: float(ratio.quantile(at)) for name, at in QUANTILES.items()}
    return found | {"count": int(ratio.count()), "within_two": int(ratio.between(0.5, 2).sum())}


def versus(cells, one, other):
    """Return how many times as long one tracker takes as another, on both machines.

    Returns
    -------
    DataFrame
        A row for each cell that both trackers have: CELL, MACHINES, and `ratio`, second /
        reference.
    """
    wide = cells.pivot(index=CELL, columns="strategy", values=[*TIMES])
    times = {name: wide[column][one] / wide[column][other] for column, name in TIMES.items()}
    found = pd.DataFrame(times).dropna()
    return found.assign(ratio=found["second"] / found["reference"]).reset_index()


def pairs(cells, noise):
    """Return all pairs of trackers of each cell, and how far they differ on both machines.

    Parameters
    ----------
    cells : DataFrame
        As from `joined`.
    noise : (float, float)
        Of the reference and of the second machine.

    Returns
    -------
    DataFrame
        CELL; `quicker` and `slower`, on the reference; MACHINES, how many times as long the slower
        takes (on the second below 1 where it is the quicker there); `is_tie` where on either
        machine the medians differ by less than its noise.
    """
    both = cells.merge(cells, on=CELL, suffixes=("", "_slower"))
    found = both[CELL].assign(quicker=both["strategy"], slower=both["strategy_slower"])
    for column, name in TIMES.items():
        found[name] = both[f"{column}_slower"] / both[column]
    is_equal = (found["reference"] == 1) & (found["quicker"] < found["slower"])
    found = found[(found["reference"] > 1) | is_equal].reset_index(drop=True)
    times = found[[*MACHINES]]
    apart = times.where(times >= 1, 1 / times)
    return found.assign(is_tie=(apart < 1 + np.array(noise)).any(axis="columns"))


def agreement(found):
    """Return in how many pairs the quicker tracker is the same on both machines, ties left out.

    Parameters
    ----------
    found : DataFrame
        As from `pairs`.

    Returns
    -------
    dict
        `pairs`, `same`, `ties`; `far` and `far_same`: the pairs that differ on the reference by a
        factor of FAR or more; `turned_most`: how many times as long the quicker of the reference
        takes on the second machine, at most (1 where none has turned).
    """
    told = found[~found["is_tie"]]
    far = told[told["reference"] >= FAR]
    return {
        "pairs": len(told),
        "same": int((told["second"] > 1).sum()),
        "ties": len(found) - len(told),
        "far": len(far),
        "far_same": int((far["second"] > 1).sum()),
        "turned_most": float(1 / told["second"].min().clip(max=1)) if len(told) else 1.0,
    }
