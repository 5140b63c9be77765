"""A word that is changed by who may not is noticed in the first schedule, lost page or not."""

import pytest

from strategies.core import atomics, h_change, handlers, locks, logs, memslot, tlb
from strategies.core.hpte import HPTE_R_C, HPTE_R_N
from strategies.core.locks import RMAP_LOCK
from strategies.core.machine import TLB_OWED_C, VCPU_HANDLER
from strategies.core.words import I64, ONE, ZERO
from strategies.explore import catalogue, scene
from strategies.explore.actions import Action, guest, host, store
from strategies.explore.defect import substituted
from strategies.explore.explorer import explore
from strategies.explore.program import Program
from strategies.explore.programs import PROGRAMS
from strategies.explore.session import find
from strategies.registry import BASELINE, base_of, names

_h_protect = h_change.h_protect


def locks_no_hpte(machine, cpu, index):
    return atomics.load(machine.hpt, 2 * index)


def locks_no_rmap(rmap, gfn):
    return atomics.load(rmap, gfn) & ~RMAP_LOCK


def pays_without_a_lock(tlb, hpt, entry, index, owed):
    debt = atomics.load(tlb, entry + TLB_OWED_C)
    if debt:
        atomics.fetch_or(hpt, 2 * I64(debt - ONE) + 1, HPTE_R_C)
    atomics.store(tlb, entry + TLB_OWED_C, owed)


def protects_the_view_first(machine, vcpu, flags, pte_index, avpn):
    view = 2 * I64(pte_index)
    atomics.store(machine.rev, view, atomics.load(machine.rev, view) ^ HPTE_R_N)
    return _h_protect(machine, vcpu, flags, pte_index, avpn)


def does_nothing(*_):
    pass


class LocksNothing(scene.SpinLock):
    def __enter__(self):
        pass


BROKEN = {
    "no HPTE lock": ((locks.lock_hpte, locks_no_hpte), "store-clear-mod", "c_bit_scan"),
    "no rmap lock": ((locks.lock_rmap, locks_no_rmap), "remove-enter-harvest", "c_bit_scan"),
    "no lock of the rings": ((logs.lock_log, does_nothing), "store-harvest", "dirty_ring"),
    "no lock of a log": ((logs.lock_log, does_nothing), "store-harvest", "pml"),
    "no section": ((handlers.enter_handler, does_nothing), "store-harvest", "write_protect"),
    "no lock of a debt": ((tlb.pay_c, pays_without_a_lock), "delayed-c-replaced", "c_bit_scan"),
    "no slots_lock": ((scene.SpinLock, LocksNothing), "store-harvest", "double_buffer"),
    "the guest's view before the lock": (
        (h_change.h_protect, protects_the_view_first),
        "protect-harvest",
        "c_bit_scan",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_rule_shows_in_the_first_schedule(what):
    replaced, program, strategy = BROKEN[what]
    with substituted([replaced]):
        found = explore(find(program), strategy).finding
    assert (found.kind, found.schedules) == ("rule broken", 1)


def changed_by(change):
    """Return what is found where a guest makes a change of its own to the machine."""
    own = Action("own", lambda one, _vcpu, _stamp: change(one.machine))
    program = Program("own", "", (guest(store(), own), host()), strategies=("dirty_ring",))
    return explore(program, "dirty_ring", 0).finding


@pytest.mark.parametrize(
    "change",
    [
        lambda m: atomics.store(m.hpt, 1, ONE),
        lambda m: atomics.store(m.rev, 0, ONE),
        lambda m: atomics.store(m.rev, 1, ONE),
        lambda m: atomics.store(m.bitmap, 0, ONE),
        lambda m: memslot.set_log_mode(m, 0, 2),
        lambda m: atomics.store(m.rings, logs.LOG_TAKEN, ONE),
        lambda m: logs.set_log_size(m.rings, 0, 100),
        lambda m: logs.set_log_size(m.pml, 0, 100),
        lambda m: atomics.store(m.vcpus, VCPU_HANDLER, ZERO),
        lambda m: atomics.store(m.rmap, 0, ZERO),
    ],
)
def test_each_word_has_who_may_change_it(change):
    assert changed_by(lambda _machine: None) is None
    assert changed_by(change).kind == "rule broken"


@pytest.mark.parametrize(
    ("field", "program", "strategy"),
    [
        ("vcpus", "store-harvest", "c_bit_scan"),
        ("tlb", "load-harvest", "c_bit_scan"),
        ("hpt", "store-then-remove-harvest", "c_bit_scan"),
        ("slots", "disable-store", "write_protect"),
        ("slots", "store-harvest", "double_buffer"),
    ],
)
def test_what_others_look_at_is_changed_by_a_read_modify_write(field, program, strategy):
    exchange = atomics.exchange

    def by_load_and_store(words, index, value):
        if words.name != field:
            return exchange(words, index, value)
        old = atomics.load(words, index)
        atomics.store(words, index, value)
        return old

    atomics.exchange = by_load_and_store
    try:
        found = explore(find(program), strategy).finding
    finally:
        atomics.exchange = exchange
    assert (found.kind, found.schedules) == ("rule broken", 1)


@pytest.mark.parametrize("memory", ["sc", pytest.param("tso", marks=pytest.mark.slow)])
@pytest.mark.parametrize("base", [name for name in names() if name != BASELINE])
def test_a_schedule_of_each_program_breaks_no_rule(base, memory):
    for program in (*PROGRAMS, *catalogue.PROGRAMS):
        for strategy in program.strategies:
            if base_of(strategy) == base:
                found = explore(program, strategy, memory=memory, limit=1).finding
                assert found is None, (program.name, strategy, found.text)
