"""Lists of page numbers or addresses."""

import numpy as np

from strategies.errors import InputError
from strategies.workloads.checks import MAX_EPOCHS, MAX_SLOT_PAGES
from strategies.workloads.compact import Compaction, laid_out
from strategies.workloads.imports.text import numbered, whole_number, wrong
from strategies.workloads.trace import Trace

PAGE_BYTES = 4096


def read_gfns(paths, options):
    """Return a trace of page numbers; the slot ends with the largest unless `slot_pages` is given.

    One file: either each line has an epoch's pages (divided by blanks or commas; `-` is an
    epoch without any), or the first line is `epoch,gfn` and each further one has these.
    """
    offsets, gfns = laid_out(_epochs(paths, "gfn"))
    if len(gfns) and gfns.max() >= MAX_SLOT_PAGES:
        raise InputError(f"gfn {gfns.max()} is too large; accepted: below {MAX_SLOT_PAGES}")
    least = int(gfns.max()) + 1 if len(gfns) else 1
    slot_pages = options.slot_pages or least
    meta = options.meta(slot_pages, len(offsets) - 1, f"gfns of {paths[0].name}")
    return Trace(offsets=offsets, gfns=gfns.astype(np.uint32), meta=meta)


def read_addresses(paths, options):
    """Return a trace of addresses (column `address`), in the slot that `Compaction` makes."""
    options.refuse_slot("addresses")
    epochs = [pages // PAGE_BYTES for pages in _epochs(paths, "address")]
    offsets, pages = laid_out(epochs)
    slot = Compaction(pages)
    meta = options.meta(slot.slot_pages, len(epochs), f"addresses of {paths[0].name}")
    meta["address_runs"] = slot.address_runs
    return Trace(offsets=offsets, gfns=slot.gfns(pages).astype(np.uint32), meta=meta)


def _epochs(paths, column):
    """Return the numbers of each epoch, a list of int64[n]."""
    (path,) = paths
    lines = numbered(path)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{str(path)!r} is empty; accepted: an epoch a line")
    if [word.strip() for word in first[1].split(",")] == ["epoch", column]:
        return _of_columns(lines, path)
    return [_of_line(text, path, number) for number, text in (first, *lines)]


def _of_line(text, path, number):
    if text == "-":
        return np.empty(0, np.int64)
    words = text.replace(",", " ").split()
    return np.array([whole_number(word, path, number) for word in words], np.int64)


def _of_columns(lines, path):
    found = {}
    for number, text in lines:
        words = [word.strip() for word in text.split(",")]
        if len(words) != 2:
            raise wrong(path, number, f"{len(words)} columns; accepted: 2, as in its first line")
        epoch, value = (whole_number(word, path, number) for word in words)
        if epoch >= MAX_EPOCHS:
            raise wrong(path, number, f"epoch {epoch}; accepted: below {MAX_EPOCHS}")
        found.setdefault(epoch, []).append(value)
    empty = np.empty(0, np.int64)
    return [np.array(found.get(e, empty), np.int64) for e in range(max(found, default=0) + 1)]
