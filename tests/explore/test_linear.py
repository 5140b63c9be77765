"""What is taken for an order of operations, and each departure with what it does not allow."""

import pytest

from strategies.core.guest import VIEW_LARGE
from strategies.explore import host_operations as host_op
from strategies.explore import operations as op
from strategies.explore.linear import Call, History
from strategies.explore.parts import BUSY, DONE, FORBIDDEN, MISSED, OFF, Bits
from strategies.explore.sequential import CLEAR, SET, Final, Hpte, Page, Rules, State

STRICT = Rules(*[False] * 4)
NONE, R, RC = Bits(False, False, True), Bits(True, False, True), Bits(True, True, True)
C = Bits(False, True, True)
READ_ONLY = Bits(True, True, False)
CLEAN = Hpte(CLEAR, CLEAR, True)
WRITTEN = Hpte(SET, SET, True)


def is_linear(calls, *, hpte, stamp=0, reported=False, start=CLEAN, dirty=CLEAR, on=True, **rules):
    """Judge calls (thread, operation, what it came to, first step, last step) on one page."""
    calls = [
        Call(thread, operation, 0x100 + k, came, first, last)
        for k, (thread, operation, came, first, last) in enumerate(calls)
    ]
    begin = State((((0, 0), start),), ((0, Page(0, dirty, on)),))
    final = Final({(0, 0): hpte}, {0: stamp}, {0: reported})
    return History(calls, final).is_linear(begin, STRICT._replace(**rules))


def done(operation, thread=0, at=0, to=1, came=DONE):
    return thread, operation, (came,), at, to


def test_a_store_is_seen_in_memory_in_the_hpte_and_in_the_log():
    store = [done(op.store())]
    assert is_linear(store, hpte=RC, stamp=0x100, reported=True)
    for wrong in (
        {"hpte": R, "stamp": 0x100, "reported": True},
        {"hpte": RC, "stamp": 0, "reported": True},
        {"hpte": RC, "stamp": 0x100, "reported": False},
        {"hpte": RC, "stamp": 0x100, "reported": OFF},
        {"hpte": None, "stamp": 0x100, "reported": True},
        {"hpte": READ_ONLY, "stamp": 0x100, "reported": True},
    ):
        assert not is_linear(store, **wrong), wrong


def test_two_calls_at_once_may_come_in_either_order_and_one_after_the_other_in_one():
    beside = [done(op.store(), 0, 0, 9), done(op.remove(), 1, 3, 5, came=NONE)]
    missed = [done(op.store(), 0, 0, 9, came=MISSED), done(op.remove(), 1, 3, 5, came=NONE)]
    assert is_linear(missed, hpte=None)
    assert not is_linear(beside, hpte=None, stamp=0x100, reported=True)
    after = [done(op.store(), 0, 0, 2, came=MISSED), done(op.remove(), 1, 3, 5, came=NONE)]
    assert not is_linear(after, hpte=None)


def test_calls_of_one_thread_are_in_their_order():
    calls = [done(op.remove(), 0, 0, 2, came=NONE), done(op.store(), 0, 3, 5, came=MISSED)]
    assert is_linear(calls, hpte=None)
    assert not is_linear(calls[::-1], hpte=None)


def test_a_harvest_reports_what_was_stored_before_and_nothing_twice():
    harvest = host_op.harvest()
    calls = [done(op.store(), 0, 0, 2), done(harvest, 1, 3, 5, came=True)]
    assert is_linear(calls, hpte=RC, stamp=0x100)
    assert not is_linear(calls, hpte=RC, stamp=0x100, reported=True)
    calls[1] = done(harvest, 1, 3, 5, came=False)
    assert not is_linear(calls, hpte=RC, stamp=0x100, reported=True)


def test_a_mark_may_come_early_only_beside_its_store_and_where_a_fault_marks():
    beside = [done(op.store(), 0, 0, 9), done(host_op.harvest(), 1, 3, 5, came=True)]
    after = [done(host_op.harvest(), 1, 0, 2, came=True), done(op.store(), 0, 3, 9)]
    end = {"hpte": RC, "stamp": 0x100, "reported": True}
    assert is_linear(beside, marks_early=True, **end)
    assert not is_linear(beside, **end)
    assert not is_linear(after, marks_early=True, **end)


