"""System calls that compiled code makes: by the C library's functions, which numba's linker finds.

(A ctypes function pointer would do too, but numba keeps no compiled code that holds one.)
Arguments that are pointers are passed as addresses; the caller keeps what they point to alive.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I32, I64 = ir.IntType(32), ir.IntType(64)


def _call(builder, name, result, operands):
    """Call a function of the C library, and sign-extend what it returns to 64 bits."""
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    value = builder.call(function, operands)
    return builder.sext(value, I64) if result == I32 else value


@intrinsic
def ioctl(_typing, _fd, _request, _argument):
    """Return ioctl(fd, request, argument): -1 on failure, see `errno`."""

    def codegen(_context, builder, _signature, args):
        fd = builder.trunc(args[0], I32)
        return _call(builder, "ioctl", I32, [fd, args[1], args[2]])

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def read(_typing, _fd, _buffer, _nbytes):
    """Return read(fd, buffer, nbytes): -1 on failure, see `errno`."""

    def codegen(_context, builder, _signature, args):
        return _call(builder, "read", I64, [builder.trunc(args[0], I32), args[1], args[2]])

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def lock(_typing, _mutex):
    """Lock the pthread mutex (64 bytes that began as zeros) at an address; it sleeps meanwhile."""

    def codegen(_context, builder, _signature, args):
        return _call(builder, "pthread_mutex_lock", I32, [args[0]])

    return types.int64(types.int64), codegen


@intrinsic
def unlock(_typing, _mutex):
    """Unlock the pthread mutex at an address."""

    def codegen(_context, builder, _signature, args):
        return _call(builder, "pthread_mutex_unlock", I32, [args[0]])

    return types.int64(types.int64), codegen


@intrinsic
def errno(_typing):
    """Return the calling thread's errno."""

    def codegen(_context, builder, _signature, _args):
        pointer = ir.FunctionType(I32.as_pointer(), [])
        location = cgutils.get_or_insert_function(builder.module, pointer, "__errno_location")
        return builder.sext(builder.load(builder.call(location, [])), I64)

    return types.int64(), codegen
