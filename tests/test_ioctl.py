"""The ioctls' errors, and what a machine refuses to be."""

import errno

import numpy as np
import pytest
from conftest import STAMP, build, harvest

from strategies import registry
from strategies.core.h_change import h_read
from strategies.core.machine import MAX_SLOTS
from strategies.core.rmap import RMAP_CHANGED
from strategies.core.vm import Vm, default_hpt_order
from strategies.errors import InputError

NPAGES = 100
NO_SLOTS = [1, -1, 32, None, "0", 0.0]


def read_only():
    out = np.zeros(2, np.uint64)
    out.flags.writeable = False
    return out


def misaligned():
    return np.frombuffer(bytearray(24), "<u8", count=2, offset=4)


UNUSABLE = {
    "no array": None,
    "a list": [0, 0],
    "bytes": bytearray(16),
    "int64": np.zeros(2, np.int64),
    "uint32": np.zeros(2, np.uint32),
    "uint8": np.zeros(16, np.uint8),
    "float64": np.zeros(2),
    "big-endian": np.zeros(2, ">u8"),
    "too short": np.zeros(1, np.uint64),
    "too long": np.zeros(3, np.uint64),
    "two-dimensional": np.zeros((1, 2), np.uint64),
    "a scalar": np.zeros((), np.uint64),
    "with gaps": np.zeros(4, np.uint64)[::2],
    "backwards": np.zeros(2, np.uint64)[::-1],
    "read-only": read_only(),
    "misaligned": misaligned(),
}


def fails_with(code, function, *args):
    with pytest.raises(OSError, match=r"\A[^\n]+\Z") as error:
        function(*args)
    return error.value.errno == code


@pytest.mark.parametrize("strategy", registry.names())
@pytest.mark.parametrize("slot", NO_SLOTS)
def test_einval_where_there_is_no_slot(strategy, slot):
    _, tracker = build(strategy, NPAGES)
    out = tracker.buffer(0)
    assert fails_with(errno.EINVAL, tracker.enable_logging, slot)
    assert fails_with(errno.EINVAL, tracker.disable_logging, slot)
    assert fails_with(errno.EINVAL, tracker.get_dirty_log, slot, out)
    assert fails_with(errno.EINVAL, tracker.buffer, slot)


def test_enoent_where_nothing_is_logged(strategy):
    vm, tracker = build(strategy, NPAGES, enabled=False)
    out = tracker.buffer(0)
    assert fails_with(errno.ENOENT, tracker.get_dirty_log, 0, out)
    tracker.enable_logging(0)
    vm.store([1], STAMP)
    tracker.disable_logging(0)
    assert fails_with(errno.ENOENT, tracker.get_dirty_log, 0, out)
    assert not out.any()


def test_enoent_comes_before_efault(strategy):
    _, tracker = build(strategy, NPAGES, enabled=False)
    assert fails_with(errno.ENOENT, tracker.get_dirty_log, 0, None)


@pytest.mark.parametrize("what", UNUSABLE)
def test_efault_loses_nothing(strategy, what):
    vm, tracker = build(strategy, NPAGES)
    vm.store([0, 99], STAMP)
    vm.host_store(50, STAMP)
    assert fails_with(errno.EFAULT, tracker.get_dirty_log, 0, UNUSABLE[what])
    assert harvest(tracker) == {0, 50, 99}


def test_buffer_has_the_size_of_its_slot(strategy):
    vm, tracker = build(strategy, 64, guest_pages=200)
    slot = vm.add_memslot(64, 65)
    assert [tracker.buffer(0).size, tracker.buffer(slot).size] == [1, 2]
    assert tracker.buffer(slot).dtype == np.dtype("<u8")
    assert not tracker.buffer(slot).any()


def test_harvest_time_is_in_nanoseconds(strategy):
    vm, tracker = build(strategy, NPAGES)
    vm.store([0], STAMP)
    assert 0 < tracker.get_dirty_log(0, tracker.buffer(0)) < 60 * 10**9


