"""One other thread's whole step in the middle of another's: what is read only under a lock."""

import numpy as np
import pytest
from conftest import (
    STAMP,
    build,
    build_large,
    changes,
    clear_mod,
    clear_ref,
    enter,
    hardware,
    harvest,
    hpte_of,
    hptes_of,
    log_mode_of,
    protect,
    ptel_of,
    read,
    remove,
)
from naive import ABSENT, BOLTED, HVLOCK, RWRW, RXRX, SEG_1TB, VALID, C, R

from strategies.core import atomics
from strategies.core.groups import is_open
from strategies.core.guest import VIEW_ALIAS, VIEW_BASE, VIEW_LARGE, address_of
from strategies.core.handlers import enter_handler, leave_handler
from strategies.core.heat import (
    FAULTS,
    HEAT_WORDS,
    IS_DUE,
    MAY_BE_HOT,
    OPEN,
    OPENED,
    OWN,
    moved,
    owe_fault,
    word_bit,
)
from strategies.core.hpt import group_of
from strategies.core.hpte import SHIFT_4K
from strategies.core.machine import LOG_HEAT, LOG_OFF, SLOT_HEAT, SLOT_LOG_MODE, VCPU_TLB_GENERATION
from strategies.core.memslot import bitmap_start, log_mode, mark_summaries
from strategies.core.papr import H_EXACT
from strategies.core.tlb import flush_tlbs
from strategies.core.vcpus import enter_guest, leave_guest
from strategies.costs import UnitCosts
from strategies.fault import write_protect_summary
from strategies.mixed.cooling import cool_word, look_again

V = SEG_1TB | 0x1234 << 7
SCANS = ("c_bit_scan", "c_bit_scan_batched", "c_bit_scan_pipelined", "hpt_sweep:1048576")


@pytest.fixture(autouse=True)
def _no_hook_after():
    before = atomics.hook
    yield
    atomics.hook = before


def once_before(operation, words, step):
    """Take a step before the next operation of a kind on some words."""
    nothing = atomics.hook

    def hook(name, array, index):
        if name == operation and array is words:
            atomics.hook = nothing
            step()

    atomics.hook = hook


def test_of_two_vcpus_that_miss_the_hash_at_once_one_enters_the_hpte():
    vm, _ = build("null", 10, vcpus=2, populated=False)
    locks = vm.arrays.pte_locks
    once_before("compare_and_swap", locks, lambda: vm.store([3], STAMP, vcpu=1))
    vm.store([3], STAMP + 1, vcpu=0)
    assert len(hptes_of(vm, 3)) == 1
    assert vm.events()["hash_misses"] == 2


def test_that_holds_where_a_harvest_has_made_it_absent():
    vm, tracker = build("pte_flush", 10, vcpus=2, populated=False)

    def enter_and_harvest():
        vm.store([3], STAMP, vcpu=1)
        assert harvest(tracker) == {3}

    once_before("compare_and_swap", vm.arrays.pte_locks, enter_and_harvest)
    vm.store([3], STAMP + 1, vcpu=0)
    assert len(hptes_of(vm, 3)) == 1


def test_that_holds_for_the_first_hpte_of_all_too():
    vm, _ = build("null", 4096, vcpus=2, populated=False)
    (first,) = (gfn for gfn in range(4096) if not vm.store([gfn], STAMP) or hpte_of(vm, gfn) == 0)
    remove(vm, 0)
    locks = vm.arrays.pte_locks
    once_before("compare_and_swap", locks, lambda: vm.store([first], STAMP, vcpu=1))
    vm.store([first], STAMP + 1, vcpu=0)
    assert hptes_of(vm, first) == [0]


def test_what_an_hpte_maps_is_known_to_a_sweep_only_under_its_lock():
    vm, tracker = build("hpt_sweep:1048576", 10)
    index = hpte_of(vm, 3)
    v, _ = read(vm, index)
    vm.store([3], STAMP)

    def overwrite():
        assert remove(vm, index)[0] == 0
        assert remove(vm, hpte_of(vm, 5))[0] == 0
        assert enter(vm, index, v, ptel_of(vm, 5), H_EXACT)[0] == 0
        vm.store([3], STAMP + 1)  # an address that maps page 5 now
        assert vm.arrays.stamps[5] == STAMP + 1

    once_before("compare_and_swap", vm.arrays.hpt, overwrite)
    assert harvest(tracker) == {3, 5}


def test_what_goes_in_mid_sweep_is_reported_once():
    """The rmap is swept last: C that an HPTE leaves there after its page was reported is taken."""
    vm, tracker = build("hpt_sweep:1048576", 10)
    vm.store([3], STAMP)
    once_before("fetch_add", vm.arrays.vcpus, lambda: remove(vm, hpte_of(vm, 3)))
    assert harvest(tracker) == {3}
    assert harvest(tracker) == set()


