"""Programs for what one tracker alone has: rings, logs, manual clears, groups, heat, summaries."""

from strategies.costs import UnitCosts
from strategies.explore.actions import (
    disable,
    enable,
    enable_all_set,
    enter,
    get_and_clear,
    guest,
    harvest,
    harvest_beside,
    harvest_word,
    host,
    host_store,
    load,
    protect,
    remove,
    run,
    stop,
    store,
)
from strategies.explore.program import OFF, Program

_HARVEST = host(harvest())
_STORE = guest(store())
_DIRTY = {"before": ((0, store()),)}
_RING_OF_TWO = {"strategies": ("dirty_ring:66",)}
"""Full, but for what is reserved, with two entries."""

_MANUAL = {"strategies": ("manual_protect",)}
_LOG_OF_ONE = {"strategies": ("pml:1",)}
_GROUP_OF_TWO = {"strategies": ("dbm_hybrid",), "pages": 2}

_IMPATIENT = UnitCosts("impatient", 1, 2, 0, 1000, 1000, 0)
"""A page cools at the first harvest that finds it clean; no group opens."""

_RASH = _IMPATIENT._replace(platform="rash", page_open=0, page_cool=0)
"""The first fault opens its group, the first harvest closes it."""

_FLUSHED = _IMPATIENT._replace(platform="flushed", cool_tlbie=1)
"""A flush stands for the tlbies of what a harvest cools."""

_TWO_FAULTS = _IMPATIENT._replace(platform="two faults", page_scan=0, page_open=1, page_cool=1)
"""In a slot of two pages the second fault opens the group; scans lead, for they cost nothing."""

_MORE_FAULTS = _IMPATIENT._replace(platform="more faults", page_open=2, page_cool=2)
"""Two do not."""

_DUE = _IMPATIENT._replace(platform="due", page_scan=0, page_open=0, page_cool=0, page_pass=1)
"""To open is free: after the first harvest all is due, and a fault opens all from its group on."""

_COOLING = {
    "strategies": ("adaptive",),
    "options": {"unit_costs": _IMPATIENT},
    "before": ((0, store()), (0, harvest())),
}