@pytest.mark.parametrize(
    ("strategy", "bitmaps"),
    [("c_bit_scan", 0), ("null", 0), ("write_protect", 1), ("double_buffer", 2), ("pte_flush", 1)],
)
def test_state_bytes_are_those_of_logging_slots(strategy, bitmaps):
    _, tracker = build(strategy, NPAGES, enabled=False)
    assert tracker.state_bytes == 0
    tracker.enable_logging(0)
    assert tracker.state_bytes == bitmaps * 16
    tracker.disable_logging(0)
    assert tracker.state_bytes == 0


@pytest.mark.parametrize(("strategy", "logs"), [("dirty_ring:128", 128 * 16), ("pml:10", 10 * 8)])
def test_state_bytes_count_the_log_of_each_vcpu(strategy, logs):
    _, tracker = build(strategy, NPAGES, enabled=False, vcpus=3)
    assert tracker.state_bytes == 0
    tracker.enable_logging(0)
    assert tracker.state_bytes == 16 + 3 * logs


def test_ebusy_while_another_tracker_logs_the_slot(strategy):
    vm, tracker = build(strategy, NPAGES)
    vm.store([1], STAMP)
    other = registry.get(strategy)(vm)
    assert fails_with(errno.EBUSY, other.enable_logging, 0)
    assert harvest(tracker) == {1}
    tracker.disable_logging(0)
    other.enable_logging(0)
    vm.store([2], STAMP)
    assert harvest(other) == {2}


@pytest.mark.parametrize("name", ["dirty_ring", "pml"])
def test_einval_while_another_size_of_the_logs_is_in_use(name):
    vm, tracker = build(f"{name}:128", NPAGES, guest_pages=2 * NPAGES)
    slot = vm.add_memslot(NPAGES, NPAGES)
    other = registry.get(f"{name}:256")(vm)
    assert fails_with(errno.EINVAL, other.enable_logging, slot)
    tracker.disable_logging(0)
    other.enable_logging(slot)


def test_a_slot_that_another_tracker_left_is_as_good_as_new(strategy):
    """Not even the half of the bitmaps that was active is handed down."""
    vm, last = build("double_buffer", NPAGES)
    vm.store([1], STAMP)
    assert harvest(last) == {1}  # from now on the other half is marked
    vm.store([2], STAMP)
    last.disable_logging(0)
    tracker = registry.get(strategy)(vm)
    tracker.enable_logging(0)
    vm.store([3], STAMP)
    vm.host_store(4, STAMP)
    assert harvest(tracker) == {3, 4}


def test_a_log_that_starts_all_set_is_as_good_as_new_in_such_a_slot():
    vm, last = build("double_buffer", NPAGES)
    vm.store([1], STAMP)
    assert harvest(last) == {1}
    last.disable_logging(0)
    tracker = registry.get("manual_protect")(vm)
    tracker.enable_all_set(0)
    assert harvest(tracker) == set(range(NPAGES))
    vm.store([3], STAMP)
    vm.host_store(4, STAMP)
    assert harvest(tracker) == {3, 4}


def test_what_the_host_stores_after_logging_has_stopped_leaves_no_mark(strategy):
    vm, tracker = build(strategy, NPAGES)
    tracker.disable_logging(0)
    vm.host_store(4, STAMP)
    assert not vm.arrays.bitmap.any()
    assert not vm.arrays.rmap[4] & RMAP_CHANGED


def test_null_reports_nothing():
    vm, tracker = build(registry.BASELINE, NPAGES)
    vm.store([1], STAMP)
    out = tracker.buffer(0)
    tracker.get_dirty_log(0, out)
    assert not out.any()


# The registry.


def test_registry_names_are_those_of_the_classes():
    assert all(registry.get(name).name == name for name in registry.names())
    assert registry.BASELINE in registry.names()


@pytest.mark.parametrize("name", ["", "nosuch", "NULL", "write-protect"])
def test_registry_refuses_an_unknown_name(name):
    with pytest.raises(InputError, match=r"\A[^\n]*accepted are c_bit_scan, [^\n]*\Z"):
        registry.get(name)


# The machine.


