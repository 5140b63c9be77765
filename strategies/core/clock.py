"""A clock that compiled code can read: a call into numba costs more than a clean VGA harvest."""

import time

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

if config.DISABLE_JIT:
    monotonic_ns = time.monotonic_ns
else:

    @intrinsic
    def monotonic_ns(_typing):
        """Return nanoseconds of CLOCK_MONOTONIC (int64)."""

        def codegen(_context, builder, _signature, _args):
            i32, i64 = ir.IntType(32), ir.IntType(64)
            timespec = cgutils.alloca_once(builder, ir.ArrayType(i64, 2))
            kind = ir.FunctionType(i32, [i32, timespec.type])
            gettime = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
            builder.call(gettime, [ir.Constant(i32, time.CLOCK_MONOTONIC), timespec])
            seconds = builder.extract_value(builder.load(timespec), 0)
            nanoseconds = builder.extract_value(builder.load(timespec), 1)
            return builder.add(builder.mul(seconds, ir.Constant(i64, 10**9)), nanoseconds)

        return types.int64(), codegen