@pytest.mark.parametrize(("to", "is_beside"), [(9, True), (1, False)])
def test_the_host_may_mark_a_page_once_more_that_a_harvest_beside_it_reports(to, is_beside):
    stores = [done(host_op.host_store(), 1, 0, to), done(op.store(), 0, 2, 3)]
    calls = [*stores, done(host_op.harvest(), 2, 4, 5, came=True)]
    assert is_linear(calls, hpte=RC, stamp=0x101, reported=True) == is_beside
    assert is_linear(calls, hpte=RC, stamp=0x101, reported=False)


def test_a_store_that_was_forbidden_meanwhile_may_leave_its_mark():
    ro = op.protect(writable=False)
    calls = [done(op.store(), 0, 0, 9, came=FORBIDDEN), done(ro, 1, 3, 5, came=True)]
    end = {"hpte": Bits(False, False, False), "reported": True}
    assert is_linear(calls, marks_early=True, **end)
    assert not is_linear(calls, **end)
    calls[1] = done(ro, 1, 0, 0, came=True)
    calls[0] = done(op.store(), 0, 3, 9, came=FORBIDDEN)
    assert not is_linear(calls, marks_early=True, **end)


def test_a_page_comes_late_only_where_c_is_kept_back():
    calls = [done(op.store(), 0, 0, 2), done(host_op.harvest(), 1, 3, 5, came=False)]
    end = {"hpte": RC, "stamp": 0x100, "reported": True}
    assert is_linear(calls, owes_c=True, is_late=True, **end)
    assert not is_linear(calls, owes_c=True, **end)
    end["reported"] = False
    assert not is_linear(calls, owes_c=True, is_late=True, **end)


def test_c_is_owed_to_the_log_whether_or_not_the_guest_has_it_already():
    calls = [done(op.store(), 0, 0, 2), done(host_op.harvest(), 1, 3, 5, came=True)]
    end = {"hpte": RC, "start": WRITTEN, "stamp": 0x100, "reported": True}
    assert is_linear(calls, owes_c=True, is_late=True, **end)
    assert not is_linear(calls, owes_c=True, **end)


def test_c_that_is_owed_may_not_be_read_yet_but_is_there_when_the_hpte_goes():
    store = done(op.store(), 0, 0, 2)
    end = {"stamp": 0x100, "reported": True, "owes_c": True}
    assert is_linear([store, done(op.read(), 1, 3, 5, came=R)], hpte=RC, **end)
    assert not is_linear([store, done(op.remove(), 1, 3, 5, came=R)], hpte=None, **end)
    assert is_linear([store, done(op.remove(), 1, 3, 5, came=RC)], hpte=None, **end)


def test_r_may_stay_clear_after_h_clear_ref_and_only_then():
    clear_ref = done(op.clear_ref(), 1, 0, 2, came=RC)
    load = done(op.load(), 0, 3, 5)
    assert is_linear([clear_ref, load], hpte=C, start=WRITTEN)
    assert is_linear([clear_ref, load], hpte=RC, start=WRITTEN)
    assert not is_linear([clear_ref], hpte=RC, start=WRITTEN)
    assert not is_linear([load], hpte=NONE)


def test_h_clear_mod_gives_c_back_once():
    clear_mod = done(op.clear_mod(), 1, 0, 2, came=RC)
    assert is_linear([clear_mod], hpte=R, start=WRITTEN)
    assert not is_linear([clear_mod], hpte=RC, start=WRITTEN)
    assert not is_linear([done(op.clear_mod(), 1, 0, 2, came=R)], hpte=R, start=WRITTEN)


def test_c_is_read_early_only_beside_the_store():
    read = done(op.read(), 1, 3, 5, came=RC)
    calls = [done(op.store(), 0, 0, 9), read, done(op.store(), 1, 6, 8)]
    end = {"hpte": RC, "stamp": 0x100, "reported": True}
    assert is_linear(calls, **end)
    assert not is_linear([read, done(op.store(), 0, 6, 9)], **{**end, "stamp": 0x101})


def test_entries_of_h_bulk_remove_go_one_by_one_in_their_order():
    bulk = op.bulk_remove(0, 0)
    assert is_linear([(0, bulk, (NONE, None), 0, 5)], hpte=None)
    assert not is_linear([(0, bulk, (None, NONE), 0, 5)], hpte=None)
    between = done(op.enter_clean(), 1, 2, 3, came=True)
    assert is_linear([(0, bulk, (NONE, NONE), 0, 5), between], hpte=None)


