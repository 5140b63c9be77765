"""The contract of every tracker that logs: exact counts."""

from conftest import (
    STAMP,
    build,
    changes,
    harvest,
)
from contracting import WRITTEN, build_large, page_shifts

from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_LARGE


def count_of(strategy, steps):
    """The events of each step on a slot of 100 mapped pages."""
    vm, tracker = build(strategy, 100)
    counts = []
    for step in steps:
        before = vm.events()
        step(vm, tracker)
        counts.append(changes(vm, before))
    return counts


def rounds(counts):
    """The counts of each round of three steps."""
    return [counts[k : k + 3] for k in range(0, len(counts), 3)]


def store_thrice(vm, tracker):
    vm.store(WRITTEN * 3, STAMP)


def get(vm, tracker):
    harvest(tracker)


STORED = {"stores": 15, "tlb_misses": 10}  # each first store misses, faults, and misses again


def test_counts_of_c_bit_scan():
    stored, dirty, clean = count_of("c_bit_scan", [store_thrice, get, get])
    assert stored == {"stores": 15, "tlb_misses": 5}
    assert dirty == {"rmap_steps": 100, "tlbies": 5}
    assert clean == {"rmap_steps": 100}


def test_counts_of_write_protect():
    stored, dirty, clean = count_of("write_protect", [store_thrice, get, get])
    assert stored == STORED | {"write_faults": 5, "tlbies": 5}
    assert dirty == {"bitmap_words_read": 2, "rmap_steps": 5, "tlbies": 5}
    assert clean == {"bitmap_words_read": 2}


def test_counts_of_write_protect_batched():
    stored, dirty, clean = count_of("write_protect_batched", [store_thrice, get, get])
    assert stored == STORED | {"write_faults": 5, "tlbies": 5}
    assert dirty == {"bitmap_words_read": 2, "rmap_steps": 5, "flushes": 1}
    assert clean == {"bitmap_words_read": 2}


def test_counts_of_double_buffer():
    first, second, third = rounds(count_of("double_buffer", [store_thrice, get, get] * 3))
    assert first == [
        STORED | {"write_faults": 5, "tlbies": 5},
        {"bitmap_words_read": 2, "rmap_steps": 5, "flushes": 1},
        {},
    ]
    assert second == third == first


def test_counts_of_double_buffer_enabled_again():
    vm, tracker = build("double_buffer", 100)
    vm.store(WRITTEN, STAMP)
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    before = vm.events()
    assert harvest(tracker) == set()
    assert changes(vm, before) == {}


def test_counts_of_pte_flush():
    stored, dirty, clean = count_of("pte_flush", [store_thrice, get, get])
    assert stored == STORED | {"map_faults": 5}
    # One word tells that something is dirty; then both are taken.
    assert dirty == {"bitmap_words_read": 3, "rmap_steps": 100, "flushes": 1}
    assert clean == {"bitmap_words_read": 2}


def test_counts_of_reads(strategy):
    (loaded,) = count_of(strategy, [lambda vm, tracker: vm.load(WRITTEN * 3)])
    if strategy == "pte_flush":
        assert loaded == {"loads": 15, "tlb_misses": 10, "map_faults": 5}
    else:
        assert loaded == {"loads": 15, "tlb_misses": 5}


ENABLED = {
    "c_bit_scan": {"rmap_steps": 100},
    "write_protect": {"rmap_steps": 100, "flushes": 1},
    "write_protect_batched": {"rmap_steps": 100, "flushes": 1},
    "double_buffer": {"rmap_steps": 100, "flushes": 1},
    "pte_flush": {"rmap_steps": 100, "flushes": 1},
}


def test_counts_of_enabling(strategy):
    vm, tracker = build(strategy, 100, enabled=False)
    before = vm.events()
    tracker.enable_logging(0)
    assert changes(vm, before) == ENABLED[strategy]


def test_counts_of_enabling_what_was_written(strategy):
    vm, tracker = build(strategy, 100, enabled=False)
    vm.store(WRITTEN, STAMP)
    before = vm.events()
    tracker.enable_logging(0)
    paid = {"tlbies": 5} if strategy == "c_bit_scan" else {}
    assert changes(vm, before) == ENABLED[strategy] | paid


def test_counts_of_two_hptes_on_a_page():
    vm, tracker = build("write_protect", 100)
    vm.populate(0, view=VIEW_ALIAS)
    for views, hptes in (([VIEW_BASE], 1), ([VIEW_BASE, VIEW_ALIAS], 2)):
        before = vm.events()
        for view in views:
            vm.store([1], STAMP, view=view)
        assert changes(vm, before)["write_faults"] == hptes
        before = vm.events()
        harvest(tracker)
        assert changes(vm, before)["tlbies"] == hptes


@page_shifts
def test_counts_of_a_large_page(strategy, page_shift):
    vm, tracker = build_large(strategy, page_shift)
    before = vm.events()
    vm.store([1, 2, 3, 70, 200], STAMP, view=VIEW_LARGE)
    stored = changes(vm, before)
    fault = {"c_bit_scan": {}, "pte_flush": {"map_faults": 1}}.get(strategy, {"write_faults": 1, "tlbies": 1})
    assert stored == {"stores": 5, "tlb_misses": 1 + bool(fault)} | fault
    before = vm.events()
    harvest(tracker)
    got = changes(vm, before)
    tlbies = {"c_bit_scan": 1, "write_protect": 1}.get(strategy, 0)
    assert got.get("tlbies", 0) == tlbies
    assert got.get("flushes", 0) == 1 - tlbies
