"""Programs with two slots of a page each: what is done to one must leave the other's log alone.

Page 0 is the first slot, page 1 the second.
"""

from strategies.explore.actions import (
    disable,
    enable,
    enable_in_vain,
    enter_other,
    get_and_clear,
    guest,
    harvest,
    harvest_beside,
    host,
    host_store,
    remove,
    store,
    store_through_crowd,
)
from strategies.explore.program import DELAYED_C, Program

_TWO = {"pages": 2, "slots": 2}
_FIRST_DIRTY = {"before": ((0, store(0)),)}
_DIRTY = {"before": ((0, store(0)), (0, store(1)))}
_SECOND_ALONE = {"enabled": False, "before": ((0, enable(1)),)}
_SECOND_HARVESTED = {"before": ((0, store(1)), (0, harvest(1)))}
"""Where a log has two halves, the second slot's active one is not the first's."""

_STORES = guest(store(0), store(1))
_HARVESTS = host(harvest(0), harvest(1))

PROGRAMS = (
    Program(
        "slots-harvest",
        "a store in a slot while the other, which is dirty, is harvested",
        (guest(store(1)), host(harvest(0))),
        **_TWO,
        **_FIRST_DIRTY,
    ),
    Program(
        "slots-stores-harvests",
        "stores in two slots, a harvest of each",
        (_STORES, _HARVESTS),
        **_TWO,
        **_SECOND_HARVESTED,
    ),
    Program(
        "slots-enable",
        "stores in a slot while the other's log starts",
        (guest(store(1), store(0)), host(enable(0))),
        **_TWO,
        **_SECOND_ALONE,
    ),
    Program(
        "slots-disable",
        "stores in a slot while the other's log stops",
        (guest(store(1), store(0)), host(disable(0))),
        **_TWO,
        **_FIRST_DIRTY,
    ),
    Program(
        "slots-disable-enable",
        "stores in a slot while the other's log stops and starts again",
        (guest(store(1), store(1)), host(disable(0), enable(0))),
        **_TWO,
        **_FIRST_DIRTY,
    ),
    Program(
        "slots-moved-harvests",
        "a store, H_REMOVE, H_ENTER of a page of the other slot in its place, a store, harvests",
        (
            guest(store(0), remove(), enter_other(1), store_through_crowd(1)),
            host(harvest_beside(0), harvest_beside(1)),
        ),
        **_TWO,
    ),
    Program(
        "slots-host-store-harvest",
        "a store of the host in a slot, a harvest of the other, which is dirty",
        (host(host_store(1)), host(harvest(0))),
        **_TWO,
        **_FIRST_DIRTY,
    ),
    Program(
        "slots-two-harvests",
        "harvests of two dirty slots at once",
        (host(harvest(0)), host(harvest(1))),
        **_TWO,
        **_DIRTY,
    ),
    Program(
        "slots-enable-disable",
        "a log stops while the other's starts",
        (host(enable(0)), host(disable(1))),
        **_TWO,
        **_SECOND_ALONE,
    ),
    Program(
        "slots-stores-two-harvests",
        "stores in two slots, harvests of both at once",
        (_STORES, host(harvest(0)), host(harvest(1))),
        **_TWO,
    ),
    Program(
        "slots-enable-harvest",
        "a store in a slot that is harvested while the other's log starts",
        (guest(store(1)), host(enable(0)), host(harvest(1))),
        **_TWO,
        **_SECOND_ALONE,
    ),
    Program(
        "slots-disable-harvest",
        "a store in a slot that is harvested while the other's log stops",
        (guest(store(1)), host(disable(0)), host(harvest(1))),
        **_TWO,
        **_DIRTY,
    ),
    Program(
        "slots-busy",
        "stores in two slots of a tracker each, one of which asks for the other's slot; harvests",
        (_STORES, host(enable_in_vain(0), *_HARVESTS.actions)),
        **_TWO,
        second="write_protect",
    ),
    Program(
        "slots-beside-scan",
        "stores in two slots, of which c_bit_scan logs the second, a harvest of each",
        (_STORES, _HARVESTS),
        **_TWO,
        second="c_bit_scan",
    ),
    Program(
        "slots-beside-ring",
        "stores in two slots, of which dirty_ring logs the second, a harvest of each",
        (_STORES, _HARVESTS),
        **_TWO,
        second="dirty_ring",
    ),
    Program(
        "slots-beside-pml",
        "stores in two slots, of which pml logs the second, a harvest of each",
        (_STORES, _HARVESTS),
        **_TWO,
        second="pml",
    ),
    Program(
        "slots-ring-full-harvest",
        "stores in two slots that fill a ring, a harvest of one",
        (guest(store(0), store(1), store(0)), host(harvest(1))),
        **_TWO,
        strategies=("dirty_ring:66",),
    ),
    Program(
        "slots-log-full-harvest",
        "stores in two slots that fill a log of the hardware, a harvest of one",
        (guest(store(0), store(1), store(0)), host(harvest(1))),
        **_TWO,
        strategies=("pml:1",),
    ),
    Program(
        "slots-clear",
        "stores in two slots, a copy of one log and a clear, a harvest of the other",
        (_STORES, host(get_and_clear(0, slot=1), harvest(0))),
        **_TWO,
        strategies=("manual_protect",),
    ),
    Program(
        "slots-delayed-c-harvests",
        "stores in two slots of which C is still in the TLB, a harvest of each",
        (_STORES, _HARVESTS),
        **_TWO,
        **DELAYED_C,
    ),
)
