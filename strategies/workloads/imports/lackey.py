"""The memory trace of valgrind's lackey; its instructions are the clock."""

import re

import numpy as np

from strategies.errors import InputError
from strategies.workloads.checks import written_too
from strategies.workloads.compact import Compaction, laid_out
from strategies.workloads.imports.text import numbered, wrong
from strategies.workloads.trace import Trace

PAGE_BYTES = 4096
_LINE = re.compile(r"(I|S|L|M)\s+([0-9a-fA-F]{1,16}),([0-9]{1,6})")


def read_lackey(paths, options):
    """Return a trace of stores (S, and M which loads before) and loads (L), by 4 KiB pages.

    An epoch is `options.instructions` instructions (I). Sparse addresses become a slot as a
    recording's do. What valgrind itself prints (`==1234== ...`) is skipped.
    """
    options.refuse_slot("lackey")
    (path,) = paths
    written, read = [{}], [set()]
    instructions = 0
    for number, text in numbered(path):
        if text.startswith("=="):
            continue
        kind, pages = _access(text, path, number)
        if kind == "I":
            instructions += 1
            if instructions > options.instructions:
                instructions = 1
                written.append({})
                read.append(set())
        for page in pages:
            if kind == "L":
                read[-1].add(page)
            elif kind != "I":
                written[-1][page] = written[-1].get(page, 0) + 1
    return _trace(written, read, path, options)


def _access(text, path, number):
    match = _LINE.fullmatch(text)
    if not match:
        raise wrong(path, number, f"{text[:40]!r}; accepted: I, S, L or M, then 7ff000398,8")
    address, size = int(match[2], 16), int(match[3])
    last = address + max(size, 1) - 1
    if last >= 2**63:
        raise wrong(path, number, "the address is above 2**63")
    return match[1], range(address // PAGE_BYTES, last // PAGE_BYTES + 1)


def _trace(written, read, path, options):
    offsets, pages = laid_out([list(epoch) for epoch in written])
    read_offsets, read_pages = laid_out([list(epoch) for epoch in read])
    if not len(pages):
        raise InputError(f"{str(path)!r} has no store; accepted: lackey's --trace-mem=yes")
    slot = Compaction(np.concatenate([pages, read_pages]))
    stores = [epoch[page] for epoch in written for page in sorted(epoch)]
    gfns, read_gfns = slot.gfns(pages), slot.gfns(read_pages)
    alone = ~written_too(read_offsets, read_gfns, offsets, gfns)
    kept = np.concatenate([[0], np.cumsum(alone, dtype=np.int64)])
    meta = options.meta(slot.slot_pages, len(written), f"lackey's trace {path.name}")
    meta |= {"epoch_instructions": options.instructions, "address_runs": slot.address_runs}
    return Trace(
        offsets=offsets,
        gfns=gfns.astype(np.uint32),
        stores=np.array(stores, np.uint32),
        read_offsets=kept[read_offsets],
        read_gfns=read_gfns[alone].astype(np.uint32),
        meta=meta,
    )
