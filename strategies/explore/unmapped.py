"""Programs in which the host takes a page away that the guest stores to, or that is harvested."""

from strategies.core.guest import VIEW_ALIAS, VIEW_LARGE, VIEW_SMALL
from strategies.explore.actions import guest, host
from strategies.explore.host_operations import disable, enable, harvest, host_store, unmap
from strategies.explore.operations import enter, protect, remove, store
from strategies.explore.program import ALIASED, DELAYED_C, Program

_UNMAP, _HARVEST = host(unmap()), host(harvest())
_DIRTY = {"before": ((0, store()),)}

PROGRAMS = (
    Program(
        "unmap-harvest",
        "a page taken away, stores before and after, a harvest",
        (guest(store(), store()), _UNMAP, _HARVEST),
    ),
    Program(
        "dirty-unmap-harvest",
        "a store to a dirty page that is taken away, a harvest",
        (guest(store()), _UNMAP, _HARVEST),
        **_DIRTY,
    ),
    Program(
        "two-unmaps-harvest",
        "a dirty page taken away twice at once, a harvest",
        (_UNMAP, _UNMAP, _HARVEST),
        **_DIRTY,
    ),
    Program(
        "unmap-aliases-harvest",
        "stores through two HPTEs of a page that is taken away, a harvest",
        (guest(store(), store(VIEW_ALIAS)), _UNMAP, _HARVEST),
        **ALIASED,
    ),
    Program(
        "unmap-remove-harvest",
        "H_REMOVE and H_ENTER of a dirty page that is taken away, a harvest",
        (guest(remove(), enter()), _UNMAP, _HARVEST),
        **_DIRTY,
    ),
    Program(
        "unmap-protect-harvest",
        "H_PROTECT of a dirty page that is taken away, a store, a harvest",
        (guest(protect(writable=True), store()), _UNMAP, _HARVEST),
        **_DIRTY,
    ),
    Program(
        "unmap-host-store-harvest",
        "a store of the host to a page that is taken away, a harvest",
        (host(host_store()), _UNMAP, _HARVEST),
        **_DIRTY,
    ),
    Program(
        "unmap-enable",
        "a dirty page taken away while logging starts, a store",
        (guest(store()), _UNMAP, host(enable())),
        enabled=False,
        **_DIRTY,
    ),
    Program(
        "unmap-disable",
        "a dirty page taken away while logging stops, a store",
        (guest(store()), _UNMAP, host(disable())),
        **_DIRTY,
    ),
    Program(
        "unmap-large-harvest",
        "stores through a 16 MiB page that is taken away, a harvest",
        (guest(store(VIEW_LARGE, 1)), _UNMAP, host(harvest(2))),
        views=(VIEW_LARGE, VIEW_SMALL),
        page_shift=23,
        pages=2,
    ),
    Program(
        "delayed-c-unmap-harvest",
        "a store to a page that is taken away with C still in a TLB, a harvest",
        (guest(store(), store()), _UNMAP, _HARVEST),
        **DELAYED_C,
    ),
)
