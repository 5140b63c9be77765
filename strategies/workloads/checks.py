"""What makes a trace valid; every check is vectorised and names the first offender."""

import json
from itertools import pairwise
from reprlib import repr as short
from typing import Any

import numpy as np

from strategies.errors import InputError
from strategies.plural import plural

REQUIRED_META = ("name", "page_size", "slot_pages", "epoch_ms", "epochs")
MAX_SLOT_PAGES = 2**31
MAX_EPOCHS = 2**24  # two days of 10 ms; a page of an epoch has a number of 55 bits
MIN_EPOCH_MS = 1e-6
MAX_MS = 1e12  # of all epochs, which may be merged into one: 31 years
MAX_NAME = 200
# A replay holds the stores of an epoch in memory; one core makes about 10 million in 10 ms.
MAX_EPOCH_STORES = 2**26
# What a replay of little may ask for: its time goes by epochs and by pages of the slot.
IDLE_EPOCHS = 2**17
IDLE_SLOT_BYTES = 2**37
SLOT_BYTES_OF_A_PAGE = 2**23
BLOCK_PAGES = 1 << 20  # what is looked at at once, so that a check takes little memory


def check_trace(trace: Any) -> None:
    """Raise InputError with one line if the arrays and the meta data do not make a trace."""
    check_meta(trace.meta)
    _check_pages("offsets", trace.offsets, "gfns", trace.gfns, trace.meta)
    if trace.stores is not None:
        _check_stores(trace)
    if (trace.read_offsets is None) != (trace.read_gfns is None):
        raise InputError("has one of read_offsets and read_gfns; accepted: both or neither")
    if trace.read_gfns is not None:
        _check_pages("read_offsets", trace.read_offsets, "read_gfns", trace.read_gfns, trace.meta)
        _check_disjoint(trace)


def check_meta(meta: Any) -> None:
    """Raise InputError unless `meta` is a dict with the required keys and valid values."""
    if not isinstance(meta, dict):
        raise InputError(f"meta must be a JSON object, not {type(meta).__name__}")
    missing = [key for key in REQUIRED_META if key not in meta]
    if missing:
        raise InputError(f"meta lacks {', '.join(missing)}; required: {', '.join(REQUIRED_META)}")
    name, page_size, slot_pages, epoch_ms, epochs = (meta[key] for key in REQUIRED_META)
    check_name(name)
    if not _is_count(page_size) or page_size < 4096 or page_size.bit_count() != 1:
        raise InputError(f"page_size must be a power of two from 4096, not {short(page_size)}")
    if not _is_count(slot_pages) or slot_pages > MAX_SLOT_PAGES:
        raise InputError(f"slot_pages must be 1 to {MAX_SLOT_PAGES}, not {short(slot_pages)}")
    if not _is_count(epochs):
        raise InputError(f"epochs must be 1 or more, not {short(epochs)}")
    if epochs > MAX_EPOCHS:
        raise InputError(f"epochs must be at most {MAX_EPOCHS}, not {short(epochs)}")
    if not _is_number(epoch_ms) or not MIN_EPOCH_MS <= epoch_ms <= MAX_MS / epochs:
        raise InputError(
            f"epoch_ms must be a number from {MIN_EPOCH_MS:g}, at most {MAX_MS:g} in all epochs, "
            f"not {short(epoch_ms)}"
        )
    recorded = meta.get("recorded_page_size", 4096)
    if not _is_count(recorded) or recorded.bit_count() != 1 or recorded > MAX_SLOT_PAGES * 4096:
        raise InputError(f"recorded_page_size must be a power of two, not {short(recorded)}")
    _check_numbers(meta)


def check_name(name: Any) -> None:
    """Raise InputError unless a trace may be called so."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise InputError(f"name must be 1 to {MAX_NAME} printable letters, not {short(name)}")


def _check_numbers(meta: dict[str, Any]) -> None:
    """Raise InputError if `meta` holds what JSON has not: it is printed as such again."""
    try:
        json.dumps(meta, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise InputError(f"meta must be JSON ({error})") from error


def check_work(trace: Any) -> None:
    """Raise InputError if a replay of the trace would take minutes for next to nothing.

    Epochs and the slot may be as large as what is written and read allows, and some size anyway.
    """
    reads = 0 if trace.read_gfns is None else len(trace.read_gfns)
    pages = len(trace.gfns) + reads
    if trace.epochs > max(IDLE_EPOCHS, pages):
        raise InputError(
            f"{trace.epochs} epochs with {plural(pages, 'page')} written or read; accepted: at "
            f"most {IDLE_EPOCHS} where so little is, or a longer --interval"
        )
    slot_bytes = trace.slot_pages * trace.page_size
    if slot_bytes > max(IDLE_SLOT_BYTES, pages * SLOT_BYTES_OF_A_PAGE):
        raise InputError(
            f"a slot of {slot_bytes >> 30} GiB with {plural(pages, 'page')} written or read; "
            f"accepted: at most {IDLE_SLOT_BYTES >> 30} GiB where so little is"
        )


def written_too(
    read_offsets: np.ndarray, read_gfns: np.ndarray, offsets: np.ndarray, gfns: np.ndarray
) -> np.ndarray:
    """Return bool[reads]: whether each read page is also written in its epoch."""
    found = np.zeros(len(read_gfns), bool)
    pages = read_offsets + offsets
    full = np.searchsorted(pages, np.arange(0, pages[-1], BLOCK_PAGES), "right") - 1
    for first, last in pairwise(np.unique([*full, *full + 1, len(offsets) - 1]).tolist()):
        begin, end = read_offsets[[first, last]]
        reads, written = read_gfns[begin:end], gfns[slice(*offsets[[first, last]])]
        if last - first > 1:
            reads = _page_keys(read_offsets[first : last + 1], read_gfns)
            written = _page_keys(offsets[first : last + 1], gfns)
        for at in range(0, len(reads), BLOCK_PAGES):
            part = reads[at : at + BLOCK_PAGES]
            found[begin + at : begin + at + len(part)] = _is_in(written, part)
    return found


def _is_in(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return bool[values]: whether each is among the ascending ones."""
    places = np.searchsorted(ascending, values)
    found = places < len(ascending)
    found[found] = ascending[places[found]] == values[found]
    return found


