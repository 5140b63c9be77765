"""Read the HPT and the rmap in the order of memory: what is dirty is found without a page's name.

Blocks of 128 bytes are looked at 64 together: a group of 8 HPTEs is one, 16 rmap words are one.
"""

from numba import config

from strategies.core import atomics
from strategies.core.hpte import HPTES_PER_GROUP
from strategies.core.jit import inlined
from strategies.core.words import ONE, U64, ZERO

BLOCKS_PER_CHUNK = 64
BLOCK_WORDS = 16
GROUP_WORDS = 2 * HPTES_PER_GROUP


@inlined
def any_of(words, first, step, bits):
    """Say whether any bit of `bits` is set in words `first`, `first + step` ... of a block."""
    found = ZERO
    for word in range(first, first - first % BLOCK_WORDS + BLOCK_WORDS, step):
        found |= atomics.load(words, word)
    return found & bits != ZERO


if config.DISABLE_JIT:

    def _blocks(words, chunk):
        """Return the blocks of a chunk that may hold a word that is not 0.

        The explorer's memory knows which were ever written; the others would only be steps.
        """
        blocks = range(chunk * BLOCKS_PER_CHUNK, (chunk + 1) * BLOCKS_PER_CHUNK)
        if isinstance(words, dict):
            return sorted({int(word) // BLOCK_WORDS for word in words} & set(blocks))
        part = words[blocks.start * BLOCK_WORDS : blocks.stop * BLOCK_WORDS]
        return [
            blocks.start + int(k) for k in part.reshape(-1, BLOCK_WORDS).any(axis=1).nonzero()[0]
        ]

    def blocks_with(words, chunk, offset, step, bits):
        """Return which of the 64 blocks of a chunk have a bit in a word `offset + k * step`."""
        mask = ZERO
        for block in _blocks(words, chunk):
            if any_of(words, block * BLOCK_WORDS + offset, step, bits):
                mask |= ONE << U64(block % BLOCKS_PER_CHUNK)
        return mask

else:

    @inlined
    def blocks_with(words, chunk, offset, step, bits):
        """Return which of the 64 blocks of a chunk have a bit in a word `offset + k * step`."""
        mask = ZERO
        first = chunk * BLOCKS_PER_CHUNK * BLOCK_WORDS + offset
        for k in range(BLOCKS_PER_CHUNK):
            if any_of(words, first + k * BLOCK_WORDS, step, bits):
                mask |= ONE << U64(k)
        return mask
