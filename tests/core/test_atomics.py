"""Each atomic operation in compiled code, alone and under two threads."""

import threading

import numpy as np
import pytest

from strategies.core import atomics
from strategies.core.atomics import address_of
from strategies.core.jit import kernel
from strategies.core.words import I64, ONE, U64, ctz

FULL = (1 << 64) - 1
TURNS = 200_000
THREADS = 2


@kernel
def run_load(words, index):
    return atomics.load(words, index), atomics.load_own(words, index)


@kernel
def run_store(words, index, value):
    atomics.prefetch(words, index)
    atomics.store(words, index, value)
    atomics.store_own(words, index + 1, value)


@kernel
def run_compare_and_swap(words, index, expected, new):
    return atomics.compare_and_swap(words, index, expected, new)


@kernel
def run_exchange(words, index, value):
    return atomics.exchange(words, index, value)


@kernel
def run_or(words, index, value):
    return atomics.fetch_or(words, index, value)


@kernel
def run_and(words, index, value):
    return atomics.fetch_and(words, index, value)


@kernel
def run_add(words, index, value):
    return atomics.fetch_add(words, index, value)


@kernel
def run_relax(times):
    spins = I64(0)
    for _ in range(times):
        spins = atomics.relax(spins)
    return spins


@kernel
def run_ctz(word):
    return ctz(word)


@pytest.mark.parametrize("value", [0, 1, 1 << 63, FULL])
def test_load_and_store(value):
    words = np.arange(5, dtype=np.uint64)
    run_store(address_of(words), 2, U64(value))
    assert words.tolist() == [0, 1, value, value, 4]
    assert run_load(address_of(words), 2) == (value, value)


@pytest.mark.parametrize(("expected", "after"), [(7, 9), (8, 7)])
def test_compare_and_swap(expected, after):
    words = np.array([1, 7, 3], np.uint64)
    assert run_compare_and_swap(address_of(words), 1, U64(expected), U64(9)) == 7
    assert words.tolist() == [1, after, 3]


@pytest.mark.parametrize(
    ("run", "operand", "after"),
    [
        (run_exchange, 0x0F, 0x0F),
        (run_or, 0x0F, 0x3F),
        (run_and, 0x0F, 0x0C),
        (run_add, 0x0F, 0x3C + 0x0F),
        (run_add, FULL, 0x3C - 1),
        (run_or, 1 << 63, 1 << 63 | 0x3C),
    ],
)
def test_read_modify_write_returns_the_old_word(run, operand, after):
    words = np.array([1, 0x3C, 2], np.uint64)
    assert run(address_of(words), 1, U64(operand)) == 0x3C
    assert words.tolist() == [1, after, 2]


def test_relax_counts_spins():
    assert run_relax(3 * atomics.SPINS_BEFORE_YIELD) == 3 * atomics.SPINS_BEFORE_YIELD


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 63])
def test_ctz(bit):
    assert run_ctz(U64(FULL << bit & FULL)) == bit


@kernel
def add_many(words, turns):
    for _ in range(turns):
        atomics.fetch_add(words, 0, ONE)


@kernel
def swap_many(words, turns):
    for _ in range(turns):
        old = atomics.load(words, 1)
        while atomics.compare_and_swap(words, 1, old, old + ONE) != old:
            old = atomics.load(words, 1)


@kernel
def toggle_many(words, turns, bit):
    """Set and clear one bit; return how often it was not as this thread had left it."""
    wrong = 0
    for _ in range(turns):
        wrong += (atomics.fetch_or(words, 2, bit) & bit) != U64(0)
        wrong += (atomics.fetch_and(words, 2, ~bit) & bit) == U64(0)
    return wrong


@kernel
def pass_many(words, turns, token):
    """Exchange one's token for what lies there; return what is left in the hand."""
    for _ in range(turns):
        token = atomics.exchange(words, 3, token)
    return token


@kernel
def lock_many(words, turns):
    """A plain counter under a lock made of the operations."""
    for _ in range(turns):
        spins = I64(0)
        while atomics.compare_and_swap(words, 4, U64(0), ONE) != U64(0):
            spins = atomics.relax(spins)
        atomics.store_own(words, 5, atomics.load_own(words, 5) + ONE)
        atomics.store(words, 4, U64(0))


def run_threads(run, arguments):
    """Run a kernel in two threads at once; return their results."""
    results = [None] * THREADS
    barrier = threading.Barrier(THREADS)

    def body(number):
        barrier.wait()
        results[number] = run(*arguments[number])

    threads = [threading.Thread(target=body, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize(
    ("run", "counter"), [(add_many, 0), (swap_many, 1), (lock_many, 5)], ids=["add", "cas", "lock"]
)
def test_two_threads_count_exactly(run, counter):
    words = np.zeros(8, np.uint64)
    run(address_of(words), 1)
    run_threads(run, [(address_of(words), TURNS)] * THREADS)
    assert words[counter] == THREADS * TURNS + 1


def test_two_threads_keep_each_its_bit():
    words = np.zeros(8, np.uint64)
    toggle_many(address_of(words), 1, U64(4))
    arguments = [(address_of(words), TURNS, U64(bit)) for bit in (1, 2)]
    assert run_threads(toggle_many, arguments) == [0, 0]
    assert words[2] == 0


def test_two_threads_exchange_tokens_and_lose_none():
    words = np.zeros(8, np.uint64)
    words[3] = 100
    pass_many(address_of(words), 0, U64(1))
    arguments = [(address_of(words), TURNS, U64(token)) for token in (101, 102)]
    held = run_threads(pass_many, arguments)
    assert {*map(int, held), int(words[3])} == {100, 101, 102}