def test_an_hpte_is_entered_where_there_is_none():
    assert is_linear([done(op.enter(), came=True)], hpte=RC, start=None)
    assert is_linear([done(op.enter_clean(), came=True)], hpte=NONE, start=None)
    assert not is_linear([done(op.enter(), came=False)], hpte=None, start=None)
    assert not is_linear([done(op.enter(), came=True)], hpte=RC)


@pytest.mark.parametrize("call", [op.remove, op.clear_mod, op.clear_ref, op.read])
def test_what_is_there_is_found(call):
    assert not is_linear([done(call(), came=None)], hpte=NONE)
    assert is_linear([done(call(), came=None)], hpte=None, start=None)
    assert not is_linear([done(call(), came=NONE)], hpte=None, start=None)


def test_a_condition_that_does_not_hold_removes_nothing():
    assert is_linear([done(op.remove_other(), came=None)], hpte=NONE)
    assert not is_linear([done(op.remove_other(), came=NONE)], hpte=None)


def test_a_load_counts_as_a_store_under_pte_flush_alone():
    load = [done(op.load())]
    assert is_linear(load, hpte=R, reported=True, marks_reads=True)
    assert is_linear(load, hpte=R, reported=False, marks_reads=True)
    assert not is_linear(load, hpte=R, reported=True)


def test_a_log_begins_empty_and_ends():
    enable, disable = done(host_op.enable(), 1, 3, 5), done(host_op.disable(), 1, 3, 5)
    store = done(op.store(), 0, 0, 2)
    assert is_linear([store, enable], hpte=RC, stamp=0x100, on=False)
    assert not is_linear([store, enable], hpte=RC, stamp=0x100, on=False, reported=True)
    assert is_linear([store, disable], hpte=RC, stamp=0x100, reported=OFF)
    assert is_linear([done(host_op.harvest(), came=OFF)], hpte=NONE, on=False, reported=OFF)
    assert not is_linear([done(host_op.harvest(), came=OFF)], hpte=NONE)


def test_a_second_tracker_is_refused_while_the_first_logs():
    assert is_linear([done(host_op.enable_other(), came=BUSY)], hpte=NONE)
    assert not is_linear([done(host_op.enable_other(), came=DONE)], hpte=NONE)


def test_h_read_beside_a_change_tells_no_more_than_that_an_hpte_is_there():
    ro = op.protect(writable=False)
    beside = [done(ro, 0, 0, 9, came=True), done(op.read(), 1, 3, 5, came=RC)]
    after = [done(ro, 0, 0, 2, came=True), done(op.read(), 1, 3, 5, came=RC)]
    end = Bits(False, False, False)
    assert is_linear(beside, hpte=end)
    assert not is_linear(after, hpte=end)
    assert not is_linear([*beside[:1], done(op.read(), 1, 3, 5, came=None)], hpte=end)


PAGES = ((0, Page(0, CLEAR, True)), (1, Page(0, CLEAR, True)))


@pytest.mark.parametrize(
    ("reported", "is_right"), [((True, True), True), ((False, True), True), ((True, False), False)]
)
def test_a_store_through_a_large_page_may_count_for_all_its_pages(reported, is_right):
    begin = State((((VIEW_LARGE, 0), CLEAN),), PAGES)
    stored = Call(0, op.store(VIEW_LARGE, 1), 0x100, (DONE,), 0, 1)
    final = Final({(VIEW_LARGE, 0): RC}, {0: 0, 1: 0x100}, dict(enumerate(reported)))
    assert History([stored], final).is_linear(begin, STRICT) == is_right


@pytest.mark.parametrize(
    ("came", "gfn", "page", "is_right"),
    [
        (MISSED, 1, 1, True),
        (DONE, 1, 1, False),  # a store through the HPTE that is gone
        (MISSED, 0, 1, False),  # the place still has page 0's
        (MISSED, 1, 0, False),  # H_READ shows page 0's
    ],
)
def test_an_evicted_hpte_is_another_pages(came, gfn, page, is_right):
    begin = State((((0, 0), WRITTEN),), PAGES)
    calls = [
        Call(0, op.evict(), 0x100, (RC, True, DONE), 0, 1),
        Call(0, op.store(), 0x101, (came,), 2, 3),
        Call(0, op.read(), 0x102, (RC._replace(gfn=page),), 4, 5),
    ]
    stamps = {0: 0x101 if came == DONE else 0, 1: 0x100}
    final = Final({(0, 0): RC._replace(gfn=gfn)}, stamps, {0: came == DONE, 1: True})
    assert History(calls, final).is_linear(begin, STRICT) == is_right
