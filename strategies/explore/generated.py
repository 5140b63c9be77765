"""Programs that nobody thought of: all pairs of operations, and all triples with a harvest.

A name says it all: threads are parted by commas, what one does in turn by plus signs, and after the
@ stand how it starts and, if so, that C is kept back: `store+remove,harvest@clean,late`. A digit is
the view of an HPTE other than the first. Guests are clean at the start: their HPTEs have R and C
clear, so that it shows who loses them. The starts are

- `clean`; `dirty`: the page was stored to through each view; `ro`: then made read-only;
  `gone`: then its HPTEs were removed; `full`: then their group filled; `off`, `off-dirty`: not
  logged yet, the page clean or dirty.

The first vCPU has stored then, the others have loaded, through the views the other way round, so
that TLBs have, and may owe, what the others have not. Left out is what only swaps threads, and what
has nothing to lose or to find. Cheap ones come first: pairs, then triples of two threads, then of
three, those with C kept back last.
"""

from functools import cache
from itertools import combinations_with_replacement, product

from strategies.core.guest import VIEW_ALIAS, VIEW_BASE
from strategies.explore import operations as op
from strategies.explore.programs import SCANS, TRACKERS, Program, guest, host

ONE, TWO = (VIEW_BASE,), (VIEW_BASE, VIEW_ALIAS)
KEEPS_C_BACK = (*SCANS, "pml", "dbm_hybrid")
MODES = (
    "c_bit_scan",
    "write_protect",
    "double_buffer",
    "dirty_ring",
    "pml",
    "dbm_hybrid",
    "pte_flush",
)
"""One tracker of each sort: where the host does nothing before the end the others are alike."""

GUEST = {
    "store": op.store,
    "load": op.load,
    "remove": op.remove,
    "remove-other": op.remove_other,
    "enter": op.enter,
    "enter-clean": op.enter_clean,
    "protect-ro": lambda view: op.protect(view, writable=False),
    "protect-rw": lambda view: op.protect(view, writable=True),
    "clear-mod": op.clear_mod,
    "clear-ref": op.clear_ref,
    "read": op.read,
}
HOST = {
    "harvest": op.harvest,
    "host-store": lambda _pages: op.host_store(),
    "enable": op.enable,
    "disable": op.disable,
    "enable-other": op.enable_other,
}
BULK, ANY = "bulk-remove", "enter-any"

STORES = ("store", "host-store")
QUIET = ("remove-other", "load", "read")
"""With one of these alone beside it a harvest has nothing to lose: no triples begin with them."""


def _guests(views):
    """Return the operations of a guest, each with the view of its HPTE, or None for all."""
    names = [(name, view) for view in views for name in GUEST]
    return [*names, (BULK, None)]


def _unordered(views):
    """Yield each pair of operations of two guests once; with two HPTEs each has its own."""
    for one, other in combinations_with_replacement(_guests(views), 2):
        if views == ONE or one[1] is None or one[1] != other[1]:
            yield one, other


def _ordered(views):
    """Yield each two operations of one guest in turn; with two HPTEs the first is on the first."""
    for one, other in product(_guests(views), repeat=2):
        if views == ONE or (one[1], other[1]) in ((VIEW_BASE, VIEW_ALIAS), (None, VIEW_ALIAS)):
            yield one, other


def _pairs():
    """Yield the threads of all pairs: guests beside guests, guests beside the host, the host's."""
    for views in (ONE, TWO):
        for one, other in _unordered(views):
            yield views, ((one,), (other,))
        for one, other in product(_guests(ONE), HOST):
            yield views, ((one,), (other,))
    for one, other in combinations_with_replacement(HOST, 2):
        yield ONE, ((one,), (other,))
    for other in [*GUEST, ANY]:
        yield ONE, (((ANY, VIEW_BASE),), ((other, VIEW_BASE),))
    yield ONE, (((ANY, VIEW_BASE),), ("harvest",))


