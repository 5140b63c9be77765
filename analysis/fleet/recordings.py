"""Recordings of a sweep: found by pattern on any file system, known by a digest, read by workers.

A recording never travels through Dask's scheduler: what travels is where it lies.
"""

import hashlib
import io
import json
from dataclasses import asdict, replace
from importlib import resources
from typing import NamedTuple

from strategies.errors import InputError
from strategies.workloads.recipe import Recipe
from strategies.workloads.synthetic import synthesize
from strategies.workloads.trace import bundled, read_trace


class Source(NamedTuple):
    """Where a trace comes from.

    Attributes
    ----------
    name : str
        What it is called in the results.
    path : str
        An fsspec path; of a synthetic workload empty.
    arguments : str
        JSON of a `Recipe`; of a recording empty.
    stamp : str
        Changes when the contents may have changed: size and time, or a storage's own tag.
    """

    name: str
    path: str
    arguments: str
    stamp: str


class Recording(NamedTuple):
    """What is known of a source once a worker has looked at it.

    Attributes
    ----------
    source : Source
    digest : str
        Of the contents; of what cannot be read, of its place.
    slot_pages, epochs, stores, nbytes : int
        Pages of 4 KiB; stores of all epochs; bytes in storage.
    epoch_ms : float
    reason : str
        Why it cannot be used; else empty.
    """

    source: Source
    digest: str
    slot_pages: int = 0
    epochs: int = 0
    stores: int = 0
    nbytes: int = 0
    epoch_ms: float = 0.0
    reason: str = ""


def find_sources(sweep):
    """Return the sources of a sweep, by name.

    Raises
    ------
    InputError
        A pattern that finds nothing, a storage that does not answer, or two of one name.
    """
    found = {}
    synthetic = (_synthetic(*one, seed) for one in sweep.workloads for seed in sweep.axes["seed"])
    recorded = (source for pattern in sweep.traces for source in _matching(pattern))
    for source in (*recorded, *synthetic):
        if found.setdefault(source.name, source) != source:
            raise InputError(
                f"two recordings are named {source.name!r}: {found[source.name].path} and "
                f"{source.path}; accepted: names that differ, or one pattern over both folders"
            )
    return found


def _synthetic(name, recipe, seed):
    text = json.dumps(asdict(replace(recipe, seed=seed)), sort_keys=True)
    return Source(f"{name}-seed{seed}", "", text, text)


def _matching(pattern):
    """Yield the sources that a pattern finds, named by the path below its fixed part."""
    import fsspec

    if pattern in bundled():
        path = str(resources.files("strategies.workloads") / "recordings" / f"{pattern}.npz")
        pattern, prefix = path, path.removesuffix(f"{pattern}.npz")
    else:
        fixed = pattern[: min(map(len, (pattern.split(wild)[0] for wild in "*?[")))]
        prefix = fixed[: fixed.rfind("/") + 1]
    try:
        files, path = fsspec.core.url_to_fs(pattern)
        entries = files.glob(path, detail=True) if path != prefix else {}
        base = files._strip_protocol(prefix).rstrip("/") + "/" if prefix else ""
    except Exception as error:  # of any storage's own kind
        raise InputError(f"cannot list {pattern!r}: {error}") from error
    base = base or f"{files._strip_protocol('.')}/"
    listed = {path: entry for path, entry in entries.items() if entry["type"] == "file"}
    if not listed:
        raise InputError(f"no recording matches {pattern!r}; accepted: npz files, or a bundled one")
    for path, entry in sorted(listed.items()):
        name = path.removeprefix(base).removesuffix(".npz")
        yield Source(name, files.unstrip_protocol(path), "", _stamp(entry))


def _stamp(entry):
    """Return a text that changes with a file: a storage's tag, or the time it was modified."""
    tag = entry.get("ETag") or entry.get("mtime") or entry.get("LastModified") or ""
    return f"{entry.get('size')} {tag}"


def look(source):
    """Return the Recording of a source; what is wrong with it is its `reason`."""
    try:
        if source.arguments:
            return _look_at_recipe(source)
        data = _contents(source)
        digest = _digest(data)
    except Exception as error:  # whatever storage, zip or numpy may raise
        return unusable(source, _say(error))
    try:
        trace = read_trace(io.BytesIO(data))
    except Exception as error:
        return Recording(source, digest, reason=_say(error))
    stores = len(trace.gfns) if trace.stores is None else int(trace.stores.sum())
    return Recording(
        source, digest, trace.slot_pages, trace.epochs, stores, len(data), trace.epoch_ms
    )


def load(source, digest):
    """Return the trace of a source, of 4 KiB pages.

    Raises
    ------
    InputError
        It has changed since it was looked at, or cannot be read.
    """
    if source.arguments:
        return synthesize(**json.loads(source.arguments))
    try:
        data = _contents(source)
    except OSError as error:
        raise InputError(error.strerror or str(error)) from error
    if _digest(data) != digest:
        raise InputError("the recording changed while the sweep ran")
    return read_trace(io.BytesIO(data))


def _contents(source):
    import fsspec

    with fsspec.open(source.path, "rb") as file:
        return file.read()


def _look_at_recipe(source):
    recipe = Recipe(**json.loads(source.arguments))
    stores = recipe.epochs * (recipe.stores or round(recipe.density * recipe.slot_pages))
    digest = _digest(source.arguments.encode())
    return Recording(
        source, digest, recipe.slot_pages, recipe.epochs, stores, epoch_ms=recipe.epoch_ms
    )


def unusable(source, reason):
    """Return the recording of a source whose contents nobody could read."""
    return Recording(source, _digest((source.path or source.arguments).encode()), reason=reason)


def _say(error):
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def _digest(data):
    return hashlib.blake2b(data, digest_size=16).hexdigest()
