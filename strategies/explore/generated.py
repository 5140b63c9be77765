"""Programs that nobody thought of: all pairs of operations, and all triples with a harvest.

A name says it all: threads are parted by commas, what one does in turn by plus signs, and after the
@ stand how it starts and, if so, that C is kept back: `store+remove,harvest@clean,late`. A digit is
the view of an HPTE other than the first: with `two` another HPTE of the page, with `large` a large
page (2) and a small one (3) inside it. `-next` is the page next to it. Guests are clean at the
start: their HPTEs have R and C clear, so that it shows who loses them. The starts are

- `clean`; `dirty`: the page was stored to through each view; `ro`: then made read-only;
  `gone`: then its HPTEs were removed; `full`: then their group filled; `off`, `off-dirty`: not
  logged yet, the page clean or dirty; of `adaptive` alone, with costs by which it does at once what
  it else does late: `cool`: stored to, harvested, and cooled next; `open`: clean, its group to be
  opened by a fault and closed by a harvest.

The first vCPU has stored then, the others have loaded, through the views the other way round, so
that TLBs have, and may owe, what the others have not: an access through another view evicts from
the TLB what is there of the page. Stores to two pages are also made with logs that are full with
one entry or two. Left out is what only swaps threads, and what has nothing to lose or to find; and,
as there would be too many, three threads with evictions or large pages, and these, and adaptive's
own starts, with C kept back. Cheap ones come first: pairs, then triples of two threads, then of
three, those with C kept back last.
"""

from functools import cache
from itertools import combinations_with_replacement, product

from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_LARGE, VIEW_SMALL
from strategies.core.hpte import SHIFT_4K
from strategies.costs import UnitCosts
from strategies.explore import host_operations as host_op
from strategies.explore import operations as op
from strategies.explore.actions import guest, host
from strategies.explore.program import KEEPS_C_BACK, TRACKERS, Program
from strategies.registry import base_of

ONE, TWO, LARGE = (VIEW_BASE,), (VIEW_BASE, VIEW_ALIAS), (VIEW_LARGE, VIEW_SMALL)
SIZES = {ONE: (), TWO: ("two",), LARGE: ("large",)}
HALF_OF_LARGE = 23
"""log2 of a base page of which two make a large page: enough to tell one from all."""

SMALL_LOGS = ("pml:1", "dirty_ring:66")
"""Full with one entry, or two."""

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

COSTS = {
    "cool": UnitCosts("impatient", 1, 2, 0, 1000, 1000, 0),
    "open": UnitCosts("rash", 1, 2, 0, 0, 0, 0),
}
"""Of adaptive's starts: a page cools at the first harvest that finds it clean, and no group opens;
a group opens at its first fault, and closes at the first harvest."""

GUEST = {
    "store": op.store,
    "load": op.load,
    "remove": op.remove,
    "remove-other": op.remove_other,
    "enter": op.enter,
    "enter-clean": op.enter_clean,
    "protect-ro": lambda *target: op.protect(*target, writable=False),
    "protect-rw": lambda *target: op.protect(*target, writable=True),
    "clear-mod": op.clear_mod,
    "clear-ref": op.clear_ref,
    "read": op.read,
}
HOST = {
    "harvest": host_op.harvest,
    "host-store": lambda _pages: host_op.host_store(),
    "enable": host_op.enable,
    "disable": host_op.disable,
    "enable-other": host_op.enable_other,
    "unmap": lambda pages: host_op.unmap(),
}
BULK, ANY, NEXT, EVICT = "bulk-remove", "enter-any", "store-next", "evict"
HOST_NEXT = "host-store-next"
OF_TWO_PAGES = {
    ANY: lambda *_: op.enter_any(),
    NEXT: lambda *_: op.store(gfn=1),
    EVICT: lambda *_: op.evict(),
}
"""Operations of a guest of which there are programs with two pages."""

SPLIT = ("store", "enter", "remove")
"""What is done with a small page after something with the large one, in triples."""

STORES = ("store", "host-store", NEXT, HOST_NEXT)
QUIET = ("remove-other", "load", "read")
"""With one of these alone beside it a harvest has nothing to lose: no triples begin with them."""


def _guests(views):
    """Return the operations of a guest, each with the view of its HPTE, or None for all."""
    names = [(name, view) for view in views for name in GUEST]
    return [*names, (BULK, None)]


def _loud():
    """Return those of one HPTE that are not quiet."""
    return [one for one in _guests(ONE) if one[0] not in QUIET]


def _unordered(views):
    """Yield each pair of operations of two guests once; with two HPTEs each has its own."""
    for one, other in combinations_with_replacement(_guests(views), 2):
        if views == ONE or one[1] is None or one[1] != other[1]:
            yield one, other


def _ordered(views):
    """Yield each two operations of one guest in turn; with two HPTEs the first is on the first."""
    for one, other in product(_guests(views), repeat=2):
        if views == ONE or (one[1] in (None, views[0]) and other[1] == views[1]):
            yield one, other


def _pairs():
    """Yield the threads of all pairs: guests beside guests, guests beside the host, the host's."""
    for views in SIZES:
        for one, other in _unordered(views):
            yield views, ((one,), (other,))
        for one, other in product(_guests(views[:1]), HOST):
            yield views, ((one,), (other,))
    for one, other in combinations_with_replacement(HOST, 2):
        yield ONE, ((one,), (other,))
    any_, next_, evict = ((name, VIEW_BASE) for name in OF_TWO_PAGES)
    for other in [*((name, VIEW_BASE) for name in GUEST), any_, "harvest"]:
        yield ONE, ((any_,), (other,))
    for one, other in product(_guests(ONE), (next_, evict)):
        yield ONE, ((one,), (other,))
    for other in [evict, *HOST]:
        yield ONE, ((evict,), (other,))


