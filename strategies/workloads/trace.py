"""A page-write trace: which pages of a slot were written, epoch by epoch."""

import json
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from strategies.errors import InputError
from strategies.plural import plural
from strategies.workloads.archive import read_arrays, write_arrays
from strategies.workloads.checks import check_meta, check_trace, written_too
from strategies.workloads.merging import (
    cut_pages,
    merge_pages,
    running_count,
    union_of_epochs,
)

FILE_PAGE_SIZE = 4096
MAX_CUT_BYTES = 256 << 20
"""Of the pages that larger ones are cut into: a small file may hold many."""
NS_PER_MS = 1e6
REQUIRED_ARRAYS = {"offsets": np.int64, "gfns": np.uint32, "meta": None}
OPTIONAL_ARRAYS = {"stores": np.uint32, "read_offsets": np.int64, "read_gfns": np.uint32}


@dataclass(frozen=True, eq=False)
class Trace:
    """The pages a guest writes, and optionally those it only reads, per epoch.

    Parameters
    ----------
    offsets : int64[epochs + 1]
        Epoch i wrote the pages ``gfns[offsets[i]:offsets[i + 1]]``.
    gfns : uint32[total]
        Page numbers in the slot, sorted and unique within an epoch.
    meta : dict
        JSON object with at least name, page_size (bytes), slot_pages, epoch_ms, epochs.
    stores : uint32[total], optional
        Stores to each of these pages in its epoch; None means one each.
    read_offsets, read_gfns : int64[epochs + 1], uint32[reads], optional
        Pages only read, laid out as the written ones and disjoint from them within an
        epoch; None when the recording has writes only.

    Raises
    ------
    InputError
        If the parts do not fit together: an instance is always a valid trace.
    """

    offsets: np.ndarray
    gfns: np.ndarray
    meta: dict[str, Any]
    stores: np.ndarray | None = None
    read_offsets: np.ndarray | None = None
    read_gfns: np.ndarray | None = None

    def __post_init__(self):
        check_trace(self)

    @property
    def name(self) -> str:
        """Name of the trace."""
        return self.meta["name"]

    @property
    def epochs(self) -> int:
        """Number of epochs, those without a write included."""
        return len(self.offsets) - 1

    @property
    def slot_pages(self) -> int:
        """Pages of the slot, those never written included."""
        return self.meta["slot_pages"]

    @property
    def page_size(self) -> int:
        """Bytes of a page."""
        return self.meta["page_size"]

    @property
    def epoch_ms(self) -> float:
        """Milliseconds of an epoch."""
        return self.meta["epoch_ms"]

    @property
    def density(self) -> float:
        """Share of the slot's pages written in an epoch, mean over all epochs."""
        return len(self.gfns) / (self.epochs * self.slot_pages)

    def stores_of(self, epoch: int) -> np.ndarray:
        """Return the page of each store of an epoch, in order: int64[stores]."""
        part = slice(*self.offsets[epoch : epoch + 2])
        pages = self.gfns[part].astype(np.int64)
        return pages if self.stores is None else np.repeat(pages, self.stores[part])

    def refine(self, page_size: int) -> "Trace":
        """Return the trace with each page cut into pages of this size, all of them written.

        That is what a host knows of a large page. Stores are then one each; `recorded_page_size`
        in the meta says what was recorded.

        Raises
        ------
        InputError
            The slot would have too many pages, or the pages are smaller.
        """
        parts = self.page_size // page_size
        if parts == 1:
            return self
        if not parts:
            raise InputError(f"pages of {self.page_size} bytes; accepted: {page_size} or more")
        sizes = {"page_size": page_size, "slot_pages": self.slot_pages * parts}
        meta = self.meta | sizes | {"recorded_page_size": self.page_size}
        check_meta(meta)
        reads = 0 if self.read_gfns is None else len(self.read_gfns)
        nbytes = (len(self.gfns) + reads) * parts * self.gfns.itemsize
        if nbytes > MAX_CUT_BYTES:
            raise InputError(
                f"{nbytes} bytes once cut into pages of {page_size}; accepted: at most "
                f"{MAX_CUT_BYTES}"
            )
        cut = {"offsets": self.offsets * parts, "gfns": cut_pages(self.gfns, parts)}
        if self.read_gfns is not None:
            cut["read_offsets"] = self.read_offsets * parts
            cut["read_gfns"] = cut_pages(self.read_gfns, parts)
        return Trace(meta=meta, **cut)

    def coarsen(self, page_shift: int) -> "Trace":
        """Return the trace as a guest with larger pages makes it.

        Pages that fall together are merged within an epoch, and their stores added if the
        trace has any (else each merged page is stored once).
        A page counts as only read if nothing in it was written in that epoch.

        Parameters
        ----------
        page_shift : int
            log2 of the page size in bytes, 16 for 64 KiB.

        Returns
        -------
        Trace
            This trace itself if its pages have that size already.

        Raises
        ------
        InputError
            If `page_shift` is below the trace's own.
        """
        shift = page_shift - self.page_size.bit_length() + 1
        if shift < 0:
            raise InputError(
                f"pages of {1 << page_shift} bytes are smaller than the trace's; "
                f"accepted: {self.page_size} bytes or more"
            )
        if shift == 0:
            return self
        offsets, gfns, first = merge_pages(self.offsets, self.gfns, shift)
        stores = self.stores
        if stores is not None:
            stores = np.add.reduceat(stores, first, dtype=np.uint32)
        meta = self.meta | {
            "page_size": self.page_size << shift,
            "slot_pages": -(-self.slot_pages >> shift),
        }
        coarse = Trace(offsets, gfns, meta, stores)
        return coarse if self.read_gfns is None else self._coarsen_reads(coarse, shift)

    def merged(self, times: int) -> "Trace":
        """Return the trace with epochs so many times as long: a page counts once in each.

        A rest that does not fill an epoch is left out, unless it is all there is.

        Parameters
        ----------
        times : int
            1 or more.

        Returns
        -------
        Trace
            This trace itself for 1.
        """
        if times == 1:
            return self
        epochs = max(self.epochs // times, 1)
        union = union_of_epochs(self.offsets, self.gfns, epochs, times, self.slot_pages)
        offsets, gfns, place = union
        stores = None
        if self.stores is not None:
            stores = np.zeros(len(gfns), np.uint32)
            np.add.at(stores, place, self.stores[: len(place)])
        meta = self.meta | {"epoch_ms": self.epoch_ms * times, "epochs": epochs}
        longer = Trace(offsets, gfns, meta, stores)
        if self.read_gfns is None:
            return longer
        reads, pages, _ = union_of_epochs(
            self.read_offsets, self.read_gfns, epochs, times, self.slot_pages
        )
        keep = ~written_too(reads, pages, offsets, gfns)
        return replace(longer, read_offsets=running_count(keep)[reads], read_gfns=pages[keep])

    def at_interval(self, interval_ns: float) -> "Trace":
        """Return the trace with epochs merged to the whole multiple nearest to an interval.

        It is at least an epoch and at most the whole recording: `epoch_ms` says which.

        Parameters
        ----------
        interval_ns : float

        Returns
        -------
        Trace
        """
        times = round(interval_ns / (self.epoch_ms * NS_PER_MS))
        return self.merged(min(max(times, 1), self.epochs))

    def _coarsen_reads(self, coarse: "Trace", shift: int) -> "Trace":
        """Return `coarse` with this trace's reads, less the pages it writes."""
        offsets, gfns, _ = merge_pages(self.read_offsets, self.read_gfns, shift)
        keep = ~written_too(offsets, gfns, coarse.offsets, coarse.gfns)
        return replace(coarse, read_offsets=running_count(keep)[offsets], read_gfns=gfns[keep])


def bundled() -> tuple[str, ...]:
    """Return the names of the recordings that come with the package, sorted."""
    names = (entry.name for entry in _recordings().iterdir())
    return tuple(sorted(name.removesuffix(".npz") for name in names if name.endswith(".npz")))


def load_trace(name_or_path: str | Path) -> Trace:
    """Load a bundled recording by its name, or a trace from a file.

    Parameters
    ----------
    name_or_path : str or Path
        One of `bundled()`, or the path of an npz file. Its integers may be of any width. Pages
        larger than 4 KiB become as many of 4 KiB (see `Trace.refine`).

    Raises
    ------
    InputError
        If there is no such trace, or the file is not one.
    """
    try:
        with _locate(name_or_path).open("rb") as file:
            return read_trace(file)
    except OSError as error:
        raise InputError(f"trace {str(name_or_path)!r}: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"trace {str(name_or_path)!r}: {error}") from error


def read_trace(file: BinaryIO) -> Trace:
    """Read a trace from an open npz file (binary, seekable), wherever that is stored.

    Raises
    ------
    InputError
        If it is not a trace; the message does not say which, for the file has no name here.
    """
    arrays = read_arrays(file, REQUIRED_ARRAYS, OPTIONAL_ARRAYS)
    meta = _parse_meta(arrays.pop("meta"))
    return Trace(meta=meta, **arrays).refine(FILE_PAGE_SIZE)


def save_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace in the format of the recordings; an existing file is replaced.

    Raises
    ------
    InputError
        If it cannot be written there, or its pages are not of 4 KiB; nothing is
        left half-written.
    """
    _check_file_pages(trace)
    arrays = {name: getattr(trace, name) for name in ("offsets", "gfns", *OPTIONAL_ARRAYS)}
    present = {name: array for name, array in arrays.items() if array is not None}
    write_arrays(Path(path), present | {"meta": np.array(json.dumps(trace.meta))})


def wrote_text(trace: Trace, path: str | Path) -> str:
    """Return what a command says of the file to which it saved a trace."""
    import click

    return (
        f"wrote {click.format_filename(path)}: {plural(trace.slot_pages, 'page')} of 4 KiB, "
        f"{plural(trace.epochs, 'epoch')} of {trace.epoch_ms:g} ms, "
        f"mean density {trace.density:.3%}"
    )


def _recordings() -> Traversable:
    return resources.files("strategies.workloads") / "recordings"


def _locate(name_or_path: str | Path) -> Traversable:
    if name_or_path in bundled():
        return _recordings() / f"{name_or_path}.npz"
    path = Path(name_or_path)
    if path.is_file():
        return path
    found = "not a regular file" if path.exists() else "no such file"
    raise InputError(f"{found}; accepted: an npz file, or one of {', '.join(bundled())}")


def _parse_meta(text: np.ndarray) -> Any:
    if text.dtype.kind != "U" or text.ndim != 0:
        raise InputError(f"meta must be one text, not a {text.ndim}-d {text.dtype} array")
    try:
        return json.loads(text.item())
    except (ValueError, RecursionError) as error:
        raise InputError(f"meta must be a JSON object ({error})") from error


def _check_file_pages(trace: Trace) -> None:
    if trace.page_size != FILE_PAGE_SIZE:
        raise InputError(f"a trace file holds pages of 4096 bytes, not {trace.page_size}")