def _page_keys(offsets: np.ndarray, gfns: np.ndarray) -> np.ndarray:
    """Return int64 keys of the pages of some epochs, equal only for the same page and epoch."""
    epochs = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return epochs * MAX_SLOT_PAGES + gfns[offsets[0] : offsets[-1]]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value) and value >= 1


def _check_array(name: str, array: np.ndarray, dtype: type[np.integer]) -> None:
    if array.dtype != dtype or array.ndim != 1:
        raise InputError(
            f"{name} must be a 1-d {np.dtype(dtype)} array, not {array.ndim}-d {array.dtype}"
        )


def _check_pages(
    offsets_name: str, offsets: np.ndarray, name: str, gfns: np.ndarray, meta: dict[str, Any]
) -> None:
    """Check that `offsets` cuts `gfns` into the stated epochs, each ascending and in the slot."""
    _check_array(offsets_name, offsets, np.int64)
    _check_array(name, gfns, np.uint32)
    if len(offsets) != meta["epochs"] + 1:
        raise InputError(
            f"{offsets_name} must hold epochs + 1 = {meta['epochs'] + 1} values, not {len(offsets)}"
        )
    if offsets[0] != 0 or offsets[-1] != len(gfns):
        raise InputError(
            f"{offsets_name} must run from 0 to the length of {name} ({len(gfns)}), "
            f"not from {offsets[0]} to {offsets[-1]}"
        )
    falling = offsets[1:] < offsets[:-1]
    if falling.any():
        raise InputError(f"{offsets_name} must not decrease, but does in epoch {falling.argmax()}")
    for first in range(0, len(gfns), BLOCK_PAGES):
        part = gfns[first : first + BLOCK_PAGES]
        rule = f"below slot_pages {meta['slot_pages']}"
        _refuse_first(part >= meta["slot_pages"], rule, name, offsets, gfns, first)
        unsorted = np.zeros(len(part), bool)
        unsorted[1:] = part[1:] <= part[:-1]
        unsorted[0] = first > 0 and part[0] <= gfns[first - 1]
        begins = slice(*np.searchsorted(offsets, [first, first + len(part)]))
        unsorted[offsets[begins] - first] = False
        rule = "sorted and unique within an epoch"
        _refuse_first(unsorted, rule, name, offsets, gfns, first)


def _refuse_first(
    bad: np.ndarray, rule: str, name: str, offsets: np.ndarray, gfns: np.ndarray, first: int = 0
) -> None:
    """Raise InputError naming gfn and epoch of the first True in `bad`, which starts at `first`."""
    if not bad.any():
        return
    index = first + int(bad.argmax())
    epoch = int(np.searchsorted(offsets, index, side="right")) - 1
    raise InputError(f"{name} must be {rule}, but gfn {gfns[index]} in epoch {epoch} is not")


def _check_stores(trace: Any) -> None:
    _check_array("stores", trace.stores, np.uint32)
    if len(trace.stores) != len(trace.gfns):
        raise InputError(
            f"stores must hold one number per gfn ({len(trace.gfns)}), not {len(trace.stores)}"
        )
    if not trace.stores.all():
        raise InputError("stores must be 1 or more for every written page, but one is 0")
    totals = np.zeros(len(trace.stores) + 1, np.uint64)
    np.cumsum(trace.stores, out=totals[1:])
    if (np.diff(totals[trace.offsets]) > MAX_EPOCH_STORES).any():
        raise InputError(f"stores must be at most {MAX_EPOCH_STORES} in an epoch")


def _check_disjoint(trace: Any) -> None:
    written = written_too(trace.read_offsets, trace.read_gfns, trace.offsets, trace.gfns)
    rule = "pages not written in the same epoch"
    _refuse_first(written, rule, "read_gfns", trace.read_offsets, trace.read_gfns)
