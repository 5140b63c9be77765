"""The second shape of a log: copy it, and clear ranges of it later."""

import errno

import numpy as np
import pytest
from conftest import STAMP, build, changes, harvest

from strategies.registry import get

NPAGES = 200


@pytest.fixture(params=["manual_protect", "manual_protect:64"])
def logged(request):
    return build(request.param, NPAGES)


def copied(tracker):
    """The pages of a copy of the log."""
    out = tracker.buffer(0)
    tracker.copy_dirty_log(0, out)
    return set(np.flatnonzero(np.unpackbits(out.view(np.uint8), bitorder="little")))


def clear(tracker, *pages, first=0, npages=NPAGES):
    bits = np.zeros(-(-npages // 64), "<u8")
    for page in pages:
        bits[(page - first) // 64] |= np.uint64(1 << page % 64)
    return tracker.clear_dirty_log(0, first, npages, bits)


def test_a_copy_clears_nothing_and_a_clear_what_it_names(logged):
    vm, tracker = logged
    vm.store([3, 70, 199], STAMP)
    assert copied(tracker) == copied(tracker) == {3, 70, 199}
    clear(tracker, 3, 5, 199)
    assert copied(tracker) == {70}
    vm.store([3], STAMP)
    assert harvest(tracker) == {3, 70}
    assert copied(tracker) == set()


def test_a_page_written_again_before_its_clear_is_not_reported_for_that(logged):
    vm, tracker = logged
    vm.store([3], STAMP)
    copied(tracker)
    vm.store([3], STAMP + 1)
    clear(tracker, 3)
    assert copied(tracker) == set()


def test_pages_reported_twice_because_they_were_cleared_late_are_counted(logged):
    vm, tracker = logged
    vm.store([3, 70], STAMP)
    before = vm.events("host")
    copied(tracker)
    clear(tracker, 70)
    vm.store([70, 71], STAMP)
    copied(tracker)  # 3 once more; 70 and 71 are new
    assert changes(vm, before, "host")["pages_reported_twice"] == 1


def test_a_clear_costs_what_is_dirty_in_its_range(logged):
    vm, tracker = logged
    vm.store([3, 70, 71], STAMP)
    before = vm.events("host")
    clear(tracker, 70, 71, 72, first=64, npages=64)
    got = changes(vm, before, "host")
    assert (got["pages_rearmed"], got["flushes"], got["bitmap_words_read"]) == (2, 1, 1)
    assert copied(tracker) == {3}


def test_logging_may_start_with_all_bits_set():
    vm, tracker = build("manual_protect", NPAGES, enabled=False)
    before = vm.events()
    tracker.enable_all_set(0)
    assert changes(vm, before) == {}
    vm.store([3], STAMP)
    assert vm.events()["write_faults"] == 0
    assert copied(tracker) == set(range(NPAGES))
    clear(tracker, *range(NPAGES))
    vm.store([5], STAMP)
    assert harvest(tracker) == {5}


def test_the_first_harvest_may_be_of_all_pages():
    _, tracker = build("manual_protect", NPAGES, enabled=False)
    tracker.enable_all_set(0)
    assert harvest(tracker) == set(range(NPAGES))
    assert harvest(tracker) == set()


@pytest.mark.parametrize(
    ("first", "npages"), [(1, 64), (0, 65), (64, 135), (64, 137), (-64, 64), (0, 0), (192, 64)]
)
def test_a_range_of_other_than_whole_words_is_refused(logged, first, npages):
    vm, tracker = logged
    vm.store([3], STAMP)
    with pytest.raises(OSError, match="no range of whole words") as error:
        tracker.clear_dirty_log(0, first, npages, np.zeros(4, "<u8"))
    assert error.value.errno == errno.EINVAL
    assert copied(tracker) == {3}


def test_the_other_errors_are_those_of_a_harvest(logged):
    _, tracker = logged
    with pytest.raises(OSError, match="buffer is not") as error:
        tracker.clear_dirty_log(0, 0, 64, np.zeros(2, "<u8"))
    assert error.value.errno == errno.EFAULT
    with pytest.raises(OSError, match="logged already") as error:
        tracker.enable_all_set(0)
    assert error.value.errno == errno.EBUSY
    tracker.disable_logging(0)
    with pytest.raises(OSError, match="not being logged") as error:
        copied(tracker)
    assert error.value.errno == errno.ENOENT


def test_the_last_chunk_of_a_harvest_ends_with_the_slot():
    vm, tracker = build("manual_protect:128", 150)  # three words, in chunks of two
    vm.store([0, 127, 128, 149], STAMP)
    assert harvest(tracker) == {0, 127, 128, 149}
    before = vm.events("host")
    vm.store([0, 127, 128, 149], STAMP)
    assert harvest(tracker) == {0, 127, 128, 149}
    assert changes(vm, before, "host")["bitmap_words_read"] == 6


@pytest.mark.parametrize("npages", [1, 64, 100, 128])
def test_a_log_that_starts_all_set_has_every_page_of_its_slot_and_no_other(npages):
    vm, _ = build("write_protect", 70, guest_pages=70 + npages + 70, enabled=False)
    slot, after = vm.add_memslot(70, npages), vm.add_memslot(70 + npages, 70)
    tracker = get("manual_protect")(vm)
    tracker.enable_logging(after)
    tracker.enable_all_set(slot)
    assert harvest(tracker, slot) == set(range(70, 70 + npages))
    assert harvest(tracker, after) == set()


def test_such_a_log_has_reported_nothing_yet():
    vm, tracker = build("manual_protect", NPAGES)
    vm.store([3, 70], STAMP)
    assert copied(tracker) == {3, 70}
    tracker.disable_logging(0)
    tracker.enable_all_set(0)
    before = vm.events("host")
    assert copied(tracker) == set(range(NPAGES))
    assert "pages_reported_twice" not in changes(vm, before, "host")