PROGRAMS = (
    Program(
        "ring-full-harvest",
        "stores that fill a ring, a harvest",
        (guest(store(0), store(1), store(0)), _HARVEST),
        pages=2,
        **_RING_OF_TWO,
    ),
    Program(
        "ring-full-host-store-harvest",
        "a store that fills a ring, one of the host, a harvest",
        (guest(store(1)), host(host_store(0)), _HARVEST),
        pages=2,
        **_DIRTY,
        **_RING_OF_TWO,
    ),
    Program(
        "rings-full-harvest",
        "two vCPUs store to two pages and fill their rings, a harvest",
        (guest(store(0), store(1)), guest(store(1), store(0)), _HARVEST),
        pages=2,
        **_RING_OF_TWO,
    ),
    Program(
        "log-full-harvest",
        "stores that fill a log of the hardware, a harvest",
        (guest(store(0), store(1), store(0)), _HARVEST),
        pages=2,
        **_LOG_OF_ONE,
    ),
    Program(
        "log-full-enable",
        "stores that fill a log of the hardware while logging starts",
        (guest(store(0), store(1)), host(enable())),
        pages=2,
        **_LOG_OF_ONE,
        **OFF,
    ),
    Program(
        "log-full-disable-enable",
        "stores that fill a log of the hardware while logging stops and starts again",
        (guest(store(0), store(1)), host(disable(), enable())),
        pages=2,
        **_LOG_OF_ONE,
    ),
    Program(
        "logs-full-harvest",
        "two vCPUs store to two pages and fill their logs, a harvest",
        (guest(store(0), store(1)), guest(store(1), store(0)), _HARVEST),
        pages=2,
        **_LOG_OF_ONE,
    ),
    Program(
        "store-clear",
        "stores to two pages, a copy of the log and a clear of each, a harvest",
        (guest(store(0), store(1), store(0)), host(get_and_clear(0, 1), harvest())),
        pages=2,
        **_MANUAL,
    ),
    Program(
        "store-clear-section",
        "a store, copies of the log and clears of one page of two",
        (guest(store(1), store(0)), host(get_and_clear(0), get_and_clear(0))),
        pages=2,
        **_DIRTY,
        **_MANUAL,
    ),
    Program(
        "store-all-set-clear",
        "stores while logging starts with all bits set, a clear of each page, a harvest",
        (guest(store(0), store(1)), host(enable_all_set(), get_and_clear(0, 1), harvest())),
        pages=2,
        **_MANUAL,
        **OFF,
    ),
    Program(
        "stores-clear",
        "two vCPUs store, a copy of the log and a clear",
        (guest(store()), guest(store()), host(get_and_clear(0))),
        **_MANUAL,
    ),
    Program(
        "group-disable-enable",
        "a store that opens a group while logging stops and starts again",
        (guest(store(0)), host(disable(), enable())),
        **_GROUP_OF_TWO,
    ),
    Program(
        "group-enable-enter",
        "H_REMOVE and H_ENTER of one page while logging starts, then a store",
        (guest(remove(1), enter(1), store(1)), host(enable())),
        **_GROUP_OF_TWO,
        **OFF,
    ),
    Program(
        "group-enter-harvest",
        "a store that opens a group, H_REMOVE, H_ENTER and a store of its other page, a harvest",
        (guest(store(0)), guest(remove(1), enter(1), store(1)), _HARVEST),
        **_GROUP_OF_TWO,
    ),
    Program(
        "group-protect-harvest",
        "a store that opens a group, H_PROTECT and a store of its other page, a harvest",
        (guest(store(0)), guest(protect(1, writable=True), store(1)), _HARVEST),
        **_GROUP_OF_TWO,
    ),
    Program(
        "groups-harvest",
        "stores that open two groups of a page each, a harvest",
        (guest(store(0), store(1)), guest(store(1), store(0)), _HARVEST),
        pages=2,
        strategies=("dbm_hybrid:1",),
    ),
    Program(
        "cool-store-harvest",
        "stores to a page that a harvest cools, which the host copies",
        (guest(store(), store()), _HARVEST),
        **_COOLING,
    ),
    Program(
        "cool-enter-harvest",
        "H_REMOVE, H_ENTER and a store of a page that a harvest cools",
        (guest(remove(), enter(), store()), _HARVEST),
        **_COOLING,
    ),
    Program(
        "cool-other-harvest",
        "a store that heats one page beside a harvest that cools another",
        (guest(store(1)), _HARVEST),
        pages=2,
        **_COOLING | {"before": ((0, store()),)},
    ),
    Program(
        "cool-open-harvest",
        "stores that open a group, a harvest that closes and cools it",
        (guest(store(0), store(1)), _HARVEST),
        pages=2,
        strategies=("adaptive",),
        options={"unit_costs": _RASH},
    ),
    Program(
        "cool-stores-harvest",
        "two vCPUs store to a page that a harvest cools",
        (_STORE, _STORE, _HARVEST),
        **_COOLING,
    ),
    Program(
        "delayed-c-cool-harvest",
        "a store to a page that a harvest cools, with C still in a TLB, and another harvest",
        (guest(store()), host(harvest(), harvest())),
        **_COOLING
        | {"options": {"unit_costs": _IMPATIENT, "delayed_c": True}, "before": ((0, store()),)},
    ),
    Program(
        "delayed-c-cool-running-harvest",
        "a load and a store by a running vCPU to a page that a harvest cools, where C is kept back",
        (guest(run(), load(), store(), stop()), host(harvest_beside())),
        **_COOLING | {"options": {"unit_costs": _IMPATIENT, "delayed_c": True}},
    ),
    Program(
        "delayed-c-flush-harvest",
        "as delayed-c-cool-harvest, and a flush stands for the tlbie of the page that cools",
        (guest(store()), host(harvest(), harvest())),
        **_COOLING
        | {"options": {"unit_costs": _FLUSHED, "delayed_c": True}, "before": ((0, store()),)},
    ),
    Program(
        "delayed-c-flush-running-harvest",
        "as delayed-c-cool-running-harvest, with such a flush",
        (guest(run(), load(), store(), stop()), host(harvest_beside())),
        **_COOLING | {"options": {"unit_costs": _FLUSHED, "delayed_c": True}},
    ),
    Program(
        "faults",
        "faults of two vCPUs in a group that stays closed",
        (guest(store(0)), guest(store(1))),
        pages=2,
        strategies=("adaptive",),
        options={"unit_costs": _MORE_FAULTS},
    ),
    Program(
        "debts",
        "faults of two vCPUs in a group that the second one opens",
        (guest(store(0)), guest(store(1))),
        pages=2,
        strategies=("adaptive",),
        options={"unit_costs": _TWO_FAULTS},
    ),
    Program(
        "groups-due-harvest",
        "a store that opens two groups, another vCPU's store to the second, a harvest",
        (guest(store(0)), guest(store(64)), _HARVEST),
        pages=65,
        strategies=("adaptive:64",),
        options={"unit_costs": _DUE},
        before=(*((0, remove(gfn)) for gfn in range(1, 64)), (0, harvest())),
        is_big=True,
    ),
    Program(
        "two-words",
        "first stores to two pages of which the marks are in two words",
        (guest(store(0)), guest(store(64))),
        pages=65,
        strategies=("write_protect_summary",),
    ),
    Program(
        "two-words-harvests",
        "stores to two pages of which the marks are in two words, harvests of one word each",
        (guest(store(0), store(64), store(0)), host(harvest_word(), harvest_word())),
        pages=65,
        strategies=("write_protect_summary",),
    ),
    Program(
        "delayed-c-log-full-harvest",
        "stores to two pages that fill a log of the hardware, a harvest, with C still in a TLB",
        (guest(store(1), store(2), store(1)), _HARVEST),
        pages=3,
        **_DIRTY,
        options={"delayed_c": True},
        **_LOG_OF_ONE,
    ),
)
