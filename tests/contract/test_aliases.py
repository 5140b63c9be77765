"""The contract of every tracker that logs: several HPTEs on one page."""

import pytest
from conftest import (
    STAMP,
    build,
    harvest,
    hpte_of,
    hptes_of,
    protect,
    read,
    remove,
)
from contracting import machines
from naive import (
    LARGE,
    RXRX,
)

from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_SMALL

pytestmark = pytest.mark.usefixtures("c_write_back")


@machines
def test_alias_reports_the_page_once(strategy, page_shift, mapping):
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping)
    vm.populate(0, view=VIEW_ALIAS)
    for views in ([VIEW_BASE], [VIEW_ALIAS], [VIEW_BASE, VIEW_ALIAS], [VIEW_ALIAS, VIEW_BASE]):
        for view in views:
            vm.store([1], STAMP, view=view)
        assert harvest(tracker) == {1}
        assert harvest(tracker) == set()


@pytest.mark.parametrize("removed", [0, 1])
def test_alias_removed_before_the_harvest(strategy, removed):
    vm, tracker = build(strategy, 100)
    vm.populate(0, view=VIEW_ALIAS)
    vm.store([1], STAMP, view=VIEW_BASE)
    vm.store([2], STAMP, view=VIEW_ALIAS)
    for gfn in (1, 2, 3):
        remove(vm, hptes_of(vm, gfn)[removed])
    assert harvest(tracker) == {1, 2}
    vm.store([1], STAMP, view=VIEW_ALIAS)
    vm.store([2], STAMP, view=VIEW_BASE)
    assert harvest(tracker) == {1, 2}


def test_alias_protected_leaves_the_other_writable(strategy):
    vm, tracker = build(strategy, 100)
    first = hpte_of(vm, 1)
    vm.populate(0, view=VIEW_ALIAS)
    protect(vm, first, RXRX)
    assert vm.store([1], STAMP) == 0
    assert harvest(tracker) == set()
    assert vm.store([1], STAMP, view=VIEW_ALIAS) == 1
    assert harvest(tracker) == {1}


@pytest.mark.parametrize("mapping", ["linear", "scattered"])
def test_small_pages_in_a_64k_page(strategy, mapping):
    vm, tracker = build(strategy, 100, page_shift=16, mapping=mapping)
    vm.populate(0, view=VIEW_SMALL)
    assert len(hptes_of(vm, 1)) == 2
    assert [bool(read(vm, index)[0] & LARGE) for index in sorted(hptes_of(vm, 1))].count(True) == 1
    vm.store([1, 99], STAMP, view=VIEW_SMALL)
    assert harvest(tracker) == {1, 99}
    vm.store([1, 2], STAMP)
    vm.store([1, 3], STAMP + 1, view=VIEW_SMALL)
    assert vm.arrays.stamps[[1, 2, 3]].tolist() == [STAMP + 1, STAMP, STAMP + 1]
    assert harvest(tracker) == {1, 2, 3}
    assert harvest(tracker) == set()
