"""What the files of the contract share."""

import pytest
from conftest import (
    build,
    enter,
    hpte_of,
    read,
    remove,
)
from naive import (
    LINUX_RIGHTS,
    LP_64K,
)

from strategies.core.guest import VIEW_LARGE

WRITTEN = [0, 1, 63, 64, 99]
FAULTS = {"write_faults", "map_faults", "upgrade_faults", "spurious_faults"}

machines = pytest.mark.parametrize(
    ("page_shift", "mapping"),
    [(shift, mapping) for shift in (12, 16) for mapping in ("linear", "scattered")],
)
page_shifts = pytest.mark.parametrize("page_shift", [12, 16])


def large_page(vm, number=0):
    """The gfns of a 16 MiB page."""
    pages = 1 << 24 - vm.page_shift
    return set(range(number * pages, (number + 1) * pages))


def build_large(strategy, page_shift, **options):
    """A machine with one slot of two large pages, mapped at VIEW_LARGE."""
    npages = 2 << 24 - page_shift
    vm, tracker = build(
        strategy, npages, page_shift=page_shift, enabled=False, populated=False, **options
    )
    vm.populate(0, view=VIEW_LARGE)
    tracker.enable_logging(0)
    return vm, tracker


def ptel_of(vm, gfn, rights=LINUX_RIGHTS):
    """Dword 1 of a base page."""
    return gfn << vm.page_shift | (LP_64K if vm.page_shift == 16 else 0) | rights


def overwrite(vm, gfn, other):
    """Let the HPTE of a page map another page; return its index."""
    index = hpte_of(vm, gfn)
    v, _ = read(vm, index)
    assert remove(vm, index)[0] == 0
    assert enter(vm, index, v, ptel_of(vm, other), 1 << 39)[0] == 0
    return index