@pytest.mark.parametrize("place", [0, 7])
def test_h_enter_waits_for_a_place_that_is_locked_and_free(place):
    """H_PTEG_FULL would be false: who holds the lock is about to remove what is there."""
    vm, _ = build("null", 10, populated=False)
    first = 16
    for k in range(8):
        if k != place:
            assert enter(vm, first + k, V | k << 12, ptel_of(vm, 1), H_EXACT)[0] == 0
    hpt, free = vm.arrays.hpt, 2 * (first + place)
    hpt[free] = HVLOCK
    once_before("relax", None, lambda: hpt.__setitem__(free, np.uint64(0)))
    code, gpr = enter(vm, first, V, ptel_of(vm, 2))
    assert (code, gpr[0]) == (0, first + place)


@pytest.mark.parametrize("place", [0, 7, 11, 15])
def test_the_one_hpte_of_both_groups_that_is_not_bolted_gives_its_place(place):
    vm, _ = build("null", 17 * 2048, hpt_order=18, populated=False)
    gfns = list(range(0, 17 * 2048, 2048))
    vm.store(gfns[:16], STAMP)
    for gfn in gfns[:16]:
        if gfn != gfns[place]:
            vm.arrays.hpt[2 * hpte_of(vm, gfn)] |= np.uint64(BOLTED)
    assert vm.store(gfns[16:], STAMP) == 1
    assert hptes_of(vm, gfns[place]) == []


def test_a_group_of_which_another_has_just_removed_an_hpte_is_not_full():
    """All others are bolted; who wanted to evict that one finds its place free."""
    vm, _ = build("null", 17 * 2048, hpt_order=18, populated=False)
    *gfns, new = range(0, 17 * 2048, 2048)
    vm.store(gfns, STAMP)
    places = [hpte_of(vm, gfn) for gfn in gfns]
    for place in places[1:]:
        vm.arrays.hpt[2 * place] |= np.uint64(BOLTED)
    nothing, locked = atomics.hook, []

    def hook(operation, words, index):
        if operation == "compare_and_swap" and words is vm.arrays.hpt and index == 2 * places[0]:
            locked.append(index)
            if len(locked) == 2:  # after H_ENTER has looked there
                atomics.hook = nothing
                assert remove(vm, places[0])[0] == 0

    atomics.hook = hook
    assert vm.store([new], STAMP) == 1
    assert hptes_of(vm, new) == [places[0]]
    assert len(locked) == 2


@pytest.mark.parametrize("call", [clear_mod, clear_ref, lambda vm, i: protect(vm, i, RXRX)])
def test_the_guests_view_of_an_hpte_changes_only_under_its_lock(call):
    vm, _ = build("c_bit_scan", 10)
    vm.store([3], STAMP)
    index = hpte_of(vm, 3)
    locked = []

    def hook(operation, words, _index):
        if operation == "store" and words is vm.arrays.rev:
            locked.append(bool(vm.arrays.hpt[2 * index] & np.uint64(HVLOCK)))

    atomics.hook = hook
    call(vm, index)
    assert locked
    assert all(locked)


@pytest.mark.parametrize(
    "strategy",
    [
        "write_protect",
        "write_protect_batched",
        "double_buffer",
        "write_protect_summary",
        "dirty_ring",
        "pml",
        "manual_protect",
        "dbm_hybrid",
        "adaptive",
        "pte_flush",
    ],
)
def test_a_mark_that_comes_while_its_word_is_taken_is_not_lost(strategy):
    vm, tracker = build(strategy, 10)
    vm.host_store(3, STAMP)
    nothing = atomics.hook

    def hook(operation, words, index):
        if words is vm.arrays.bitmap and index == 0 and operation != "load":
            atomics.hook = nothing
            vm.host_store(5, STAMP)

    atomics.hook = hook
    assert harvest(tracker) | harvest(tracker) == {3, 5}
    assert atomics.hook is nothing


@pytest.mark.parametrize("strategy", ["write_protect", "write_protect_batched", "manual_protect"])
def test_a_large_page_that_becomes_writable_in_mid_harvest_is_armed_again(strategy):
    """Its bits are taken word by word: a store between two words finds it read-only again."""
    vm, tracker = build_large(strategy, 16, vcpus=2)
    vm.store([0], STAMP, view=VIEW_LARGE)
    nothing = atomics.hook

    def hook(operation, words, index):
        if words is vm.arrays.bitmap and index == 2 and operation in ("exchange", "fetch_and"):
            atomics.hook = nothing
            vm.store([5], STAMP + 1, view=VIEW_LARGE, vcpu=1)  # whose TLB is cold

    atomics.hook = hook
    harvest(tracker)
    vm.store([250], STAMP + 2, view=VIEW_LARGE)
    assert 250 in harvest(tracker)
    assert atomics.hook is nothing


def test_two_flushes_at_once_make_two_new_generations():
    """Or what a TLB was given between them would outlive the second."""
    vm, _ = build("null", 10)
    word = VCPU_TLB_GENERATION
    nothing = atomics.hook

    def hook(operation, words, index):
        if words is vm.arrays.vcpus and index == word and operation != "load":
            atomics.hook = nothing
            flush_tlbs(vm.machine, 0)

    atomics.hook = hook
    flush_tlbs(vm.machine, 0)
    assert vm.arrays.vcpus[word] == 2


