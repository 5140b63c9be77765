"""Traces made to mislead a tracker that learns: each pays for something just before it is useless.

A family is a function of a random generator and its parameters, and gives the pages that each epoch
writes. ADVERSARIES names the ones that are always tried; `search` looks for worse ones.
"""

from itertools import pairwise

import numpy as np

from strategies.workloads.trace import Trace

PAGES = 8192
GROUP = 256
"""Pages of the slot, and of a group of `adaptive`."""


def cyclic(_rng, epochs, rate):
    """Write the slot from its start to its end, again and again, `rate` pages an epoch."""
    edges = np.floor(np.arange(epochs + 1) * rate).astype(int)
    return [np.arange(a, min(b, a + PAGES)) % PAGES for a, b in pairwise(edges)]


def sparse(rng, epochs, rate):
    """Write pages picked at random, `rate` an epoch on average."""
    return [rng.integers(0, PAGES, rng.poisson(rate)) for _ in range(epochs)]


def once(rng, epochs):
    """Write each page in one epoch, in random order."""
    return np.array_split(rng.permutation(PAGES), epochs)


def phases(rng, epochs, length, pages):
    """Write the same `pages` in each epoch, and others after `length` epochs."""
    chosen = [rng.choice(PAGES, pages, replace=False) for _ in range(-(-epochs // length))]
    return [chosen[epoch // length] for epoch in range(epochs)]


def on_off(rng, epochs, on, off, density):
    """Write a share of the slot for `on` epochs, then nothing for `off`."""
    return [
        np.flatnonzero(rng.random(PAGES) < density * (epoch % (on + off) < on))
        for epoch in range(epochs)
    ]


def on_off_groups(rng, epochs, on, off):
    """Write whole groups for `on` epochs, then not for `off`, each group at another time."""
    begin = rng.integers(0, on + off, PAGES // GROUP)
    pages = np.arange(GROUP)
    return [
        (np.flatnonzero((epoch + begin) % (on + off) < on)[:, None] * GROUP + pages).ravel()
        for epoch in range(epochs)
    ]


def one_per_group(_rng, epochs, gap, step):
    """Write a page of each group in every `gap`-th epoch; the page moves on by `step`."""
    groups = np.arange(0, PAGES, GROUP)
    return [
        groups + epoch // gap * step % GROUP if epoch % gap == 0 else groups[:0]
        for epoch in range(epochs)
    ]


FAMILIES = {
    family.__name__: family
    for family in (cyclic, sparse, once, phases, on_off, on_off_groups, one_per_group)
}

ADVERSARIES = tuple(
    (name, {"epochs": epochs, **parameters})
    for epochs in (300, 2000)
    for name, parameters in (
        *(("cyclic", {"rate": rate}) for rate in (1, 9, 40, 400)),
        *(("sparse", {"rate": rate}) for rate in (0.3, 3, 10, 30, 300)),
        ("once", {}),
        *(("phases", {"length": length, "pages": 64}) for length in (2, 10, 50)),
        *(
            ("on_off", {"on": on, "off": off, "density": 0.1})
            for on, off in ((1, 10), (1, 300), (1, 900), (1, 1500), (5, 100))
        ),
        *(("on_off_groups", {"on": on, "off": off}) for on, off in ((1, 10), (1, 300), (5, 100))),
        *(
            ("one_per_group", {"gap": gap, "step": step})
            for gap in (1, 10, 100, 600, 1000)
            for step in (0, 7)
        ),
    )
)
"""Name of a family, and its parameters."""

RANGES = {
    "epochs": (200, 2000),
    "rate": (0.05, 1000),
    "length": (1, 300),
    "pages": (1, 2000),
    "on": (1, 50),
    "off": (1, 2000),
    "density": (0.0002, 1),
    "gap": (1, 1500),
    "step": (0, 255),
}
"""Least and most of each parameter that `search` tries."""


def name_of(family, parameters):
    """Return the name of an adversary, as `cyclic epochs=300 rate=9`."""
    return " ".join((family, *(f"{key}={value:g}" for key, value in parameters.items())))


def make(family, parameters, seed=0):
    """Return the trace of an adversary."""
    lists = FAMILIES[family](np.random.default_rng(seed), **parameters)
    lists = [np.unique(pages) for pages in lists]
    return Trace(
        offsets=np.cumsum([0, *map(len, lists)]),
        gfns=np.concatenate(lists).astype(np.uint32),
        meta={
            "name": name_of(family, parameters),
            "page_size": 4096,
            "slot_pages": PAGES,
            "epoch_ms": 10.0,
            "epochs": len(lists),
        },
    )


def _drawn(rng, key):
    """Return a value of a parameter, all orders of magnitude alike."""
    low, high = RANGES[key]
    value = np.exp(rng.uniform(np.log(max(low, 1e-3)), np.log(high)))
    whole = key not in ("rate", "density")
    return int(max(round(value), low)) if whole else float(f"{value:.3g}")


def search(ratio_of, tries, seed=0):
    """Yield adversaries and their ratios: drawn at random, then near the worst one so far.

    Parameters
    ----------
    ratio_of : callable
        From a trace to how many times the best other tracker's cost it makes.
    tries : int
    seed : int
        The same one gives the same adversaries.
    """
    rng = np.random.default_rng(seed)
    worst, most = None, 0.0
    for number in range(tries):
        if worst and number % 2:
            family, parameters = worst[0], dict(worst[1])
            key = rng.choice(list(parameters))
            parameters[key] = _drawn(rng, key)
        else:
            family = str(rng.choice(list(FAMILIES)))
            code = FAMILIES[family].__code__
            keys = code.co_varnames[1 : code.co_argcount]
            parameters = {key: _drawn(rng, key) for key in keys}
        ratio = ratio_of(make(family, parameters))
        yield name_of(family, parameters), ratio
        if ratio > most:
            worst, most = (family, parameters), ratio
