"""The third shape of a log: a list of the words that are not 0."""

import errno

import numpy as np
import pytest
from conftest import STAMP, build, changes, harvest
from numba import config

NPAGES = 5000
"""Two words of the first summary, and a part of the last word of the bitmap."""

PAGES = [0, 63, 64, 4095, 4096, 4999]


@pytest.fixture
def logged():
    return build("write_protect_summary", NPAGES)


def listed(tracker, room):
    """The pages of one call with room for so many words, and whether it says that more may come."""
    numbers, masks = np.zeros((2, room), "<u8")
    words, more, _ = tracker.get_dirty_words(0, numbers, masks)
    assert (np.diff(numbers[:words].astype(int)) > 0).all()
    bits = np.unpackbits(masks[:words].view(np.uint8), bitorder="little").reshape(words, 64)
    return {int(64 * numbers[at] + bit) for at, bit in zip(*np.nonzero(bits), strict=True)}, more


def test_a_list_names_what_a_bitmap_would(logged):
    vm, tracker = logged
    vm.store(PAGES, STAMP)
    assert listed(tracker, 100) == (set(PAGES), False)
    assert listed(tracker, 100) == (set(), False)
    vm.store([64], STAMP + 1)
    assert harvest(tracker) == {64}


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5])
def test_what_finds_no_room_stays_in_the_log(logged, room):
    vm, tracker = logged
    vm.store(PAGES, STAMP)
    found, more, calls = set(), True, 0
    while more:
        pages, more = listed(tracker, room)
        assert not found & pages
        found |= pages
        calls += 1
    assert found == set(PAGES)
    assert calls in (-(-5 // room), -(-5 // room) + 1)  # one may find that there were no more


def test_what_found_no_room_is_in_the_bitmap_of_the_next_harvest(logged):
    vm, tracker = logged
    vm.store(PAGES, STAMP)
    first, _ = listed(tracker, 2)
    vm.store([4096, 4500], STAMP + 1)
    assert harvest(tracker) == (set(PAGES) | {4500}) - first


@pytest.fixture(scope="module")
def two_upper_words():
    """A slot whose second summary has two words; interpreted, its log takes seconds to start."""
    if config.DISABLE_JIT:
        pytest.skip("2^18 pages, interpreted")
    return build("write_protect_summary", 64**3 + 5 * 64**2, populated=False)


@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_bitmap_has_what_more_lists_than_one_are_needed_for(two_upper_words, first):
    """A list is of 64 words of the first summary: here it ends within a word of the second."""
    vm, tracker = two_upper_words
    pages = range(first * 64**2, 64**3 + 5 * 64**2, 64**2)
    vm.store(pages, STAMP)
    assert harvest(tracker) == set(pages)
    assert harvest(tracker) == set()


@pytest.mark.parametrize("room", [1, 2, 3, 4])
def test_what_finds_no_room_below_the_second_upper_word_stays_in_the_log(two_upper_words, room):
    vm, tracker = two_upper_words
    pages = [64**3 - 1, 64**3 + 1, 64**3 + 64, 64**3 + 64**2 + 7, 64**3 + 2 * 64**2]
    vm.store(pages, STAMP)
    found = []
    for _ in range(-(-5 // room)):
        words, _ = listed(tracker, room)
        found += sorted(words)
    assert found == pages
    assert listed(tracker, 1) == (set(), False)


def test_a_clean_slot_costs_its_second_summary_alone(logged):
    vm, tracker = logged
    before = vm.events("host")
    listed(tracker, 1)
    assert changes(vm, before, "host") == {"bitmap_words_read": 1}


def test_an_older_log_leaves_nothing_behind(logged):
    vm, tracker = logged
    vm.store(PAGES, STAMP)
    tracker.disable_logging(0)
    tracker.enable_logging(0)
    vm.store([130], STAMP)
    before = vm.events("host")
    assert listed(tracker, 100) == ({130}, False)
    assert changes(vm, before, "host")["bitmap_words_read"] == 3


@pytest.mark.parametrize(
    ("sizes", "dtype"), [((0, 0), "<u8"), ((2, 3), "<u8"), ((2, 2), "<u4")], ids=str
)
def test_an_unusable_list_is_refused_and_loses_nothing(logged, sizes, dtype):
    vm, tracker = logged
    vm.store([3], STAMP)
    with pytest.raises(OSError, match=rf"^\[Errno {errno.EFAULT}\]"):
        tracker.get_dirty_words(0, *(np.zeros(size, dtype) for size in sizes))
    assert harvest(tracker) == {3}


def test_state_bytes_count_the_summaries(logged):
    """79 words of the bitmap, two words that name them, and one that names those."""
    _, tracker = logged
    assert tracker.state_bytes == 8 * (79 + 2 + 1)
    tracker.disable_logging(0)
    assert tracker.state_bytes == 0