@pytest.mark.parametrize("strategy", SCANS)
def test_a_page_that_no_hpte_maps_leads_to_no_other_page(strategy):
    """Its rmap word remembers R, and names HPTE 0, which another page has."""
    vm, tracker = build(strategy, 10)
    vm.load([3])
    assert remove(vm, hpte_of(vm, 3))[0] == 0
    assert enter(vm, 0, V, ptel_of(vm, 7), H_EXACT)[0] == 0
    vm.arrays.hpt[1] |= np.uint64(C)
    assert harvest(tracker) == {7}


@pytest.mark.parametrize("call", [clear_mod, remove, lambda vm, i: protect(vm, i, RXRX)])
def test_while_an_hpte_is_changed_it_is_absent_and_not_gone(call):
    """Who looks for it then finds it, and waits; the hardware does not find it."""
    vm, _ = build("c_bit_scan", 10)
    vm.store([3], STAMP)
    index = hpte_of(vm, 3)
    states = []
    once_before("compare_and_swap", vm.arrays.tlb, lambda: states.append(hardware(vm, index)[0]))
    call(vm, index)
    assert [v & (VALID | ABSENT | HVLOCK) for v in states] == [ABSENT | HVLOCK]


@pytest.mark.parametrize("flags", [0, H_EXACT])
def test_an_hpte_is_entered_under_its_lock(flags):
    vm, _ = build("null", 10, populated=False)
    locked = []

    def look():
        locked.append(bool(vm.arrays.hpt[2 * 16] & np.uint64(HVLOCK)))

    once_before("store", vm.arrays.rev, look)
    assert enter(vm, 16, V, ptel_of(vm, 2), flags)[0] == 0
    assert locked == [True]


def test_a_harvest_that_starts_a_page_again_forgets_nothing_it_has_taken():
    """CHANGED of a large page is taken, then an HPTE is found locked; meanwhile the host stores."""
    vm, tracker = build_large("c_bit_scan", 16)
    vm.store([0], STAMP, view=VIEW_LARGE)
    remove(vm, hpte_of(vm, 0))
    vm.store([0], STAMP + 1)
    lock = vm.arrays.hpt[2 * hpte_of(vm, 0) :]
    lock[0] |= np.uint64(HVLOCK)

    def go_on():
        vm.host_store(0, STAMP + 2)
        lock[0] &= ~np.uint64(HVLOCK)

    once_before("relax", None, go_on)
    assert harvest(tracker) == set(range(256))
    assert harvest(tracker) == set()


@pytest.mark.parametrize("strategy", SCANS)
def test_the_size_of_a_large_page_is_taken_with_its_changed_bit(strategy):
    vm, tracker = build_large(strategy, 16)
    vm.store([0], STAMP, view=VIEW_LARGE)
    remove(vm, hpte_of(vm, 0))
    assert harvest(tracker) == set(range(256))
    vm.host_store(0, STAMP + 1)
    assert harvest(tracker) == {0}


@pytest.mark.parametrize("strategy", ["c_bit_scan_batched", "hpt_sweep:1048576"])
def test_what_became_valid_again_in_mid_harvest_is_clean_then(strategy):
    vm, tracker = build(strategy, 10, delayed_c=True)
    vm.store([3], STAMP)
    protect(vm, hpte_of(vm, 3), RWRW)  # brings C from the TLB
    enter_guest(vm.machine, 0)
    once_before("fetch_add", vm.arrays.vcpus, lambda: vm.load([3]))  # a fault, it being absent
    before = vm.events()["map_faults"]
    assert harvest(tracker) == {3}
    assert vm.events()["map_faults"] == before + 1
    assert harvest(tracker) == set()


@pytest.mark.parametrize("is_start", [False, True])
def test_a_log_begins_and_ends_when_nobody_marks_by_the_mode_before(strategy, is_start):
    """The mode is set, and then waited for who is inside a section."""
    vm, tracker = build(strategy, 10, enabled=not is_start)
    enter_handler(vm.machine, 0)
    modes = []

    def leave():
        modes.append(log_mode(vm.machine, 0))
        leave_handler(vm.machine, 0)

    once_before("relax", None, leave)
    (tracker.enable_logging if is_start else tracker.disable_logging)(0)
    assert modes == [log_mode_of(strategy) if is_start else LOG_OFF]


SUMMARY = "write_protect_summary"
WORDS = 3 * 64
"""Three words of a bitmap: its halves are words 0 to 5, its summaries words 6 and 7."""


def once_at(words, index, operations, step):
    """Take a step before the next of some operations on a word."""
    nothing = atomics.hook

    def hook(operation, array, at):
        if array is words and at == index and operation in operations:
            atomics.hook = nothing
            step()

    atomics.hook = hook


WRITES = ("exchange", "fetch_or", "fetch_and", "compare_and_swap", "store")


