"""Sections in which pages are marked, and how a harvest waits for who is inside (SRCU of KVM)."""

from strategies.core import atomics
from strategies.core.events import GRACE_WAITS, count
from strategies.core.jit import inlined
from strategies.core.machine import VCPU_HANDLER, VCPU_WORDS
from strategies.core.tlb import wait_until_left
from strategies.core.words import ONE


@inlined
def enter_handler(machine, cpu):
    """Enter the section in which a row of `vcpus` may mark pages (srcu_read_lock)."""
    atomics.fetch_add(machine.vcpus, cpu * VCPU_WORDS + VCPU_HANDLER, ONE)


@inlined
def leave_handler(machine, cpu):
    """Leave the section that `enter_handler` entered."""
    atomics.fetch_add(machine.vcpus, cpu * VCPU_WORDS + VCPU_HANDLER, ONE)


@inlined
def wait_for_handlers(machine):
    """Wait out a grace period: who is inside a handler section now has left (synchronize_srcu)."""
    for cpu in range(machine.nvcpus + 1):
        if wait_until_left(machine.vcpus, cpu * VCPU_WORDS + VCPU_HANDLER):
            count(machine, machine.nvcpus, GRACE_WAITS, 1)
