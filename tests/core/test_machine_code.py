"""What the compiler makes of the operations that keep stores from getting lost.

Announcing an access and clearing a TLB entry are two halves of a Dekker pair: each must be a full
barrier in machine code, which no test that merely runs can be sure of.
"""

import platform
import re

import numba
import pytest

from strategies.core import tlb
from strategies.core.machine import Machine

LOCKED = {
    "x86_64": r"\b(xchg\w*|lock\s*;?\s*\w+)\b.*[(\[]",  # an xchg with memory is locked by itself
    "aarch64": r"\b(ldaxr|stlxr|(swp|cas|ldadd)al)\b",
}
BARRIERS = re.compile(LOCKED.get(platform.machine(), "$^"))

MACHINE = numba.typeof(Machine(*[1] * len(Machine._fields)))
I64, WORD = numba.int64, numba.uint64

pytestmark = [
    pytest.mark.skipif(
        platform.machine() not in LOCKED, reason=f"{platform.machine()}: instructions not known"
    ),
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled"),
]


def announce(machine, vcpu):
    return tlb.announce_access(machine, vcpu)


def withdraw(machine, vcpu, sequence):
    tlb.withdraw_access(machine, vcpu, sequence)


def look_at_accesses(machine, word):
    return tlb.wait_until_left(machine.vcpus, word)


def clear_tlbs(machine, v, r, index):
    tlb.tlbie(machine, machine.nvcpus, v, r, index)


def kill_generation(machine):
    tlb.flush_tlbs(machine, machine.nvcpus)


def barriers(function, *arguments):
    """The barriers in the machine code of a function, as text, in the order of the code."""
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    compiled.compile((MACHINE, *arguments))
    (code,) = compiled.inspect_asm().values()
    body = code.partition("cpython")[0]  # before the wrapper that Python calls
    return BARRIERS.findall(body)


def is_on_x86():
    return platform.machine() == "x86_64"


def test_announcing_an_access_is_an_exchange():
    found = barriers(announce, I64)
    assert found
    assert not is_on_x86() or found == ["xchgq"]


def test_clearing_a_tlb_entry_is_a_locked_compare_and_swap():
    found = barriers(clear_tlbs, WORD, WORD, I64)
    assert found
    assert not is_on_x86() or any("cmpxchg" in each for each in found)


def test_a_new_tlb_generation_is_a_locked_addition():
    assert barriers(kill_generation)


def test_looking_at_an_access_is_a_locked_read():
    assert barriers(look_at_accesses, I64)


def test_withdrawing_an_access_is_a_plain_store():
    """So the search above tells one from the other."""
    assert barriers(withdraw, I64, WORD) == [] or not is_on_x86()
