"""Draws over all constants of a profile at once: how sure a verdict is.

Each constant is shaped with its value as the median: half the draws lie below it, half above,
uniform in the logarithm (in the number itself where the range begins at 0). The points are of a
scrambled Sobol sequence, drawn once by scipy and kept in `draws.npy`, for scipy takes longer to
import than `dirtylog advise` may take: `python -m analysis.model.draws` writes the file anew.
"""

from importlib import resources

import numpy as np

from analysis.model.profile import CONSTANTS

DRAWS = 1024
SEED = 131571
RESOLUTION = 1 << 16
"""Points are kept as 16-bit numbers: a range is cut into that many parts."""

LOW, HIGH = 5, 95
"""Percentiles over the draws that are shown as a range."""


def _file():
    return resources.files("analysis.model") / "draws.npy"


def sobol_points():
    """Return uint16[DRAWS, constants]: the points of the sequence, in parts of RESOLUTION."""
    from scipy.stats import qmc

    points = qmc.Sobol(len(CONSTANTS), scramble=True, rng=SEED).random(DRAWS)
    return (points * RESOLUTION).astype(np.uint16)


def quantiles():
    """Return by constant, in the order of CONSTANTS, its quantile in each draw (0 to 1)."""
    with _file().open("rb") as file:
        points = np.load(file)
    return dict(zip(CONSTANTS, (points.T + 0.5) / RESOLUTION, strict=True))


def at_quantile(constant, quantile):
    """Return the value of a constant at quantiles of its range: 0 low, 0.5 value, 1 high."""
    knots = np.array([constant.low, constant.value, constant.high])
    is_log = constant.low > 0
    knots = np.log(knots) if is_log else knots
    values = np.interp(quantile, [0.0, 0.5, 1.0], knots)
    return np.exp(values) if is_log else values


def drawn(profile):
    """Return by name every constant's value in each draw, or the one value it has.

    Parameters
    ----------
    profile : Profile
        All in nanoseconds, as from `Profile.at`.
    """
    at = quantiles()
    return {
        name: at_quantile(constant, at[name]) if constant.low < constant.high else constant.value
        for name, constant in profile.constants.items()
    }


def spread(value, draws):
    """Return a number and its range over the draws, as JSON has it."""
    low, high = np.percentile(draws, [LOW, HIGH])
    value = float(np.ravel(value)[0])
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def drivers(effect, profile):
    """Return what a verdict hangs on: constants by their share of its rank variance.

    Parameters
    ----------
    effect : float[DRAWS]
        What is explained, such as the logarithm of how much two strategies differ.
    profile : Profile

    Returns
    -------
    dict of str to float
        Squared Spearman correlation over the sum of all, largest first; empty where the effect is
        the same in all draws.
    """
    if np.ptp(effect) == 0:
        return {}
    at = quantiles()
    ranged = [name for name, one in profile.constants.items() if one.low < one.high]
    squares = {name: np.corrcoef(_ranks(at[name]), _ranks(effect))[0, 1] ** 2 for name in ranged}
    total = sum(squares.values())
    order = sorted(squares, key=squares.get, reverse=True)
    return {name: float(squares[name] / total) for name in order}


def _ranks(values):
    return np.argsort(np.argsort(values))


if __name__ == "__main__":
    np.save(str(_file()), sobol_points())
