"""Lists of page numbers or addresses."""

from array import array
from itertools import chain

import numpy as np

from strategies.errors import InputError
from strategies.plural import plural
from strategies.workloads.checks import MAX_EPOCHS, MAX_SLOT_PAGES
from strategies.workloads.compact import Compaction, laid_out_by_number
from strategies.workloads.imports.text import numbered, whole_number, wrong
from strategies.workloads.trace import Trace

PAGE_BYTES = 4096


def read_gfns(paths, options):
    """Return a trace of page numbers; the slot ends with the largest unless `slot_pages` is given.

    One file: either each line has an epoch's pages (divided by blanks or commas; `-` is an
    epoch without any), or the first line is `epoch,gfn` and each further one has these.
    """
    offsets, gfns = laid_out_by_number(*_epochs(paths, "gfn"))
    if len(gfns) and gfns.max() >= MAX_SLOT_PAGES:
        raise InputError(f"gfn {gfns.max()} is too large; accepted: below {MAX_SLOT_PAGES}")
    least = int(gfns.max()) + 1 if len(gfns) else 1
    slot_pages = options.slot_pages or least
    meta = options.meta(slot_pages, len(offsets) - 1, f"gfns of {paths[0].name}")
    return Trace(offsets=offsets, gfns=gfns.astype(np.uint32), meta=meta)


def read_addresses(paths, options):
    """Return a trace of addresses (column `address`), in the slot that `Compaction` makes."""
    options.refuse_slot("addresses")
    epochs, addresses, count = _epochs(paths, "address")
    offsets, pages = laid_out_by_number(epochs, addresses // PAGE_BYTES, count)
    slot = Compaction(pages)
    meta = options.meta(slot.slot_pages, count, f"addresses of {paths[0].name}")
    meta["address_runs"] = slot.address_runs
    return Trace(offsets=offsets, gfns=slot.gfns(pages).astype(np.uint32), meta=meta)


def _epochs(paths, column):
    """Return of each number its epoch (int64[n]) and itself (int64[n]), and how many epochs."""
    (path,) = paths
    lines = numbered(path)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{str(path)!r} is empty; accepted: an epoch a line")
    if [word.strip() for word in first[1].split(",")] == ["epoch", column]:
        return _of_columns(lines, path)
    return _of_lines(chain([first], lines), path)


def _of_lines(lines, path):
    values, sizes = array("q"), []
    for number, text in lines:
        words = [] if text == "-" else text.replace(",", " ").split()
        values.extend(whole_number(word, path, number) for word in words)
        sizes.append(len(words))
    return np.repeat(np.arange(len(sizes)), sizes), np.array(values, np.int64), len(sizes)


def _of_columns(lines, path):
    epochs, values = array("q"), array("q")
    for number, text in lines:
        words = [word.strip() for word in text.split(",")]
        if len(words) != 2:
            columns = plural(len(words), "column")
            raise wrong(path, number, f"{columns}; accepted: 2, as in its first line")
        epoch, value = (whole_number(word, path, number) for word in words)
        if epoch >= MAX_EPOCHS:
            raise wrong(path, number, f"epoch {epoch}; accepted: below {MAX_EPOCHS}")
        epochs.append(epoch)
        values.append(value)
    return np.array(epochs, np.int64), np.array(values, np.int64), max(epochs, default=0) + 1
