"""Reading and writing npz archives that may be damaged, hostile or interrupted."""

import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from strategies.errors import InputError

MAX_TRACE_BYTES = 4 << 30


def read_arrays(
    file: BinaryIO, required: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, np.ndarray]:
    """Read named arrays from an npz archive; other members are ignored.

    Parameters
    ----------
    file : binary file, seekable
    required, optional : names of arrays; an optional one may be absent

    Returns
    -------
    dict of str to ndarray
        Writable, in native byte order, with whatever dtype and shape the archive states.

    Raises
    ------
    InputError
        If the archive is unreadable, damaged, above MAX_TRACE_BYTES uncompressed,
        lacks a required array, or holds Python objects (nothing is ever unpickled).
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            wanted = list(required) + [name for name in optional if name in members]
            return {name: _read_member(archive, members, name) for name in wanted}
    except (InputError, MemoryError):
        raise
    # A damaged archive makes zipfile, zlib and numpy raise a dozen unrelated types.
    except Exception as error:
        raise InputError(
            f"unreadable or damaged ({error}); accepted: an npz archive with the arrays "
            f"{', '.join(required)}"
        ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by array name, once their stated sizes are known to be acceptable."""
    total_bytes = sum(member.file_size for member in archive.infolist())
    if total_bytes > MAX_TRACE_BYTES:
        raise InputError(
            f"{total_bytes} bytes uncompressed; accepted: at most {MAX_TRACE_BYTES} bytes"
        )
    return {member.filename.removesuffix(".npy"): member for member in archive.infolist()}


def _read_member(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str
) -> np.ndarray:
    """Read one array; its header must agree with the archive before anything is allocated."""
    if name not in members:
        raise InputError(f"lacks the array {name!r}; accepted: a trace, which has it")
    with archive.open(members[name]) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise InputError(f"array {name!r} has npy format {version}; accepted: (1, 0)")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.hasobject:
            raise InputError(f"array {name!r} holds Python objects; accepted: plain numbers, text")
        if not dtype.itemsize:  # numpy would divide by it
            raise InputError(f"array {name!r} is of empty elements; accepted: plain numbers, text")
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes != members[name].file_size - stream.tell():
            raise InputError(f"array {name!r} is not as long as its shape {shape} says")
        # The directory may lie in either direction: read() stops at its size and checks the CRC.
        data = stream.read(nbytes)
    if len(data) != nbytes:
        raise InputError(f"array {name!r} is truncated: {len(data)} of {nbytes} bytes")
    return np.ndarray(shape, dtype, data).astype(dtype.newbyteorder("="))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed npz archive completely or not at all.

    Parameters
    ----------
    path : Path
        Replaced if it is a regular file.
    arrays : mapping of str to ndarray

    Raises
    ------
    InputError
        If the archive cannot be written there; `path` is then as it was before.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"cannot write {str(path)!r}; accepted: a new or a regular file")
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("xb") as file:
                np.savez_compressed(file, **arrays)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {str(path)!r} ({error.strerror or error}); "
            "accepted: a file in a folder that exists, is writable and has room"
        ) from error
