"""The programs: a few threads and pages, each where trackers have lost pages, or could."""

from strategies.core.guest import VIEW_ALIAS, VIEW_LARGE, VIEW_SMALL
from strategies.explore import host_operations as host_op
from strategies.explore import one_tracker, two_slots, unmapped
from strategies.explore import operations as op
from strategies.explore.actions import (
    clear_mod,
    clear_ref,
    crowd,
    disable,
    enable,
    enter,
    enter_other,
    guest,
    harvest,
    harvest_beside,
    host,
    host_store,
    load,
    protect,
    remove,
    run,
    stop,
    store,
    store_through_crowd,
)
from strategies.explore.program import ALIASED, DELAYED_C, OFF, TRACKERS, Program

_HARVEST = host(harvest())
_STORE = guest(store())
_LARGE = {"views": (VIEW_LARGE, VIEW_SMALL), "page_shift": 22, "pages": 4}
_TWO_WORDS = {"views": (VIEW_LARGE,), "page_shift": 17, "pages": 128, "is_big": True}
_DIRTY = {"before": ((0, store()),)}
_CLEAN = {"before": ((0, remove()), (0, enter(is_clean=True)))}
_WRITTEN_BACK = {"before": ((0, store()), (0, load(view=VIEW_ALIAS)))} | ALIASED
"""The page is dirty, and C no longer in the TLB but in the HPTE, where it may be kept back."""

