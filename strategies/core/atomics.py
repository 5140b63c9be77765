"""The only way to a word that two threads can touch.

`load` acquires, `store` releases; `compare_and_swap`, `exchange`, `fetch_or`, `fetch_and` and
`fetch_add` are sequentially consistent and return the old value; `relax` stands in every spin loop.
Arrays are one-dimensional, uint64 or uint32. Indices are not checked in compiled code.

numba has no atomics for CPUs (numba#2988), so each is a few lines of LLVM. With the JIT disabled
(`NUMBA_DISABLE_JIT=1`) the same names are plain Python: each calls `hook(operation, array, index)`
first, where a scheduler can switch threads.
"""

import os
import platform
import threading

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

SPINS_BEFORE_YIELD = 1024
"""A waiter gives its CPU away now and then: who it waits for may have lost his."""


def _no_hook(operation, array, index):
    """Do nothing: what runs before each operation unless a scheduler is installed."""


hook = _no_hook


def _interpreted():
    """Return the plain Python operations, each one atomic under a global lock."""
    lock = threading.Lock()

    def operation(name, change):
        def run(array, index, *operands):
            hook(name, array, index)
            with lock:
                old = array[index]
                array[index] = change(old, *(array.dtype.type(value) for value in operands))
            return old

        run.__name__ = name
        return run

    def load(array, index):
        hook("load", array, index)
        return array[index]

    def store(array, index, value):
        hook("store", array, index)
        with lock:
            array[index] = value

    def relax(spins):
        hook("relax", None, spins)
        os.sched_yield()
        return spins + 1

    def swap(old, expected, new):
        return new if old == expected else old

    changes = {
        "compare_and_swap": swap,
        "exchange": lambda _old, new: new,
        "fetch_or": np.bitwise_or,
        "fetch_and": np.bitwise_and,
        "fetch_add": np.add,
    }
    return load, store, relax, *(operation(name, change) for name, change in changes.items())


def _address(context, builder, signature, args):
    """Return a pointer to the element that the first two arguments name, and its alignment."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    index = context.cast(builder, args[1], signature.args[1], types.intp)
    return builder.gep(array.data, [index]), signature.args[0].dtype.bitwidth // 8


def _read_modify_write(operation):
    """Return an intrinsic `(array, index, operand) -> old value` for an LLVM atomicrmw."""

    @intrinsic
    def run(_typing, array, index, _operand):
        def codegen(context, builder, signature, args):
            pointer, _ = _address(context, builder, signature, args)
            return builder.atomic_rmw(operation, pointer, args[2], "seq_cst")

        return array.dtype(array, index, array.dtype), codegen

    return run


@intrinsic
def _load(_typing, array, index):
    def codegen(context, builder, signature, args):
        pointer, size = _address(context, builder, signature, args)
        return builder.load_atomic(pointer, "acquire", size)

    return array.dtype(array, index), codegen


@intrinsic
def _store(_typing, array, index, _value):
    def codegen(context, builder, signature, args):
        pointer, size = _address(context, builder, signature, args)
        builder.store_atomic(args[2], pointer, "release", size)
        return context.get_dummy_value()

    return types.void(array, index, array.dtype), codegen


@intrinsic
def _compare_and_swap(_typing, array, index, _expected, _new):
    def codegen(context, builder, signature, args):
        pointer, _ = _address(context, builder, signature, args)
        result = builder.cmpxchg(pointer, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(result, 0)

    return array.dtype(array, index, array.dtype, array.dtype), codegen


def _pause(builder):
    """Emit the processor's hint that this is a spin loop, where LLVM has one."""
    if platform.machine() in ("x86_64", "AMD64"):
        hint, operands = "llvm.x86.sse2.pause", []
    elif platform.machine() in ("aarch64", "arm64"):
        hint, operands = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
    else:
        return
    kind = ir.FunctionType(ir.VoidType(), [operand.type for operand in operands])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, hint), operands)


@intrinsic
def _relax(_typing, spins):
    def codegen(context, builder, _signature, args):
        _pause(builder)
        spun = builder.add(args[0], ir.Constant(args[0].type, 1))
        last = builder.urem(spun, ir.Constant(args[0].type, SPINS_BEFORE_YIELD))
        with builder.if_then(cgutils.is_null(builder, last), likely=False):
            yield_type = ir.FunctionType(ir.IntType(32), [])
            builder.call(
                cgutils.get_or_insert_function(builder.module, yield_type, "sched_yield"), []
            )
        return spun

    return types.int64(types.int64), codegen


if config.DISABLE_JIT:
    load, store, relax, compare_and_swap, exchange, fetch_or, fetch_and, fetch_add = _interpreted()
else:
    load = _load
    store = _store
    relax = _relax
    compare_and_swap = _compare_and_swap
    exchange = _read_modify_write("xchg")
    fetch_or = _read_modify_write("or")
    fetch_and = _read_modify_write("and")
    fetch_add = _read_modify_write("add")
