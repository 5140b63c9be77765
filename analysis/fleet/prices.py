"""Rows of a dataset: exact counts under the names of recordings, priced by profiles.

Nothing here replays: when a profile or the model changes, rows are made anew from the counts.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

import analysis
from analysis.fleet.cells import PER_EPOCH, counting_digest
from analysis.fleet.dataset import DIGITS, ORDER
from analysis.measured.reference import COSTS, FOLDER
from analysis.model.draws import DRAWS, drawn
from analysis.model.pricing import counts_from, prices_plain, sums
from analysis.model.profile import REFERENCE
from analysis.model.scenario import Scenario
from strategies.errors import InputError
from strategies.registry import base_of

PERCENTILES = {"p50": 50, "p99": 99, "max": 100}
TOTALS = ("harvest", "stall", "cpu")
BLOCK_CELLS = 2048
"""Cells whose draws are held in memory together."""

SETTING = ["digest", *(name for name in ORDER if name not in ("trace", "strategy"))]


def prices_digest(profiles):
    """Return a digest of all that turns counts into prices."""
    digest = hashlib.blake2b(repr(profiles).encode(), digest_size=8)
    model = Path(analysis.__file__).parent / "model"
    for path in sorted((*model.glob("*.py"), model / "draws.npy", Path(__file__))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update((FOLDER / COSTS).read_bytes())
    return digest.hexdigest()


def write_rows(dataset, recordings, profiles, digits=DIGITS):
    """Write the rows of some digits anew from the counts that the present sources made.

    Parameters
    ----------
    dataset : Dataset
    recordings : dict of str to Recording
        By name: whose rows there shall be.
    profiles : sequence of Profile
    digits : iterable of str
    """
    names = {}
    for name, recording in recordings.items():
        names.setdefault(recording.digest, []).append(name)
    for digit in digits:
        counts = dataset.counts_of(digit)
        if counts is not None:
            dataset.write_rows(digit, rows_of(counts, names, profiles))


def rows_of(counts, names, profiles):
    """Return priced rows as a table: a row for each cell and each name of its trace.

    Parameters
    ----------
    counts : pyarrow.Table
        Of `Dataset.counts_of`.
    names : dict of str to list of str
        By digest.
    profiles : sequence of Profile
    """
    sources = np.array(counts["sources"].to_pylist())
    counts = counts.take(np.flatnonzero(sources == counting_digest()))
    priced = [column for profile in profiles for column in _priced(counts, profile).items()]
    plain = counts.drop_columns([name for name in counts.column_names if name.startswith("epoch/")])
    for name, values in priced:
        plain = plain.append_column(name, pa.array(values, from_pandas=True))
    digests = plain["digest"].to_pylist()
    pairs = [(row, name) for row, one in enumerate(digests) for name in names.get(one, ())]
    table = plain.take([row for row, _ in pairs])
    table = table.add_column(0, "trace", pa.array([name for _, name in pairs], pa.string()))
    return table.sort_by([(name, "ascending") for name in ORDER])


def _priced(counts, profile):
    """Return the columns of a profile, by name; NaN where a strategy is not priced.

    `offered` says whether a kernel of the platform has the strategy.
    """
    epochs = _Epochs(counts)
    quantities = [f"harvest_ns_{name}" for name in PERCENTILES] + [f"{n}_ns" for n in TOTALS]
    found = {name: np.full(counts.num_rows, np.nan) for name in quantities}
    found["offered"] = np.zeros(counts.num_rows, bool)
    for strategy, cells in _alike(counts, profile):
        constants = _constants(profile, counts, cells)
        if constants is None:
            continue
        found["offered"][cells] = profile.is_offered(base_of(strategy))
        total = sums(strategy, _scenario(counts, cells), constants, epochs.totals(cells))
        for name in TOTALS:
            found[f"{name}_ns"][cells] = total[f"{name}_ns"]
        rows, owner = epochs.rows_of(cells)
        each = sums(
            strategy,
            _scenario(counts, cells[owner]),
            {name: _spread(one, owner) for name, one in constants.items()},
            epochs.each(rows),
        )
        harvest = np.broadcast_to(each["harvest_ns"], len(rows))
        for name, values in _percentiles(harvest, owner, epochs.times[rows]).items():
            found[f"harvest_ns_{name}"][cells] = values
    found |= _shares(counts, profile, epochs)
    return {f"{profile.name}/{name}": values for name, values in found.items()}


def _spread(constant, owner):
    return constant[owner] if np.ndim(constant) else constant


def _alike(counts, profile):
    """Yield strategy and cells (int64) that the profile prices, of one page size and mapping."""
    is_counted = counts["epochs"].is_valid().to_numpy()
    names, sizes, mappings = (
        np.array(counts[name].to_pylist(), object) for name in ("strategy", "page_size", "mapping")
    )
    for strategy in sorted(set(names)):
        if not prices_plain(profile, strategy):
            continue
        chosen = is_counted & (names == strategy)
        for size, mapping in sorted(set(zip(sizes[chosen], mappings[chosen], strict=True))):
            yield strategy, np.flatnonzero(chosen & (sizes == size) & (mappings == mapping))


def _scenario(counts, cells):
    """Return the scenario of cells of one page size and mapping, an array element for each."""
    slot_pages, vcpus = (counts[name].to_numpy()[cells] for name in ("slot_pages", "vcpus"))
    return Scenario(
        slot_pages=slot_pages.astype(float),
        dirty_pages=0.0,
        interval_ns=1.0,  # no count has it
        vcpus=vcpus.astype(float),
        page_bytes=counts["page_size"][int(cells[0])].as_py(),
        mapping=counts["mapping"][int(cells[0])].as_py(),
    )


def _constants(profile, counts, cells):
    """Return the value of each constant there, or None where a walk was not measured."""
    try:
        return profile.at(_scenario(counts, cells)).values()
    except InputError:
        return None


class _Epochs:
    """Counts by epoch of all cells, one after the other; `times`: epochs with these counts."""

    def __init__(self, counts):
        lists = counts["epoch/times"].combine_chunks()
        lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        self.starts = np.concatenate(([0], np.cumsum(lengths)))
        names = ("stored", "reported", *PER_EPOCH)
        self._columns = {name: self._flat(counts, name) for name in names}
        self._columns["any_dirty"] = np.minimum(self._columns["stored"], 1)
        self._columns["harvests"] = np.ones_like(self._columns["stored"])
        self.times = self._flat(counts, "times")

    def _flat(self, counts, name):
        return counts[f"epoch/{name}"].combine_chunks().flatten().to_numpy()

    def rows_of(self, cells):
        """Return the rows of cells, and for each row the place of its cell in `cells`."""
        lengths = self.starts[cells + 1] - self.starts[cells]
        owner = np.repeat(np.arange(len(cells)), lengths)
        first = np.cumsum(lengths) - lengths
        return self.starts[cells][owner] + np.arange(len(owner)) - first[owner], owner

    def each(self, rows):
        """Return the counts of single epochs under the names of the model."""
        return self._counted({name: column[rows] for name, column in self._columns.items()})

    def totals(self, cells):
        """Return the counts of cells, all epochs together, under the names of the model."""
        rows, owner = self.rows_of(cells)
        weights = self.times[rows]
        return self._counted(
            {
                name: np.bincount(owner, column[rows] * weights, len(cells))
                for name, column in self._columns.items()
            }
        )

    def _counted(self, columns):
        shared = (columns[name] for name in ("stored", "reported", "any_dirty", "harvests"))
        return counts_from(columns, *shared)


def _percentiles(values, owner, times):
    """Return percentiles by nearest rank of each owner's values, each there `times` times."""
    order = np.lexsort((values, owner))
    ends = np.cumsum(times[order])
    last = np.searchsorted(owner[order], np.arange(owner.max() + 1), "right") - 1
    after = ends[last]
    before = np.concatenate(([0], after[:-1]))
    return {
        name: values[order][np.searchsorted(ends, before - (-percent * (after - before) // 100))]
        for name, percent in PERCENTILES.items()
    }


def _shares(counts, profile, epochs):
    """Return for each total in which share of the draws a cell costs least in its setting."""
    setting = counts.select(SETTING).to_pandas().groupby(SETTING, sort=False).ngroup().to_numpy()
    order = np.argsort(setting, kind="stable")
    first = np.flatnonzero(np.diff(setting[order], prepend=-1))
    shares = {f"{name}_share": np.full(counts.num_rows, np.nan) for name in TOTALS}
    at = 0
    while at < len(first):
        end = max(np.searchsorted(first, first[at] + BLOCK_CELLS), at + 1)
        stop = first[end] if end < len(first) else len(order)
        block, starts = order[first[at] : stop], first[at:end] - first[at]
        for name, ns in _draws(counts, profile, epochs, block).items():
            least = np.minimum.reduceat(ns, starts)
            sizes = np.diff(np.append(starts, len(block)))
            share = (ns == np.repeat(least, sizes, axis=0)).mean(axis=1)
            shares[f"{name}_share"][block] = np.where(np.isinf(ns[:, 0]), np.nan, share)
        at = end
    return shares


def _draws(counts, profile, epochs, block):
    """Return for each total its ns, float[len(block), DRAWS]; inf where it is not priced."""
    found = {name: np.full((len(block), DRAWS), np.inf) for name in TOTALS}
    part = counts.take(block)
    follows_slot = any(one.unit == REFERENCE for one in profile.constants.values())
    fixed = None if follows_slot else drawn(profile)
    for strategy, cells in _alike(part, profile):
        if _constants(profile, part, cells) is None:
            continue
        sizes = part["slot_pages"].to_numpy()[cells]
        for chosen in [sizes == n for n in np.unique(sizes)] if follows_slot else [slice(None)]:
            mine = cells[chosen]
            one = _scenario(part, mine)
            constants = fixed or drawn(profile.at(replace(one, slot_pages=one.slot_pages[0])))
            one = replace(one, slot_pages=one.slot_pages[:, None], vcpus=one.vcpus[:, None])
            counted = {
                phase: {name: np.asarray(values)[..., None] for name, values in columns.items()}
                for phase, columns in epochs.totals(block[mine]).items()
            }
            total = sums(strategy, one, constants, counted)
            for name in TOTALS:
                found[name][mine] = total[f"{name}_ns"]
    return found