def _triples_of_two():
    """Yield the threads of triples with a harvest: one guest in turn, or the host in turn."""
    for views in (ONE, TWO):
        for one, other in _ordered(views):
            if one[0] not in QUIET:
                yield views, ((one, other), ("harvest",))
    in_turn = [(name, "harvest") for name in HOST if name != "enable-other"]
    in_turn += [("harvest", name) for name in HOST if name not in ("harvest", "enable-other")]
    for one, other in product(_guests(ONE), [*in_turn, ("disable", "enable")]):
        if one[0] not in QUIET:
            yield ONE, ((one,), other)


def _triples_of_three():
    """Yield the threads of triples with a harvest, each operation by a thread of its own."""
    for views in (ONE, TWO):
        for one, other in _unordered(views):
            if one[0] not in QUIET and other[0] not in QUIET:
                yield views, ((one,), (other,), ("harvest",))
        for one in _guests(ONE):
            if one[0] not in QUIET and views == ONE:
                yield views, ((one,), ("host-store",), ("harvest",))


def _starts(threads):
    """Return the starts from which the threads have something to lose."""
    names = [one if isinstance(one, str) else one[0] for thread in threads for one in thread]
    if ANY in names:
        return ("full",)
    guests = [name for name in names if name in GUEST or name == BULK]
    is_pair = len(names) == 2
    if names[0] not in ("disable",) and "enable" in names and threads[-1][:1] != ("disable",):
        return ("off-dirty", "off") if is_pair else ("off",)
    if guests and guests[0].startswith("enter") and not (is_pair and len(guests) == 2):
        return ("gone",)
    stores = [name in STORES for name in names]
    makes_it_dirty = not is_pair and stores[0] and len(threads[0]) > 1
    starts = ([] if makes_it_dirty else ["dirty"]) + (["clean"] if any(stores) else [])
    if any(name.startswith("enter") for name in names):
        starts.append("gone")
    if "protect-rw" in names:
        starts.append("ro")
    return tuple(starts)


def _before(start, views, vcpus):
    """Return what is done first, alone, and by which vCPU."""
    done = [(0, act(view)) for view in views for act in (op.remove, op.enter_clean)]
    if start not in ("clean", "off"):
        done += [(0, op.store(view)) for view in views]
        done += [(vcpu, op.load(view)) for vcpu in range(1, vcpus) for view in views[::-1]]
    if start == "ro":
        done += [(0, op.protect(view, writable=False)) for view in views]
    if start in ("gone", "full"):
        done += [(0, op.remove(view)) for view in views]
    if start == "full":
        done.append((0, op.fill_group()))
    return tuple(done)


def _operation(one, views, pages):
    if isinstance(one, str):
        return HOST[one](pages)
    name, view = one
    return op.bulk_remove(*views) if name == BULK else (GUEST | {ANY: op.enter_any})[name](view)


def _program(views, threads, start, is_late):
    """Return the program of threads of names, with its name."""
    actors, pages = [], 2 if start == "full" else 1
    for thread in threads:
        actions = [_operation(one, views, pages) for one in thread]
        actors.append((host if isinstance(thread[0], str) else guest)(*actions))
    labels = ["+".join(action.label for action in actor.actions) for actor in actors]
    trackers = TRACKERS if any(not actor.is_guest for actor in actors) else MODES
    two = ["two"] if views == TWO else []
    late = ["late"] if is_late else []
    return Program(
        f"{','.join(labels)}@{','.join([start, *two, *late])}",
        "generated",
        tuple(actors),
        pages=pages,
        views=views,
        enabled=not start.startswith("off"),
        before=_before(start, views, max(1, sum(actor.is_guest for actor in actors))),
        strategies=tuple(name for name in trackers if not is_late or name in KEEPS_C_BACK),
        options={"delayed_c": True} if is_late else {},
        step_limit=20000 if is_late else 4000,
    )


@cache
def pairs():
    """Return the programs of two operations."""
    return tuple(_programs(list(_pairs())))


@cache
def programs():
    """Return all programs, the cheap first."""
    shapes = [*_triples_of_two(), *_triples_of_three()]
    each = [*pairs(), *_programs(shapes)]
    return tuple(sorted(each, key=lambda program: "late" in program.name))


def _programs(shapes):
    """Return the programs of some shapes, from each of their starts, also with C kept back."""
    return [
        _program(views, threads, start, is_late)
        for is_late in (False, True)
        for views, threads in shapes
        for start in _starts(threads)
    ]