@pytest.mark.parametrize(
    "options",
    [
        {"guest_pages": 0},
        {"guest_pages": -1},
        {"guest_pages": (1 << 32) + 1},
        {"guest_pages": (1 << 28) + 1, "page_shift": 16},
        {"page_shift": 13},
        {"page_shift": 24},
        {"page_shift": 0},
        {"hpt_order": 17},
        {"hpt_order": 37},
        {"vcpus": 0},
        {"vcpus": -1},
        {"vcpus": 257},
        {"mapping": "random"},
    ],
    ids=str,
)
def test_vm_refuses(options):
    with pytest.raises(InputError, match=r"\A[^\n]+(accepted are|base pages are)[^\n]+\Z"):
        Vm(**{"guest_pages": NPAGES} | options)


@pytest.mark.parametrize(
    ("base_gfn", "npages"), [(0, 0), (0, -1), (-1, 5), (0, 101), (100, 1), (40, 20), (49, 2)]
)
def test_vm_refuses_a_slot(base_gfn, npages):
    vm = Vm(NPAGES)
    vm.add_memslot(50, 50)
    with pytest.raises(InputError, match=r"\A[^\n]+\Z"):
        vm.add_memslot(base_gfn, npages)
    assert vm.slots == [(50, 50)]
    assert vm.add_memslot(0, 50) == 1


def test_vm_refuses_too_many_slots():
    vm = Vm(NPAGES)
    for gfn in range(MAX_SLOTS):
        vm.add_memslot(gfn, 1)
    with pytest.raises(InputError, match=r"more than 32 memory slots"):
        vm.add_memslot(99, 1)


@pytest.mark.parametrize("gfns", [[-1], [100], [0, 1 << 40]])
def test_vm_refuses_gfns_outside_the_guest(gfns):
    vm, _ = build("null", NPAGES)
    for touch in (lambda: vm.store(gfns, STAMP), lambda: vm.load(gfns)):
        with pytest.raises(InputError, match=r"accepted are 0 to 99"):
            touch()
    with pytest.raises(InputError, match=r"accepted are 0 to 99"):
        vm.host_store(gfns[-1], STAMP)
    assert vm.events()["stores"] == 0


def test_vm_refuses_a_host_store_in_no_slot():
    vm, _ = build("null", NPAGES, guest_pages=200)
    with pytest.raises(InputError, match="gfn 150 is in no memory slot"):
        vm.host_store(150, STAMP)


@pytest.mark.parametrize("options", [{"vcpu": 2}, {"vcpu": -1}, {"vcpu": 1, "vcpus": 2}])
def test_vm_refuses_vcpus_it_does_not_have(options):
    vm, _ = build("null", NPAGES, vcpus=2)
    with pytest.raises(InputError, match="accepted are 0 to 1"):
        vm.store([0], STAMP, **options)
    with pytest.raises(InputError, match="accepted are 0 to 1"):
        vm.load([0], **options)
    if "vcpus" not in options:
        with pytest.raises(InputError, match="accepted are 0 to 1"):
            vm.hypercall(h_read, 0, 0, **options)


@pytest.mark.parametrize("view", [-1, 4])
def test_vm_refuses_views_it_does_not_have(view):
    vm, _ = build("null", NPAGES)
    for touch in (vm.load, lambda *args, **view: vm.store(*args, STAMP, **view)):
        with pytest.raises(InputError, match="accepted are 0 to 3"):
            touch([0], view=view)
    with pytest.raises(InputError, match="accepted are 0 to 3"):
        vm.populate(0, view=view)


def test_vm_refuses_large_pages_in_a_slot_that_is_not_aligned():
    vm, _ = build("null", NPAGES)
    with pytest.raises(InputError, match="cannot be mapped at view 2: not aligned"):
        vm.populate(0, view=2)


def test_vm_stores_nothing_to_no_pages():
    vm, _ = build("null", NPAGES)
    assert vm.store([], STAMP) == vm.load([]) == 0


@pytest.mark.parametrize(
    ("guest_bytes", "order"),
    [(1, 18), (1 << 25, 18), (1 << 30, 23), ((1 << 30) + 4096, 24), (1 << 36, 29), (1 << 44, 36)],
)
def test_hpt_is_1_128th_of_memory(guest_bytes, order):
    assert default_hpt_order(guest_bytes) == order


def test_population_reports_progress():
    vm, _ = build("null", NPAGES, populated=False)
    seen = []
    vm.populate(0, progress=seen.append)
    assert sum(seen) == NPAGES
