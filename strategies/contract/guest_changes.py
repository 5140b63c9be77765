"""The contract of every tracker that logs: guest or host change HPTEs before the harvest."""

from strategies.contract.bench import (
    LINUX_RIGHTS,
    PP,
    RWRW,
    RXRX,
    STAMP,
    WRITTEN,
    C,
    M,
    R,
    build,
    bulk_remove,
    clear_mod,
    clear_ref,
    enter,
    expect,
    harvest,
    hpte_of,
    hptes_of,
    overwrite,
    protect,
    ptel_of,
    read,
    remove,
    reports_reads,
)
from strategies.contract.clause import DELAYED_C, MACHINES, PAGE_SHIFTS, clause


@clause(**MACHINES, **DELAYED_C)
def removed_before_the_harvest(strategy, page_shift, mapping, delayed_c):
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping, delayed_c=delayed_c)
    vm.store(WRITTEN, STAMP)
    for gfn in [*WRITTEN, 50]:
        expect(remove(vm, hpte_of(vm, gfn))[0], 0)
    expect(harvest(tracker), set(WRITTEN))
    expect(harvest(tracker), set())


@clause(**DELAYED_C)
def removed_after_the_harvest_is_clean(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store(WRITTEN, STAMP)
    expect(harvest(tracker), set(WRITTEN))
    for gfn in WRITTEN:
        remove(vm, hpte_of(vm, gfn))
    expect(harvest(tracker), set())


@clause(**DELAYED_C)
def removed_in_bulk_before_the_harvest(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store([1, 3], STAMP)
    pairs = [word for gfn in (1, 2, 3, 4) for word in (1 << 62 | hpte_of(vm, gfn), 0)]
    expect(bulk_remove(vm, *pairs)[0], 0)
    expect([len(hptes_of(vm, gfn)) for gfn in range(6)], [1, 0, 0, 0, 0, 1])
    expect(harvest(tracker), {1, 3})
    expect(harvest(tracker), set())


@clause(**PAGE_SHIFTS, **DELAYED_C)
def overwritten_before_the_harvest(strategy, page_shift, delayed_c):
    """Alexander Graf: "what if the guest adds an HPTE, writes, removes it, and then ...?"."""
    vm, tracker = build(strategy, 100, page_shift=page_shift, delayed_c=delayed_c)
    vm.store([1], STAMP)
    overwrite(vm, 1, 50)
    expect(harvest(tracker), {1})
    vm.store([1], STAMP + 1)  # the address of page 1 leads to page 50 now
    expect(vm.arrays.stamps[[1, 50]].tolist(), [STAMP, STAMP + 1])
    expect(harvest(tracker), {50})


@clause(**DELAYED_C)
def overwritten_and_written_before_the_harvest(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store([1], STAMP)
    overwrite(vm, 1, 50)
    vm.store([1], STAMP + 1)
    expect(harvest(tracker), {1, 50})
    expect(harvest(tracker), set())


@clause(rights=[LINUX_RIGHTS, M | RWRW, M | RXRX], is_written_again=[False, True], **DELAYED_C)
def removed_and_entered_again_before_the_harvest(strategy, rights, is_written_again, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store([1], STAMP)
    index = hpte_of(vm, 1)
    v, _ = read(vm, index)
    remove(vm, index)
    enter(vm, index, v, ptel_of(vm, 1, rights), 1 << 39)
    if is_written_again:
        vm.store([1], STAMP + 1)
    expect(harvest(tracker), {1})
    expect(harvest(tracker), set())
    if rights & PP != RXRX:
        vm.store([1], STAMP + 2)
        expect(harvest(tracker), {1})


@clause(**DELAYED_C)
def removed_and_entered_again_by_a_reader(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store([1], STAMP)
    remove(vm, hpte_of(vm, 1))
    vm.load([1])
    expect(harvest(tracker), {1})
    vm.load([1])
    expect(harvest(tracker), {1} if reports_reads(strategy) else set())


@clause(**DELAYED_C)
def removed_by_one_vcpu_and_written_by_another(strategy, delayed_c):
    vm, tracker = build(strategy, 100, vcpus=2, delayed_c=delayed_c)
    vm.store([1], STAMP, vcpu=1)
    overwrite(vm, 1, 2)
    vm.store([1], STAMP + 1, vcpu=1)
    expect(vm.arrays.stamps[[1, 2]].tolist(), [STAMP, STAMP + 1])
    expect(harvest(tracker), {1, 2})


@clause(**DELAYED_C)
def protected_before_the_harvest(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    index = hpte_of(vm, 1)
    vm.store([1], STAMP)
    protect(vm, index, RXRX)
    expect(vm.store([1], STAMP + 1), 0)
    expect(harvest(tracker), {1})
    expect(vm.store([1], STAMP + 2), 0)
    expect(harvest(tracker), set())
    protect(vm, index, RWRW)
    expect(vm.store([1], STAMP + 3), 1)
    expect(harvest(tracker), {1})
    expect(harvest(tracker), set())
    expect(vm.arrays.stamps[1], STAMP + 3)


@clause(is_harvested=[False, True], **DELAYED_C)
def protected_and_back_is_not_a_write(strategy, is_harvested, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store([1], STAMP)
    if is_harvested:
        expect(harvest(tracker), {1})
    for flags in (RXRX, RWRW):
        protect(vm, hpte_of(vm, 1), flags)
    expect(harvest(tracker), set() if is_harvested else {1})
    vm.store([1], STAMP)
    expect(harvest(tracker), {1})


@clause(**DELAYED_C)
def c_cleared_by_the_guest_before_the_harvest(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store([1, 2], STAMP)
    code, gpr = clear_mod(vm, hpte_of(vm, 1))
    expect(code, 0)
    expect(bool(gpr[0] & C), True)
    expect(bool(read(vm, hpte_of(vm, 1))[1] & C), False)
    expect(harvest(tracker), {1, 2})
    expect(bool(read(vm, hpte_of(vm, 1))[1] & C), False)
    expect(harvest(tracker), set())
    vm.store([1], STAMP)
    expect(bool(clear_mod(vm, hpte_of(vm, 1))[1][0] & C), True)
    expect(harvest(tracker), {1})


@clause(**DELAYED_C)
def c_cleared_by_the_guest_and_set_again_before_the_harvest(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    for _ in range(2):
        vm.store([1], STAMP)
        clear_mod(vm, hpte_of(vm, 1))
    vm.store([1], STAMP)
    expect(harvest(tracker), {1})
    clear_mod(vm, hpte_of(vm, 1))
    expect(harvest(tracker), set())


@clause(**DELAYED_C)
def r_cleared_by_the_guest_before_the_harvest(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.store([1, 2], STAMP)
    code, gpr = clear_ref(vm, hpte_of(vm, 1))
    expect(code, 0)
    expect(bool(gpr[0] & R), True)
    expect(read(vm, hpte_of(vm, 1))[1] & (R | C), C)
    expect(harvest(tracker), {1, 2})
    vm.store([1], STAMP)
    expect(harvest(tracker), {1})


@clause(**DELAYED_C)
def the_host_stores(strategy, delayed_c):
    vm, tracker = build(strategy, 100, delayed_c=delayed_c)
    vm.host_store(7, STAMP)
    expect(vm.arrays.stamps[7], STAMP)
    expect(harvest(tracker), {7})
    expect(harvest(tracker), set())
    vm.store([7], STAMP)
    vm.host_store(7, STAMP)
    expect(harvest(tracker), {7})
    vm.host_store(7, STAMP)
    expect(harvest(tracker), {7})


@clause(**DELAYED_C)
def the_host_stores_to_a_page_that_was_never_mapped(strategy, delayed_c):
    vm, tracker = build(strategy, 100, populated=False, delayed_c=delayed_c)
    vm.host_store(7, STAMP)
    vm.host_store(99, STAMP)
    expect(harvest(tracker), {7, 99})
    expect(harvest(tracker), set())


@clause(**DELAYED_C)
def the_host_stores_and_the_guest_maps_before_the_harvest(strategy, delayed_c):
    vm, tracker = build(strategy, 100, populated=False, delayed_c=delayed_c)
    vm.host_store(7, STAMP)
    vm.populate(0)
    expect(harvest(tracker), {7})
    expect(harvest(tracker), set())


@clause(**MACHINES, **DELAYED_C)
def the_host_takes_pages_away(strategy, page_shift, mapping, delayed_c):
    """Between the stores and the harvest; a page that was not written is taken away, too."""
    vm, tracker = build(strategy, 100, page_shift=page_shift, mapping=mapping, delayed_c=delayed_c)
    vm.store(WRITTEN, STAMP)
    for gfn in [*WRITTEN, 50]:
        vm.unmap_page(gfn)
    expect(harvest(tracker), set(WRITTEN))
    expect(harvest(tracker), set())
    vm.store([1, 50], STAMP + 1)
    expect(harvest(tracker), {1, 50})
    expect(vm.arrays.stamps[[1, 50]].tolist(), [STAMP + 1, STAMP + 1])
