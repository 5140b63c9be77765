"""vCPUs on threads: who runs which, and who says so."""

import threading

import pytest
from conftest import build

from strategies.core.vcpus import VcpuThreads, enter_guest, leave_guest, vcpus_running


@pytest.mark.parametrize(
    ("threads", "shares"), [(1, [(0, 5)]), (2, [(0, 2), (2, 3)]), (5, [(k, 1) for k in range(5)])]
)
def test_threads_share_the_vcpus(threads, shares):
    vm, _ = build("null", 1, vcpus=5)
    before = set(threading.enumerate())
    ran = VcpuThreads(vm, lambda first, count: (first, count), threads).join()
    assert ran == shares
    assert set(threading.enumerate()) <= before


def test_vcpus_run_while_their_thread_does():
    vm, _ = build("null", 1, vcpus=2)
    go = threading.Event()
    guests = VcpuThreads(vm, lambda first, count: go.wait(60), 1)
    while not vcpus_running(vm.machine):
        pass
    assert guests.running()
    go.set()
    guests.join()
    assert not guests.running()
    assert not vcpus_running(vm.machine)


@pytest.mark.parametrize("vcpu", [0, 2])
def test_any_vcpu_that_runs_counts(vcpu):
    vm, _ = build("null", 1, vcpus=3)
    assert not vcpus_running(vm.machine)
    enter_guest(vm.machine, vcpu)
    assert vcpus_running(vm.machine)
    leave_guest(vm.machine, vcpu)
    assert not vcpus_running(vm.machine)