@pytest.mark.parametrize("summary", [6, 7])
def test_a_mark_that_comes_while_a_summary_is_taken_is_not_lost(summary):
    vm, tracker = build(SUMMARY, WORDS)
    vm.host_store(3, STAMP)
    once_at(vm.arrays.bitmap, summary, WRITES, lambda: vm.host_store(69, STAMP))
    assert harvest(tracker) | harvest(tracker) == {3, 69}


MANY = 64 * 64 + 64
"""Pages, of 65 words: the halves are words 0 to 129, the summaries 130 and 131, and 132."""


@pytest.mark.parametrize(("word", "other"), [(0, 5), (130, 69), (132, 64 * 64 + 5)])
def test_of_two_marks_at_once_none_is_lost(word, other):
    vm, tracker = build(SUMMARY, MANY)
    once_at(vm.arrays.bitmap, word, WRITES, lambda: vm.store([other], STAMP))
    vm.host_store(3, STAMP)
    assert harvest(tracker) == {3, other}


@pytest.mark.parametrize("summary", [6, 7])
def test_a_mark_that_comes_while_a_summary_is_put_back_is_not_lost(summary):
    """The list has room for one word; that there is another is put back."""
    vm, tracker = build(SUMMARY, WORDS)
    vm.host_store(3, STAMP)
    vm.host_store(69, STAMP)
    numbers, masks = np.zeros((2, 1), np.uint64)
    once_at(vm.arrays.bitmap, summary, ("fetch_or", "store"), lambda: vm.host_store(130, STAMP))
    assert tracker.get_dirty_words(0, numbers, masks)[0] == 1
    assert (numbers[0], masks[0]) == (0, 1 << 3)
    assert harvest(tracker) == {69, 130}


def listed(tracker, room):
    """Return the pages of a list of so many words."""
    numbers, masks = np.zeros((2, room), np.uint64)
    found = tracker.get_dirty_words(0, numbers, masks)[0]
    words = zip(numbers[:found].tolist(), masks[:found].tolist(), strict=True)
    return [64 * number + bit for number, mask in words for bit in range(64) if mask >> bit & 1]


def test_what_finds_no_room_in_a_list_is_in_the_next():
    vm, tracker = build(SUMMARY, 3 * 64 * 64)
    dirty = [1, 70, 64 * 64 - 1, 64 * 64, 64 * 64 + 130, 64 * 64 + 200, 2 * 64 * 64 + 5]
    for gfn in dirty:
        vm.host_store(gfn, STAMP)
    assert [listed(tracker, 2) for _ in range(5)] == [
        dirty[:2],
        dirty[2:4],
        dirty[4:6],
        dirty[6:],
        [],
    ]


def test_a_word_that_its_summaries_name_and_is_0_is_not_in_a_list():
    """A harvest took the mark with an older one, before who made it came to the summaries."""
    vm, tracker = build(SUMMARY, WORDS)
    vm.host_store(3, STAMP)
    reported = []
    once_at(vm.arrays.bitmap, 6, ("load",), lambda: reported.append(harvest(tracker)))
    vm.host_store(4, STAMP)
    assert reported == [{3, 4}]
    vm.host_store(70, STAMP)
    numbers, masks = np.zeros((2, 2), np.uint64)
    assert tracker.get_dirty_words(0, numbers, masks)[0] == 1
    assert (numbers[0], masks[0]) == (1, 1 << 6)


def test_what_is_marked_anew_in_mid_harvest_joins_what_its_word_had(monkeypatch):
    """A bitmap of more lists than one: its last page is in the second, and so is the new mark."""
    monkeypatch.setattr(write_protect_summary, "MIDDLES", 1)
    vm, tracker = build(SUMMARY, MANY)
    vm.store([3, MANY - 1], STAMP)
    once_before("compare_and_swap", vm.arrays.hpt, lambda: vm.host_store(5, STAMP))
    assert harvest(tracker) == {3, 5, MANY - 1}