PROGRAMS = (
    # One vCPU against the host.
    Program("store-harvest", "a first store, a harvest", (_STORE, _HARVEST)),
    Program("restore-harvest", "a store to a dirty page, a harvest", (_STORE, _HARVEST), **_DIRTY),
    Program(
        "stores-harvests",
        "two stores, two harvests",
        (guest(store(), store()), host(harvest(), harvest())),
    ),
    Program(
        "pages-harvest",
        "stores to two pages, a harvest",
        (guest(store(0), store(1)), _HARVEST),
        pages=2,
    ),
    Program(
        "other-page-harvest",
        "a first store to a page, a harvest that finds another one dirty",
        (guest(store(1)), _HARVEST),
        pages=2,
        **_DIRTY,
    ),
    Program("load-harvest", "a load and a store, a harvest", (guest(load(), store()), _HARVEST)),
    Program(
        "store-then-remove-harvest",
        "a store, H_REMOVE, a harvest",
        (guest(store(), remove()), _HARVEST),
    ),
    Program(
        "store-then-clear-mod-harvest",
        "a store, H_CLEAR_MOD, a harvest",
        (guest(store(), clear_mod()), _HARVEST),
    ),
    Program(
        "remove-enter-harvest",
        "H_REMOVE and H_ENTER of a dirty page, a harvest",
        (guest(remove(), enter()), _HARVEST),
        **_DIRTY,
    ),
    Program(
        "remove-store-harvest",
        "a store, H_REMOVE, a store that misses the hash, a harvest",
        (guest(store(), remove(), store()), _HARVEST),
    ),
    Program(
        "protect-harvest",
        "a store, H_PROTECT to read-only and back, a store, a harvest",
        (guest(store(), protect(writable=False), protect(writable=True), store()), _HARVEST),
    ),
    Program(
        "clear-mod-harvest",
        "a store, H_CLEAR_MOD, a store, a harvest",
        (guest(store(), clear_mod(), store()), _HARVEST),
    ),
    Program(
        "clear-ref-harvest",
        "a store, H_CLEAR_REF, a store, a harvest",
        (guest(store(), clear_ref(), store()), _HARVEST),
    ),
    Program(
        "unreferenced-load-harvest",
        "a load through an HPTE with C set and R clear, a harvest",
        (guest(op.load()), host(host_op.harvest())),
        before=((0, op.store()), (0, op.clear_ref()), (0, op.protect(writable=True))),
    ),
    Program(
        "alias-harvest",
        "stores through two HPTEs of a page, a harvest",
        (guest(store(), store(view=VIEW_ALIAS)), _HARVEST),
        **ALIASED,
    ),
    Program(
        "alias-remove-harvest",
        "a store, H_REMOVE of one of two HPTEs, a store through the other, a harvest",
        (guest(store(), remove(), store(view=VIEW_ALIAS)), _HARVEST),
        **ALIASED,
    ),
    Program(
        "large-harvest",
        "a store through a 16 MiB page, one through a small one, a harvest",
        (guest(store(1, VIEW_LARGE), store(2, VIEW_SMALL)), _HARVEST),
        **_LARGE,
    ),
    Program(
        "large-remove-harvest",
        "a store through a 16 MiB page, H_REMOVE and H_ENTER of it, a harvest",
        (guest(store(1, VIEW_LARGE), remove(0, VIEW_LARGE), enter(0, VIEW_LARGE)), _HARVEST),
        **_LARGE,
    ),
    Program(
        "evict-harvest",
        "a store that evicts another page's dirty HPTE, a harvest",
        (guest(store()), _HARVEST),
        pages=3,
        strategies=tuple(name for name in TRACKERS if name != "pte_flush"),  # of 7600 schedules
        before=((0, crowd()), (0, store_through_crowd())),
    ),
    Program(
        "clean-access-harvest",
        "a load and a store through an HPTE with R and C clear, a harvest",
        (guest(load(), store()), _HARVEST),
        **_CLEAN,
    ),
    Program("enable-store", "a store while logging starts", (_STORE, host(enable())), **OFF),
    Program(
        "clean-enable-store",
        "a store through an HPTE with R and C clear while logging starts",
        (_STORE, host(enable())),
        **_CLEAN,
        **OFF,
    ),
    Program(
        "enable-harvest-store",
        "two stores while logging starts and a first harvest",
        (guest(store(), store()), host(enable(), harvest())),
        **OFF,
    ),
    Program(
        "enable-enter",
        "H_REMOVE, H_ENTER and a store while logging starts",
        (guest(remove(), enter(), store()), host(enable())),
        **OFF,
    ),
    Program(
        "enable-protect",
        "H_PROTECT and a store while logging starts",
        (guest(protect(writable=True), store()), host(enable())),
        **OFF,
    ),
    Program("disable-store", "a store while logging stops", (_STORE, host(disable()))),
    Program(
        "disable-remove",
        "H_REMOVE and H_ENTER while logging stops",
        (guest(remove(), enter()), host(disable())),
    ),
    Program(
        "disable-enable",
        "stores while logging stops and starts again",
        (guest(store(), store()), host(disable(), enable())),
    ),
    Program("host-store-harvest", "a store of the host, a harvest", (host(host_store()), _HARVEST)),
    Program(
        "two-harvests",
        "a harvest; stores of the host around another harvest",
        (host(harvest_beside()), host(host_store(1), harvest_beside(), host_store(1))),
        pages=2,
        **_DIRTY,
    ),
    Program(
        "store-two-harvests",
        "stores, two harvests at once",
        (guest(store(), store()), host(harvest_beside()), host(harvest_beside())),
        **_DIRTY,
    ),
    Program(
        "host-store-enable",
        "a store of the host while logging starts",
        (host(host_store()), host(enable())),
        **OFF,
    ),
    Program(
        "host-store-enable-harvest",
        "stores of the host while logging starts and a first harvest",
        (host(host_store(), host_store()), host(enable(), harvest())),
        **OFF,
    ),
    # Two vCPUs without the host.
    Program("two-stores", "two first stores to a page", (_STORE, _STORE)),
    Program("two-pages", "first stores to two pages", (guest(store(0)), guest(store(1))), pages=2),
    Program(
        "clean-load-store",
        "a load and a store through an HPTE with R and C clear",
        (guest(load()), _STORE),
        **_CLEAN,
    ),
    Program("store-remove", "a store, H_REMOVE and H_ENTER", (_STORE, guest(remove(), enter()))),
    Program(
        "store-replaced",
        "a store, H_REMOVE, H_ENTER of another page's HPTE in its place",
        (_STORE, guest(remove(), enter_other())),
        pages=2,
    ),
    Program(
        "two-misses",
        "two stores that miss the hash",
        (guest(remove(), store()), guest(store())),
    ),
    Program(
        "store-protect",
        "a store, H_PROTECT to read and write",
        (_STORE, guest(protect(writable=True))),
    ),
    Program("store-clear-mod", "a store, H_CLEAR_MOD", (_STORE, guest(clear_mod())), **_DIRTY),
    Program("store-clear-ref", "a store, H_CLEAR_REF", (_STORE, guest(clear_ref()))),
    Program(
        "delayed-c-replaced",
        "the TLB entry of a store, with its C, is replaced; H_REMOVE",
        (guest(store(), load(view=VIEW_ALIAS)), guest(remove())),
        **ALIASED,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-load",
        "a load; the TLB entry of a store, with its C, is replaced",
        (guest(load()), guest(store(), load(view=VIEW_ALIAS))),
        **ALIASED,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-enable",
        "a store while logging starts, with C of an earlier one still in a TLB",
        (_STORE, host(enable())),
        **OFF,
        **_DIRTY,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-replaced-enable",
        "the TLB entry of a store, with its C, is replaced while logging starts",
        (guest(load()), host(enable())),
        before=((0, store()), (0, store(view=VIEW_ALIAS))),
        **ALIASED,
        **OFF,
        **DELAYED_C,
    ),
    Program(
        "two-removes",
        "H_REMOVE of both HPTEs of a page, and H_ENTER",
        (guest(remove(), enter()), guest(remove(view=VIEW_ALIAS), enter(view=VIEW_ALIAS))),
        **ALIASED,
    ),
    # Three threads.
    Program("stores-harvest", "two vCPUs store, a harvest", (_STORE, _STORE, _HARVEST)),
    Program(
        "aliases-harvest",
        "two vCPUs store through two HPTEs of a page, a harvest",
        (_STORE, guest(store(view=VIEW_ALIAS)), _HARVEST),
        before=((0, load()), (1, load(view=VIEW_ALIAS))),
        **ALIASED,
    ),
    Program(
        "two-pages-harvest",
        "two vCPUs store to two pages, a harvest",
        (guest(store(0)), guest(store(1)), _HARVEST),
        pages=2,
    ),
    Program(
        "store-remove-harvest",
        "a store, H_REMOVE and H_ENTER, a harvest",
        (_STORE, guest(remove(), enter()), _HARVEST),
        **_DIRTY,
    ),
    Program(
        "store-protect-harvest",
        "stores, H_PROTECT, a harvest",
        (guest(store(), store()), guest(protect(writable=True)), _HARVEST),
    ),
    Program(
        "store-clear-mod-harvest",
        "stores, H_CLEAR_MOD, a harvest",
        (guest(store(), store()), guest(clear_mod()), _HARVEST),
    ),
    Program(
        "store-evict-harvest",
        "a store, one that evicts its HPTE, a harvest",
        (guest(store_through_crowd()), guest(store()), _HARVEST),
        pages=3,
        before=((1, crowd()),),
    ),
    Program(
        "store-host-store-harvest",
        "a store, one of the host, a harvest",
        (_STORE, host(host_store()), _HARVEST),
    ),
    Program(
        "host-stores-harvest",
        "two stores of the host, a harvest",
        (host(host_store(0)), host(host_store(1)), _HARVEST),
        pages=2,
    ),
    Program(
        "stores-enable",
        "two vCPUs store while logging starts",
        (_STORE, _STORE, host(enable())),
        **OFF,
    ),
    Program(
        "stores-disable",
        "two vCPUs store while logging stops",
        (_STORE, _STORE, host(disable())),
    ),
    Program(
        "delayed-c-harvest",
        "stores of which C is still in the TLB, a harvest",
        (guest(store(), store()), _HARVEST),
        **DELAYED_C,
    ),
    Program(
        "delayed-c-remove-harvest",
        "a store, H_REMOVE and H_ENTER, a harvest, with C still in a TLB",
        (_STORE, guest(remove(), enter()), _HARVEST),
        **DELAYED_C,
    ),
    Program(
        "delayed-c-running-harvest",
        "a load and a store by a running vCPU to a dirty page, a harvest, where C is kept back",
        (guest(run(), load(), store(), stop()), host(harvest_beside())),
        **_WRITTEN_BACK,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-running-clear-mod-harvest",
        "H_CLEAR_MOD and a store by a running vCPU, a harvest, where C is kept back",
        (guest(run(), clear_mod(), store(), stop()), host(harvest_beside())),
        **_WRITTEN_BACK,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-running-remove-harvest",
        "H_REMOVE, H_ENTER and a store by a running vCPU, a harvest, where C is kept back",
        (guest(run(), remove(), enter(), store(), stop()), host(harvest_beside())),
        **_WRITTEN_BACK,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-running-protect-harvest",
        "H_PROTECT to read-only and back and a store by a running vCPU, a harvest",
        (
            guest(run(), protect(writable=False), protect(writable=True), store(), stop()),
            host(harvest_beside()),
        ),
        **_WRITTEN_BACK,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-protect-harvest",
        "a store, H_PROTECT to read-only, a load, a harvest, with C still in a TLB",
        (guest(store(), protect(writable=False), load()), _HARVEST),
        **DELAYED_C,
    ),
    Program(
        "delayed-c-clear-mod-harvest",
        "H_CLEAR_MOD of a dirty page, a store, a harvest, with C still in a TLB",
        (guest(clear_mod(), store()), _HARVEST),
        **_DIRTY,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-harvests",
        "stores to a dirty page, two harvests, with C still in a TLB",
        (guest(store(), store()), host(harvest(), harvest())),
        **_DIRTY,
        **DELAYED_C,
    ),
    Program(
        "delayed-c-aliases-harvest",
        "two vCPUs store through two HPTEs of a dirty page, a harvest, with C still in a TLB",
        (_STORE, guest(store(view=VIEW_ALIAS)), _HARVEST),
        **_DIRTY,
        **ALIASED,
        **DELAYED_C,
    ),
    Program(
        "large-two-words-harvest",
        "stores through a 16 MiB page whose bits are in two words, a harvest",
        (guest(store(100, VIEW_LARGE)), guest(store(5, VIEW_LARGE)), _HARVEST),
        before=((0, store(0, VIEW_LARGE)),),
        **_TWO_WORDS,
    ),
    *one_tracker.PROGRAMS,
    *two_slots.PROGRAMS,
    *unmapped.PROGRAMS,
)

LONG_PROGRAMS = (
    *PROGRAMS,
    Program(
        "aliases-remove-harvest",
        "two vCPUs store through two HPTEs, a third removes and enters one, a harvest",
        (_STORE, guest(store(view=VIEW_ALIAS)), guest(remove(), enter()), _HARVEST),
        **ALIASED,
    ),
    Program(
        "stores-host-store-harvest",
        "two vCPUs and the host store, a harvest",
        (_STORE, _STORE, host(host_store()), _HARVEST),
    ),
    Program(
        "protect-clear-mod-harvest",
        "a store, H_PROTECT, H_CLEAR_MOD, a harvest",
        (_STORE, guest(protect(writable=True)), guest(clear_mod()), _HARVEST),
    ),
)
