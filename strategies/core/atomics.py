"""The only way to a word that two threads can touch.

`load` acquires, `store` releases; `compare_and_swap`, `exchange`, `fetch_or`, `fetch_and` and
`fetch_add` are sequentially consistent and return the old value; `relax` stands in every spin loop.
`load_own` and `store_own` are plain, for words that only the calling thread touches; `prefetch`
is a hint.

All take `(words, index, ...)`. In compiled code `words` is the address of an array of uint64 (see
`address_of`): numba would count references to an array at every call, with locked instructions.
Indices are not checked there. With the JIT disabled (`NUMBA_DISABLE_JIT=1`) the same names are
plain Python on the array itself, and each operation that others can see calls `hook(operation,
words, index)` first, where a scheduler can switch threads.

numba has no atomics for CPUs (numba#2988), so each is a few lines of LLVM.
"""

import os
import platform
import threading

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

WORD = ir.IntType(64)
WORD_BYTES = 8

SPINS_BEFORE_YIELD = 1024
"""A waiter gives its CPU away now and then: who it waits for may have lost his."""


def address_of(array):
    """Return what kernels take for an array of uint64: its address, or itself without the JIT.

    The caller keeps the array alive.
    """
    return array if config.DISABLE_JIT else array.ctypes.data


def _no_hook(operation, words, index):
    """Do nothing: what runs before each operation unless a scheduler is installed."""


hook = _no_hook


def _interpreted():
    """Return the plain Python operations, each one atomic under a global lock."""
    lock = threading.Lock()

    def read_modify_write(name, change):
        def run(words, index, *operands):
            hook(name, words, index)
            with lock:
                old = words[index]
                words[index] = change(old, *operands)
            return old

        run.__name__ = name
        return run

    def load(words, index):
        hook("load", words, index)
        return words[index]

    def load_own(words, index):
        return words[index]

    def store(words, index, value):
        hook("store", words, index)
        with lock:
            words[index] = value

    def store_own(words, index, value):
        words[index] = value

    def prefetch(words, index):
        pass

    def relax(spins):
        hook("relax", None, spins)
        os.sched_yield()
        return spins + 1

    changes = {
        "compare_and_swap": lambda old, expected, new: new if old == expected else old,
        "exchange": lambda _old, new: new,
        "fetch_or": np.bitwise_or,
        "fetch_and": np.bitwise_and,
        "fetch_add": np.add,
    }
    atomic = (read_modify_write(name, change) for name, change in changes.items())
    return load, load_own, store, store_own, prefetch, relax, *atomic


def _pointer(context, builder, signature, args):
    """Return an LLVM pointer to the word that the first two arguments, address and index, name."""
    index = context.cast(builder, args[1], signature.args[1], types.intp)
    return builder.gep(builder.inttoptr(args[0], WORD.as_pointer()), [index])


def _reader(emit):
    """Return an intrinsic `(words, index) -> word`; `emit(builder, pointer)` gives the value."""

    @intrinsic
    def read(_typing, words, index):
        def codegen(context, builder, signature, args):
            return emit(builder, _pointer(context, builder, signature, args))

        return types.uint64(words, index), codegen

    return read


def _writer(result, emit):
    """Return an intrinsic `(words, index, value)`; `emit(builder, pointer, value)` writes it."""

    @intrinsic
    def write(_typing, words, index, _value):
        def codegen(context, builder, signature, args):
            old = emit(builder, _pointer(context, builder, signature, args), args[2])
            return context.get_dummy_value() if result == types.void else old

        return result(words, index, types.uint64), codegen

    return write


def _read_modify_write(operation):
    """Return an intrinsic `(words, index, value) -> old word` for an LLVM atomicrmw."""
    return _writer(
        types.uint64,
        lambda builder, pointer, value: builder.atomic_rmw(operation, pointer, value, "seq_cst"),
    )


@intrinsic
def _compare_and_swap(_typing, words, index, _expected, _new):
    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature, args)
        result = builder.cmpxchg(pointer, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(result, 0)

    return types.uint64(words, index, types.uint64, types.uint64), codegen


@intrinsic
def _prefetch(_typing, words, index):
    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature, args)
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(hint, [pointer, i32(1), i32(3), i32(1)])  # to write, keep close, data
        return context.get_dummy_value()

    return types.void(words, index), codegen


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
        spun = builder.add(args[0], WORD(1))
        last = builder.urem(spun, WORD(SPINS_BEFORE_YIELD))
        with builder.if_then(cgutils.is_null(builder, last), likely=False):
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return spun

    return types.int64(types.int64), codegen


if config.DISABLE_JIT:
    (
        load,
        load_own,
        store,
        store_own,
        prefetch,
        relax,
        compare_and_swap,
        exchange,
        fetch_or,
        fetch_and,
        fetch_add,
    ) = _interpreted()
else:
    load = _reader(lambda builder, pointer: builder.load_atomic(pointer, "acquire", WORD_BYTES))
    load_own = _reader(lambda builder, pointer: builder.load(pointer))
    store = _writer(
        types.void,
        lambda builder, pointer, value: builder.store_atomic(value, pointer, "release", WORD_BYTES),
    )
    store_own = _writer(types.void, lambda builder, pointer, value: builder.store(value, pointer))
    prefetch = _prefetch
    relax = _relax
    compare_and_swap = _compare_and_swap
    exchange = _read_modify_write("xchg")
    fetch_or = _read_modify_write("or")
    fetch_and = _read_modify_write("and")
    fetch_add = _read_modify_write("add")
