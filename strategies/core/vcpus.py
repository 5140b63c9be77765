"""vCPUs on real threads: kernels release the GIL, so guests store while the host harvests.

And which of them run: with `delayed_c` a harvest asks, as Book3S HV asks `vcpus_running`.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from strategies.core import atomics
from strategies.core.jit import kernel
from strategies.core.machine import VCPU_RUNNING, VCPU_WORDS
from strategies.core.words import ONE, ZERO


@kernel
def enter_guest(machine, vcpu):
    """Say that a thread runs its vCPUs, of which `vcpu` is the first."""
    atomics.store(machine.vcpus, vcpu * VCPU_WORDS + VCPU_RUNNING, ONE)


@kernel
def leave_guest(machine, vcpu):
    """Say that the thread has stopped its vCPUs."""
    atomics.store(machine.vcpus, vcpu * VCPU_WORDS + VCPU_RUNNING, ZERO)


@kernel
def vcpus_running(machine):
    """Say whether any thread runs vCPUs (`vcpus_running`)."""
    for vcpu in range(machine.nvcpus):
        if atomics.load(machine.vcpus, vcpu * VCPU_WORDS + VCPU_RUNNING):
            return True
    return False


def storing_threads(vcpus):
    """Return on how many threads to run vCPUs: one core is left to the harvest.

    An announced access that loses its CPU makes every tlbie wait for a scheduler's slice, so more
    threads than cores would measure the scheduler.
    """
    return max(1, min(vcpus, (os.cpu_count() or 1) - 1))


class VcpuThreads:
    """All vCPUs of a machine, running on threads; each thread runs its vCPUs in turn.

    Parameters
    ----------
    vm : Vm
    run : callable
        `run(first_vcpu, count)` runs `count` vCPUs from `first_vcpu` on, in a kernel.
    threads : int, optional
        By default as many as `storing_threads` says.
    """

    def __init__(self, vm, run, threads=None):
        threads = threads or storing_threads(vm.vcpus)
        bounds = [vm.vcpus * number // threads for number in range(threads + 1)]
        self._machine = vm.machine
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vcpus")
        self._runs = [
            self._pool.submit(self._run, run, first, end - first) for first, end in pairwise(bounds)
        ]

    def _run(self, run, first, count):
        enter_guest(self._machine, first)
        try:
            return run(first, count)
        finally:
            leave_guest(self._machine, first)

    def running(self):
        """Say whether any vCPU still runs."""
        return not all(run.done() for run in self._runs)

    def join(self):
        """Wait until all vCPUs have stopped; return what each thread's `run` returned."""
        self._pool.shutdown()
        return [run.result() for run in self._runs]