@pytest.mark.parametrize("room", [1, 3])
def test_lists_go_on_below_the_second_word_above(room):
    """No log is started, which takes seconds here; marks are made as a handler makes them."""
    vm, _ = build(SUMMARY, 64**3 + 5 * 64**2, populated=False, enabled=False)
    marked = [64 * 64 - 1, 64 * 64, 64 * 64 + 1, 64 * 64 + 64, 64 * 64 + 130]
    for word in marked:
        vm.arrays.bitmap[word] = 1
        mark_summaries(vm.machine, 0, word)
    numbers, masks = np.zeros((2, room), np.uint64)
    found, lists = [], 0
    while len(found) < len(marked) and lists < len(marked):
        where = map(atomics.address_of, (numbers, masks))
        named, _ = write_protect_summary.find_words(vm.machine, 0, 0, *where, room, room)
        found += numbers[:named].tolist()
        lists += 1
    assert (found, lists) == (marked, -(-len(marked) // room))
    assert not vm.arrays.bitmap.any()


def test_an_empty_word_may_fill_a_list_which_says_that_there_is_more():
    """Its bit is set in the summaries, by a store whose mark a harvest had before it was set."""
    vm, tracker = build(SUMMARY, WORDS)
    vm.host_store(3, STAMP)
    once_at(vm.arrays.bitmap, 0, ("exchange",), lambda: vm.host_store(5, STAMP))
    assert harvest(tracker) == {3, 5}
    vm.host_store(69, STAMP)
    numbers, masks = np.zeros((2, 1), np.uint64)
    words, more, _ = tracker.get_dirty_words(0, numbers, masks)
    assert (words, more) == (0, True)
    assert listed(tracker, 1) == [69]


COSTS = UnitCosts("of three faults", 22, 0, 0, 1, 1, 0, page_written=0)
"""The third fault opens a group of 64 pages: scans cost nothing, and time lowers no debt."""


@pytest.mark.parametrize("is_beside_a_harvest", [False, True])
def test_of_the_faults_of_a_group_each_is_counted(is_beside_a_harvest):
    """Also one that comes while a harvest, or another fault, writes what it owes."""
    vm, tracker = build("adaptive:64", 64, vcpus=2, unit_costs=COSTS)
    group = int(vm.arrays.slots[SLOT_HEAT]) + HEAT_WORDS
    beside = ("compare_and_swap", "store")
    if is_beside_a_harvest:
        vm.store([3], STAMP)
        once_at(vm.arrays.heat, group, beside, lambda: vm.store([5], STAMP, vcpu=1))
        harvest(tracker)
    else:
        once_at(vm.arrays.heat, group, beside, lambda: vm.store([5], STAMP, vcpu=1))
        vm.store([3], STAMP)
    assert vm.events()["groups_opened"] == 0
    vm.store([7], STAMP)
    assert vm.events()["groups_opened"] == 1


def test_of_two_pages_heated_at_once_each_is_counted():
    vm, _ = build("adaptive:64", 64, vcpus=2, unit_costs=COSTS)
    faults = int(vm.arrays.slots[SLOT_HEAT]) + FAULTS
    writes = ("fetch_add", "store")
    once_at(vm.arrays.heat, faults, writes, lambda: vm.store([5], STAMP, vcpu=1))
    vm.store([3], STAMP)
    assert vm.arrays.heat[faults] == 2


def build_first(strategy):
    """Return a machine, the tracker, and a page to which the guest gives HPTE 0."""
    vm, tracker = build(strategy, 4096, populated=False)
    places = ((gfn, address_of(vm.machine, VIEW_BASE, gfn)) for gfn in range(4096))
    return vm, tracker, next(g for g, va in places if group_of(vm.machine, va, SHIFT_4K, 0) == 0)


def release_at_relax(vm):
    """Lock HPTE 0; who waits for it finds it free the next time."""
    hpt = vm.arrays.hpt
    hpt[0] |= np.uint64(HVLOCK)
    once_before("relax", None, lambda: hpt.__setitem__(0, hpt[0] & ~np.uint64(HVLOCK)))


@pytest.mark.parametrize("strategy", [*SCANS, "write_protect", "pml", "dbm_hybrid", "adaptive"])
def test_a_page_is_started_again_where_the_first_hpte_of_all_is_locked(strategy):
    vm, tracker, gfn = build_first(strategy)
    vm.store([gfn], STAMP)
    assert hpte_of(vm, gfn) == 0
    release_at_relax(vm)
    assert harvest(tracker) == {gfn}
    vm.store([gfn], STAMP + 1)
    assert harvest(tracker) == {gfn}


def test_so_is_a_page_that_the_host_takes_away():
    vm, tracker, gfn = build_first("c_bit_scan")
    vm.store([gfn], STAMP)
    release_at_relax(vm)
    vm.unmap_page(gfn)
    assert harvest(tracker) == {gfn}


def test_the_guest_sees_r_and_c_all_the_while_its_page_is_taken_away():
    vm, _ = build("c_bit_scan", 10)
    index = hpte_of(vm, 3)
    clear_ref(vm, index)
    clear_mod(vm, index)
    vm.store([3], STAMP)
    nothing, seen = atomics.hook, []

    def hook(*_):
        atomics.hook = nothing
        seen.append(read(vm, index)[1] & (R | C))
        atomics.hook = hook

    atomics.hook = hook
    vm.unmap_page(3)
    atomics.hook = nothing
    assert len(seen) > 8
    assert set(seen) == {R | C}


def test_its_page_is_opened_with_its_group_too():
    vm, _, gfn = build_first("dbm_hybrid")
    vm.load([gfn])
    assert hpte_of(vm, gfn) == 0
    release_at_relax(vm)
    vm.store([gfn ^ 1], STAMP)
    before = vm.events()
    vm.store([gfn], STAMP)
    assert "write_faults" not in changes(vm, before)


def test_a_load_that_maps_a_page_again_opens_no_group():
    """The page is cooled, and its HPTE absent until the end of the harvest."""
    costs = UnitCosts("a page cools", 1, 2, 0, 1000, 1000, 0)
    vm, tracker = build("adaptive:64", 64, delayed_c=True, unit_costs=costs)
    vm.store([3], STAMP)
    harvest(tracker)
    enter_guest(vm.machine, 0)
    vm.store([3], STAMP + 1)
    protect(vm, hpte_of(vm, 3), RWRW)  # brings C from the TLB
    assert harvest(tracker) == {3}
    before = vm.events()
    once_before("fetch_add", vm.arrays.vcpus, lambda: vm.load([3]))
    assert harvest(tracker) == set()
    assert "pages_opened" not in changes(vm, before)


def test_a_load_whose_page_another_vcpu_maps_meanwhile_changes_nothing():
    vm, _ = build("pte_flush", 10, vcpus=2)
    assert protect(vm, hpte_of(vm, 3), RXRX)[0] == 0
    once_before("compare_and_swap", vm.arrays.hpt, lambda: vm.load([3], vcpu=1))
    vm.load([3])
    seen = vm.events()
    faults = [seen[f"{what}_faults"] for what in ("map", "spurious", "upgrade", "write")]
    assert faults == [1, 1, 0, 0]


def test_a_store_whose_page_another_vcpu_makes_writable_meanwhile_changes_nothing():
    vm, _ = build("write_protect", 10, vcpus=2)
    once_before("compare_and_swap", vm.arrays.hpt, lambda: vm.store([3], STAMP, vcpu=1))
    vm.store([3], STAMP + 1)
    seen = vm.events()
    assert [seen[f"{what}_faults"] for what in ("write", "spurious")] == [1, 1]


def test_a_page_that_another_vcpu_has_claimed_opens_no_further_group():
    """Its bit is set, its permission not yet."""
    vm, _ = build("dbm_hybrid:4", 8, vcpus=2)
    claimed = bitmap_start(vm.machine, 0, 1)
    beside = ("fetch_add", "compare_and_swap", "exchange", "store")
    nothing = atomics.hook

    def hook(name, array, index):
        if array is vm.arrays.rmap and vm.arrays.bitmap[claimed] and name in beside:
            atomics.hook = nothing
            vm.store([2], STAMP, vcpu=1)

    atomics.hook = hook
    vm.store([1], STAMP)
    assert atomics.hook is nothing
    assert [vm.events()[event] for event in ("write_faults", "groups_opened")] == [2, 1]


def test_c_of_a_large_page_that_comes_in_mid_harvest_speaks_for_all_of_it():
    """A small page on the same memory was found written; both HPTEs are on one ring."""
    vm, tracker = build_large("c_bit_scan_batched", 16, delayed_c=True)
    large = hpte_of(vm, 0)
    vm.populate(0)
    (small,) = set(hptes_of(vm, 0)) - {large}
    vm.store([0], STAMP)
    protect(vm, small, RWRW)  # brings C from the TLB
    vm.store([0], STAMP + 1, view=VIEW_LARGE)
    assert [hardware(vm, index)[1] & C for index in (small, large)] == [C, 0]
    enter_guest(vm.machine, 0)
    once_before("fetch_add", vm.arrays.vcpus, lambda: protect(vm, large, RWRW))
    assert harvest(tracker) == set(range(256))


def test_a_page_is_hot_when_the_bit_of_its_own_word_is_set():
    """Until then a harvest does not look there, and a store must fault; another word is hot."""
    vm, _ = build("adaptive", 128)
    vm.store([70], STAMP)
    place = int(word_bit(vm.machine, 0, 0)[0])
    seen = []
    once_at(vm.arrays.heat, place, WRITES, lambda: seen.append(is_open(vm.machine, 0, LOG_HEAT, 3)))
    vm.store([3], STAMP)
    assert (seen, is_open(vm.machine, 0, LOG_HEAT, 3)) == ([False], True)


def test_a_group_that_another_vcpu_is_about_to_open_is_left_to_it():
    vm, _ = build("adaptive:64", 64, unit_costs=COSTS)
    vm.store([3, 5], STAMP)
    group = int(vm.arrays.slots[SLOT_HEAT]) + HEAT_WORDS
    beside = ("compare_and_swap", "store")
    opens = []
    once_at(vm.arrays.heat, group, beside, lambda: opens.append(owe_fault(vm.machine, 0, 0, 1)))
    vm.store([7], STAMP)
    assert (opens, vm.events()["groups_opened"]) == ([True], 0)
    assert int(vm.arrays.heat[group]) & int(OPEN)


@pytest.mark.parametrize("strategy", ["dbm_hybrid", "adaptive"])
def test_what_is_stored_while_a_log_starts_is_not_in_it(strategy):
    """C that it set is cleared with the others'; a group that is opened later does not show it."""
    costs = UnitCosts("the first fault opens", 1, 0, 0, 0, 0, 0)
    vm, tracker = build(strategy, 64, enabled=False, unit_costs=costs)
    mode = SLOT_LOG_MODE
    once_at(vm.arrays.slots, mode, ("exchange",), lambda: vm.store([3], STAMP))
    tracker.enable_logging(0)
    vm.store([4], STAMP)
    assert harvest(tracker) == {4}


def test_of_two_words_heated_at_once_a_harvest_looks_at_both():
    vm, tracker = build("adaptive", 128, vcpus=2)
    place = int(word_bit(vm.machine, 0, 0)[0])
    heat_other = lambda: vm.store([70], STAMP, vcpu=1)  # noqa: E731
    once_at(vm.arrays.heat, place, WRITES, heat_other)
    vm.store([3], STAMP)
    assert harvest(tracker) == {3, 70}


def test_a_word_that_is_heated_while_another_is_dropped_is_looked_at():
    costs = UnitCosts("a page cools", 1, 2, 0, 1000, 1000, 0)
    vm, tracker = build("adaptive", 128, vcpus=2, unit_costs=costs)
    place, nothing = int(word_bit(vm.machine, 0, 0)[0]), atomics.hook
    vm.store([3], STAMP)
    once_at(vm.arrays.heat, place, WRITES, lambda: vm.store([70], STAMP, vcpu=1))
    assert harvest(tracker) | harvest(tracker) == {3, 70}
    assert atomics.hook is nothing


def test_it_is_so_where_the_dropped_word_is_heated_again_too():
    costs = UnitCosts("a page cools", 1, 2, 0, 1000, 1000, 0)
    vm, tracker = build("adaptive", 128, vcpus=2, unit_costs=costs)
    place, nothing = int(word_bit(vm.machine, 0, 0)[0]), atomics.hook
    vm.store([3], STAMP)

    def heat_both():
        vm.store([5], STAMP, vcpu=1)
        back = ("fetch_or", "store")
        once_at(vm.arrays.heat, place, back, lambda: vm.store([70], STAMP, vcpu=1))

    once_at(vm.arrays.heat, place, ("fetch_and",), heat_both)
    assert harvest(tracker) | harvest(tracker) == {3, 5, 70}
    assert atomics.hook is nothing


def test_what_an_hpte_that_went_has_left_is_reported_where_its_page_cools():
    """A harvest had passed the page as clean; where C is kept back another look comes only now."""
    vm, tracker = build("adaptive", 64, delayed_c=True)
    vm.store([3], STAMP)
    remove(vm, hpte_of(vm, 3))
    out, seen = tracker.buffer(0), tracker.buffer(0)
    seen[0] = 1 << 5
    heat, pages = int(vm.arrays.slots[SLOT_HEAT]), np.uint64(1 << 3 | 1 << 7)
    cool_word(vm.machine, 0, heat, 0, pages, atomics.address_of(out), atomics.address_of(seen))
    assert (out[0], seen[0]) == (1 << 3, 1 << 3 | 1 << 5 | 1 << 7)
    assert vm.arrays.written.nonzero()[0].tolist() == [3]


def test_where_c_is_kept_back_a_page_that_stays_hot_takes_no_further_fault():
    costs = UnitCosts("the first fault opens", 1, 0, 0, 0, 0, 0, 0)
    vm, tracker = build("adaptive:64", 64, delayed_c=True, unit_costs=costs)
    for stamp in range(3):
        vm.store([3], stamp)
        assert harvest(tracker) == {3}
    assert vm.events()["write_faults"] == 1


def test_c_that_a_page_has_when_it_has_cooled_is_taken():
    vm, tracker = build("adaptive", 64)
    vm.store([3], STAMP)
    vm.load([3], view=VIEW_ALIAS)  # of two HPTEs: no look without a lock can say that it is clean
    out, seen = tracker.buffer(0), tracker.buffer(0)
    seen[0] = 1 << 3
    heat = int(vm.arrays.slots[SLOT_HEAT])
    look = vm.machine, 0, heat, atomics.address_of(out), atomics.address_of(seen), 1
    assert [look_again(*look), look_again(*look)] == [1, 0]
    assert out[0] == 1 << 3


def test_a_page_that_cools_beside_a_running_vcpu_is_in_no_tlb_afterwards():
    """C is still in the TLB when the page cools, so that it is not absent yet."""
    costs = UnitCosts("a page cools", 1, 2, 0, 1000, 1000, 0)
    vm, tracker = build("adaptive", 64, delayed_c=True, unit_costs=costs)
    vm.store([3], STAMP)
    enter_guest(vm.machine, 0)
    assert harvest(tracker) == {3}
    leave_guest(vm.machine, 0)
    vm.store([3], STAMP + 1)
    assert vm.events()["write_faults"] == 2
    assert harvest(tracker) == {3}


@pytest.mark.parametrize("gfn", [3, 64 * 64 + 5])
def test_what_is_heated_when_harvests_are_about_to_look_nowhere_is_looked_at(gfn):
    """Its bit came after the harvest had found none: a second look goes over all of them."""
    costs = UnitCosts("a page cools", 1, 2, 0, 1000, 1000, 0)
    vm, tracker = build("adaptive", MANY, vcpus=2, unit_costs=costs)
    place, nothing = int(vm.arrays.slots[SLOT_HEAT]) + MAY_BE_HOT, atomics.hook
    vm.store([70], STAMP)
    assert harvest(tracker) == {70}
    once_at(vm.arrays.heat, place, ("exchange",), lambda: vm.store([gfn], STAMP, vcpu=1))
    assert harvest(tracker) | harvest(tracker) == {gfn}
    assert atomics.hook is nothing


@pytest.mark.parametrize("field", [FAULTS, OPENED])
def test_what_faults_cost_is_charged_though_a_harvest_takes_the_counts(field):
    """In that harvest, or it stays for the next."""
    costs = UnitCosts("faults and opening", 1000, 0, 0, 1, 0, 0, page_written=0)
    vm, tracker = build("adaptive:64", 128, vcpus=2, unit_costs=costs)
    words = vm.arrays.heat[int(vm.arrays.slots[SLOT_HEAT]) :]
    vm.store([3], STAMP)
    place = int(vm.arrays.slots[SLOT_HEAT]) + field
    once_at(vm.arrays.heat, place, WRITES, lambda: vm.store([70], STAMP, vcpu=1))
    harvest(tracker)
    charged = int(words[OWN]) + 10**6 * int(words[FAULTS]) + 1000 * int(words[OPENED])
    assert 0 <= charged - (2 * 10**6 + 128 * 1000) < 1000


def test_of_two_groups_opened_at_once_both_are_charged():
    costs = UnitCosts("the first fault opens", 1000, 0, 0, 1, 0, 0, page_written=0)
    vm, _ = build("adaptive:64", 128, vcpus=2, unit_costs=costs)
    place = int(vm.arrays.slots[SLOT_HEAT]) + OPENED
    once_at(vm.arrays.heat, place, (*WRITES, "fetch_add"), lambda: vm.store([70], STAMP, vcpu=1))
    vm.store([3], STAMP)
    assert vm.arrays.heat[place] == 128


def build_where_a_fault_opens(is_due):
    """Return four groups of which the first fault opens its own, or all; and where that stands."""
    costs = UnitCosts("the first fault opens", 1, 0, 0, 0, 0, 0)
    vm, tracker = build("adaptive:64", 256, unit_costs=costs)
    place = int(vm.arrays.slots[SLOT_HEAT]) + IS_DUE
    vm.arrays.heat[place] = is_due
    return vm, tracker, place


@pytest.mark.parametrize("group", [1, 3])
def test_groups_that_are_claimed_and_no_longer_due_are_not_lost(group):
    """The fault opens all that it has claimed, and they take none of their own."""
    vm, tracker, place = build_where_a_fault_opens(is_due=True)
    claimed = bitmap_start(vm.machine, 0, 1) + group
    over = lambda: vm.arrays.heat.__setitem__(place, 0)  # noqa: E731
    once_at(vm.arrays.bitmap, claimed, ("fetch_or",), over)
    vm.store([3], STAMP)
    vm.store([5, 70, 255], STAMP)
    assert (harvest(tracker), vm.events()["groups_opened"]) == ({3, 5, 70, 255}, 4)
    assert vm.events()["write_faults"] == 1


def test_groups_that_are_due_and_not_claimed_yet_are_not_opened():
    vm, tracker, place = build_where_a_fault_opens(is_due=False)
    word = bitmap_start(vm.machine, 0, 1)
    due = lambda: vm.arrays.heat.__setitem__(place, 1)  # noqa: E731
    claims = lambda: once_at(vm.arrays.bitmap, word, ("fetch_or",), due)  # noqa: E731
    once_at(vm.arrays.bitmap, word, ("fetch_or",), claims)
    vm.store([3], STAMP)
    assert vm.events()["groups_opened"] == 1
    vm.store([70], STAMP)
    assert (harvest(tracker), vm.events()["write_faults"]) == ({3, 70}, 2)


@pytest.mark.parametrize("word", [HEAT_WORDS + 3, OPENED])
def test_of_groups_that_two_vcpus_open_at_once_each_is_charged_once(word):
    """One opens all four, the other the last: just before the first does, or charges a group."""
    costs = UnitCosts("a fault opens for as much", 1000, 0, 0, 1, 0, 0)
    vm, _ = build("adaptive:64", 256, vcpus=2, unit_costs=costs)
    start, heat = int(vm.arrays.slots[SLOT_HEAT]), vm.arrays.heat
    heat[start + IS_DUE] = 1
    writes = (*WRITES, "fetch_add")
    open_last = lambda: vm.store([200], STAMP, vcpu=1)  # noqa: E731
    at_next = lambda: once_at(heat, start + OPENED, writes, open_last)  # noqa: E731
    once_at(heat, start + word, writes, at_next if word == OPENED else open_last)
    vm.store([3], STAMP)
    assert heat[start + OPENED] == 256


def test_a_level_goes_by_one_from_none_to_three():
    assert [moved(level, True) for level in (0, 2, 3)] == [1, 3, 3]
    assert [moved(level, False) for level in (0, 1, 3)] == [0, 0, 2]
