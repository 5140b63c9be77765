"""64-bit words and indices, typed once.

Words (HPTE dwords, rmap words, bitmap words) are `U64`, indices and counts `I64`. The two are
never mixed in one expression: numba would make a float of uint64 with int64. `ctz` and `popcount`
are here since numba offers neither for scalars.
"""

import numpy as np
from numba import config, types
from numba.extending import intrinsic

U64 = np.uint64
I64 = np.int64

ZERO = U64(0)
ONE = U64(1)


def bit(n):
    """Return the word with only bit `n` set (bit 0 is the least significant)."""
    return U64(1 << n)


if config.DISABLE_JIT:

    def ctz(word):
        """Return the number of trailing zero bits of a word that is not zero."""
        word = int(word)
        return I64((word & -word).bit_length() - 1)

    def popcount(word):
        """Return the number of one bits of a word."""
        return I64(int(word).bit_count())

else:

    @intrinsic
    def ctz(_typing, _word):
        """Return the number of trailing zero bits of a word that is not zero."""

        def codegen(context, builder, _signature, args):
            not_zero = context.get_constant(types.boolean, True)
            return builder.cttz(args[0], not_zero)

        return types.int64(types.uint64), codegen

    @intrinsic
    def popcount(_typing, _word):
        """Return the number of one bits of a word."""

        def codegen(_context, builder, _signature, args):
            return builder.ctpop(args[0])

        return types.int64(types.uint64), codegen
