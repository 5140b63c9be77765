"""The ring of HPTEs of a page, against a Python list; and what an rmap word keeps."""

import numpy as np
import pytest

from strategies.core.atomics import address_of
from strategies.core.rmap import (
    add_to_ring,
    remove_from_ring,
    ring_head,
    ring_next,
    save_rc,
)
from strategies.core.words import U64

PRESENT, CHANGED, REFERENCED = 1 << 32, 1 << 39, 1 << 40
C, R = 0x80, 0x100
HPTES = 12


def ring(rev, word):
    """The indices along a ring, checked backwards, too."""
    if not int(word) & PRESENT:
        return []
    indices = [ring_head(word)]
    while (following := ring_next(address_of(rev), indices[-1])) != indices[0]:
        indices.append(following)
    back = [int(rev[2 * index + 1]) >> 32 for index in indices]
    assert back == indices[-1:] + indices[:-1]
    return indices


@pytest.mark.parametrize("kept", [0, CHANGED, CHANGED | REFERENCED | 12 << 48])
def test_ring_is_a_list(kept):
    rng = np.random.default_rng(kept % 97)
    rev = np.zeros(2 * HPTES, np.uint64)
    rev[::2] = range(100, 100 + HPTES)
    word, expected = U64(kept), []
    for _ in range(400):
        index = int(rng.integers(HPTES))
        if index not in expected:
            word = add_to_ring(address_of(rev), U64(word), index)
            expected.append(index)
        else:
            word = remove_from_ring(address_of(rev), U64(word), index)
            expected.remove(index)  # when the head goes, the next one is the head
        assert ring(rev, U64(word)) == expected
        assert int(word) & ~0xFFFFFFFF == kept | (PRESENT if expected else 0)
    assert rev[::2].tolist() == list(range(100, 100 + HPTES))


def test_last_hpte_leaves_no_index():
    rev = np.zeros(2 * HPTES, np.uint64)
    word = add_to_ring(address_of(rev), U64(CHANGED), 5)
    assert word == CHANGED | PRESENT | 5
    assert remove_from_ring(address_of(rev), U64(word), 5) == CHANGED


@pytest.mark.parametrize(
    ("word", "r", "order", "expected"),
    [
        (0, 0, 0, 0),
        (PRESENT | 7, R, 0, PRESENT | 7 | REFERENCED),
        (PRESENT | 7, C, 0, PRESENT | 7 | CHANGED),
        (0, R | C, 12, REFERENCED | CHANGED | 12 << 48),
        (0, R, 12, REFERENCED),
        (CHANGED | 12 << 48, C, 0, CHANGED | 12 << 48),
        (CHANGED | 8 << 48, C, 12, CHANGED | 12 << 48),
        (CHANGED, 0, 0, CHANGED),
    ],
)
def test_r_and_c_are_saved_with_the_largest_order(word, r, order, expected):
    assert save_rc(U64(word), U64(r), order) == expected