def _triples_of_two():
    """Yield the threads of triples with a harvest: one guest in turn, or the host in turn."""
    for views in SIZES:
        for one, other in _ordered(views):
            if one[0] not in QUIET and (views != LARGE or other[0] in SPLIT):
                yield views, ((one, other), ("harvest",))
    in_turn = [(name, "harvest") for name in HOST if name != "enable-other"]
    in_turn += [("harvest", name) for name in HOST if name not in ("harvest", "enable-other")]
    for one, other in product(_loud(), [*in_turn, ("disable", "enable"), (HOST_NEXT, "harvest")]):
        yield ONE, ((one,), other)
    _, next_, evict = ((name, VIEW_BASE) for name in OF_TWO_PAGES)
    for one in _loud():
        for other in (next_, evict):
            yield ONE, ((one, other), ("harvest",))


def _triples_of_three():
    """Yield the threads of triples with a harvest, each operation by a thread of its own."""
    for views in (ONE, TWO):
        for one, other in _unordered(views):
            if one[0] not in QUIET and other[0] not in QUIET:
                yield views, ((one,), (other,), ("harvest",))
    for one, other in product(_loud(), ("host-store", HOST_NEXT, (NEXT, VIEW_BASE))):
        yield ONE, ((one,), (other,), ("harvest",))


def _names(threads):
    """Return the names of the operations of some threads, without their views."""
    return [one if isinstance(one, str) else one[0] for thread in threads for one in thread]


def _starts(threads):
    """Return the starts from which the threads have something to lose."""
    names = _names(threads)
    if ANY in names:
        return ("full",)
    guests = [name for name in names if name not in (*HOST, HOST_NEXT)]
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


def _starts_by_costs(views, threads):
    """Return the starts at which a harvest of adaptive has something to decide."""
    names = {*_names(threads)}
    if views != ONE or "harvest" not in names or names & {"enable", "disable", ANY, EVICT}:
        return ()
    return ("cool", "open") if names & {"store", NEXT} else ("cool",)


def _may_be_late(views, threads, start):
    return views != LARGE and start not in COSTS and EVICT not in _names(threads)


def _before(start, views, pages, vcpus):
    """Return what is done first, alone, and by which vCPU."""
    gfn = _gfn_of(views)
    clean = [(view, page) for view in views for page in (range(pages) if views == ONE else [gfn])]
    done = [(0, act(*target)) for target in clean for act in (op.remove, op.enter_clean)]
    if start not in ("clean", "off", "open"):
        done += [(0, op.store(view, gfn)) for view in views]
        done += [(vcpu, op.load(view, gfn)) for vcpu in range(1, vcpus) for view in views[::-1]]
    if start == "ro":
        done += [(0, op.protect(view, gfn, writable=False)) for view in views]
    if start in ("gone", "full"):
        done += [(0, op.remove(view, gfn)) for view in views]
    if start == "full":
        done.append((0, op.fill_group()))
    if start == "cool":
        done.append((0, host_op.harvest(pages)))
    return tuple(done)


def _gfn_of(views):
    """Return the page that the operations are of: not the first of a large page."""
    return int(views == LARGE)


def _operation(one, views, pages):
    if isinstance(one, str):
        return host_op.host_store(1) if one == HOST_NEXT else HOST[one](pages)
    name, view = one
    gfn = _gfn_of(views)
    if name == BULK:
        return op.bulk_remove(*views, gfn=gfn)
    return (GUEST | OF_TWO_PAGES)[name](view, gfn)


def _trackers(threads, start, is_late):
    """Return the trackers under which a program is to be run."""
    if start in COSTS:
        return ("adaptive",)
    trackers = TRACKERS if any(isinstance(thread[0], str) for thread in threads) else MODES
    trackers += SMALL_LOGS if NEXT in _names(threads) else ()
    return tuple(name for name in trackers if not is_late or base_of(name) in KEEPS_C_BACK)


def _program(views, threads, start, is_late):
    """Return the program of threads of names, with its name."""
    pages = 2 if views == LARGE or {*_names(threads)} & {*OF_TWO_PAGES, HOST_NEXT} else 1
    actors = []
    for thread in threads:
        actions = [_operation(one, views, pages) for one in thread]
        actors.append((host if isinstance(thread[0], str) else guest)(*actions))
    labels = ["+".join(action.label for action in actor.actions) for actor in actors]
    how = [start, *SIZES[views], *(["late"] if is_late else [])]
    costs = {"unit_costs": COSTS[start]} if start in COSTS else {}
    return Program(
        f"{','.join(labels)}@{','.join(how)}",
        "generated",
        tuple(actors),
        pages=pages,
        views=views,
        enabled=not start.startswith("off"),
        before=_before(start, views, pages, max(1, sum(actor.is_guest for actor in actors))),
        strategies=_trackers(threads, start, is_late),
        page_shift=HALF_OF_LARGE if views == LARGE else SHIFT_4K,
        options=costs | ({"delayed_c": True} if is_late else {}),
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
        for start in (*_starts(threads), *_starts_by_costs(views, threads))
        if not is_late or _may_be_late(views, threads, start)
    ]
