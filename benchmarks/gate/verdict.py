"""From log-ratios of pairs of processes to a verdict: intervals, and when to stop.

If both revisions are the same, their names can be exchanged, so a pair's log-ratio is as likely x
as -x: Wilcoxon's signed-rank test then errs as often as it says, whatever the distribution. An
interval is that test turned round (Hodges and Lehmann), its limits Walsh averages; around another
ratio than 1 it supposes log-ratios that are symmetric there. All intervals of a run, of each kernel
and the canary at each look, hold together with probability 1 - RUN_ERROR (Bonferroni).
"""

from typing import NamedTuple

import numpy as np

RUN_ERROR = 0.01
"""Probability that any interval of a run misses the ratio it is of."""

LOOKS = (14, 20, 28, 40, 56)
"""Numbers of pairs at which the intervals are looked at; one more look ends the time."""

MARGIN = np.log(1.005)
"""Below it, nothing is called slower: code that moves in memory does as much."""

RESOLUTION = np.log(1.02)
"""A kernel is called the same when its interval ends below this."""

CANARY = 0.03
"""By how much the canary is slowed."""

SLOWER, FASTER, SAME, OPEN = "slower", "faster", "no change", "could not tell"


class Interval(NamedTuple):
    """An estimate of a log-ratio with its limits."""

    low: float
    middle: float
    high: float

    @property
    def verdict(self):
        """What it says of a kernel."""
        if self.low > MARGIN:
            return SLOWER
        if self.high < -MARGIN:
            return FASTER
        return SAME if self.high < RESOLUTION else OPEN

    def __str__(self):
        low, middle, high = np.exp(self)
        return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def critical_rank_sum(n, error):
    """Return the largest k that a signed-rank sum of n reaches with at most a probability.

    Under the null the sum is at most k with probability `error` or less, exactly. -1: no such k.
    """
    ways = np.ones(1)
    for rank in range(1, n + 1):
        ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
    return int(np.searchsorted(np.cumsum(ways / 2.0**n), error, side="right")) - 1


def interval(logs, error):
    """Return the signed-rank interval of log-ratios.

    Parameters
    ----------
    logs : float[n]
        One for each pair of processes.
    error : float
        Probability that the interval misses, both ends together.
    """
    n = len(logs)
    rows, columns = np.triu_indices(n)
    walsh = np.sort((logs[rows] + logs[columns]) / 2)
    k = critical_rank_sum(n, error / 2)
    if k < 0:
        return Interval(-np.inf, float(np.median(walsh)), np.inf)
    return Interval(*map(float, (walsh[k], np.median(walsh), walsh[-1 - k])))


class Look(NamedTuple):
    """What is known after some pairs.

    Attributes
    ----------
    intervals : list of Interval
        Of each kernel.
    canary : Interval
    canary_of : int
        Which kernel the canary is.
    """

    intervals: list
    canary: Interval
    canary_of: int

    @property
    def is_canary_found(self):
        """Whether the canary is seen to be slower than the kernel that it is."""
        return self.canary.low - self.intervals[self.canary_of].middle > MARGIN

    @property
    def is_settled(self):
        """Whether more pairs could change nothing that matters."""
        return self.is_canary_found and all(i.verdict != OPEN for i in self.intervals)

    @property
    def verdict(self):
        """What the times say of the head."""
        verdicts = [i.verdict for i in self.intervals]
        if not self.is_canary_found:
            return OPEN
        return next((v for v in (SLOWER, OPEN, FASTER) if v in verdicts), SAME)


def look(rows, canary_of):
    """Return what rows of log-ratios say: a row a pair, a column a kernel, the last the canary."""
    rows = np.asarray(rows)
    error = RUN_ERROR / (len(LOOKS) + 1) / rows.shape[1]
    *intervals, canary = (interval(column, error) for column in rows.T)
    return Look(intervals, canary, canary_of)


def decide(pairs, canary_of):
    """Take pairs until all is settled, or there are no more.

    Parameters
    ----------
    pairs : iterable of float[kernels + 1]
        Log-ratios of head to base, the canary's last.
    canary_of : int
        The column of the kernel that the canary is.

    Returns
    -------
    tuple of Look, list
        The last look (None: fewer pairs than the first look needs), and the rows that were taken.
    """
    rows, seen = [], None
    for row in pairs:
        rows.append(row)
        if len(rows) in LOOKS:
            seen = look(rows, canary_of)
            if seen.is_settled or len(rows) == LOOKS[-1]:
                return seen, rows
    return (look(rows, canary_of) if len(rows) > LOOKS[0] else seen), rows
