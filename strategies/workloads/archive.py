"""Reading and writing npz archives that may be damaged, hostile or interrupted."""

import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from strategies.errors import InputError
from strategies.files import completed

MAX_TRACE_BYTES = 4 << 30
ALWAYS_ACCEPTED_BYTES = 128 << 20
MAX_GROWTH = 4  # beyond; a file of so many bytes is read and checked within 500 MB
MAX_TEXT_BYTES = 1 << 20
MAX_DIRECTORY_BYTES = 1 << 20
END_OF_DIRECTORY, WIDE_END_OF_DIRECTORY = b"PK\x05\x06", b"PK\x06\x07"
CHUNK_BYTES = 1 << 20


def read_arrays(
    file: BinaryIO,
    required: Mapping[str, DTypeLike | None],
    optional: Mapping[str, DTypeLike | None],
) -> dict[str, np.ndarray]:
    """Read named arrays from an npz archive; other members are ignored.

    All headers are read, and the memory that they ask for is judged, before any content is.

    Parameters
    ----------
    file : binary file, seekable
    required, optional : mapping of str to dtype or None
        The arrays by name; an optional one may be absent. Integers are cast to the dtype, chunk
        by chunk, where nothing is lost; None: a text.

    Returns
    -------
    dict of str to ndarray
        Writable, in native byte order. What holds no integers keeps the archive's dtype.

    Raises
    ------
    InputError
        If the archive is unreadable, damaged, asks for more memory than its size allows
        (`budget_bytes`), lacks a required array, or holds Python objects (nothing is ever
        unpickled).
    """
    try:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.filelist}
            wanted = dict(required) | {name: optional[name] for name in optional if name in members}
            headers = {
                name: _read_header(archive, members, name, dtype) for name, dtype in wanted.items()
            }
            _check_budget(sum(header.nbytes for header in headers.values()), file)
            return {name: _read_member(archive, header) for name, header in headers.items()}
    except (InputError, MemoryError):
        raise
    # A damaged archive makes zipfile, zlib and numpy raise a dozen unrelated types.
    except Exception as error:
        raise InputError(
            f"unreadable or damaged ({short(str(error))}); accepted: an npz archive with the "
            f"arrays {', '.join(required)}"
        ) from error


def budget_bytes(file_bytes: int) -> int:
    """Return how many bytes of arrays an archive of this size may hold."""
    return min(max(MAX_GROWTH * file_bytes, ALWAYS_ACCEPTED_BYTES), MAX_TRACE_BYTES)


def _check_directory(file: BinaryIO) -> None:
    """Raise InputError unless the archive ends as numpy's do, after a directory of few members.

    zipfile would read any number of them.
    """
    file.seek(max(file.seek(0, os.SEEK_END) - 42, 0))
    tail = file.read()
    end = tail[-22:]  # without a comment
    if tail.startswith(WIDE_END_OF_DIRECTORY) or not end.startswith(END_OF_DIRECTORY):
        raise InputError(
            "unreadable or damaged (its end); accepted: an npz archive, as `dirtylog import` "
            "makes of other data"
        )
    nbytes = int.from_bytes(end[12:16], "little")
    if nbytes > MAX_DIRECTORY_BYTES:
        raise InputError(f"a directory of {nbytes} bytes; accepted: at most {MAX_DIRECTORY_BYTES}")


@dataclass(frozen=True)
class _Header:
    """What an array's header says, and the dtype in which the array will lie in memory."""

    name: str
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    stored: np.dtype
    dtype: np.dtype
    start: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.count * max(self.stored.itemsize, self.dtype.itemsize)


def _read_header(
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    name: str,
    wanted: DTypeLike | None,
) -> _Header:
    """Read what an array's header says; it must agree with the archive's directory."""
    if name not in members:
        raise InputError(f"lacks the array {name!r}; accepted: a trace, which has it")
    if members[name].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"array {name!r} is compressed as numpy never does; accepted: deflate")
    with archive.open(members[name]) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise InputError(f"array {name!r} has npy format {version}; accepted: (1, 0)")
        shape, _, stored = np.lib.format.read_array_header_1_0(stream)
        start = stream.tell()
    if stored.hasobject:
        raise InputError(f"array {name!r} holds Python objects; accepted: plain numbers, text")
    if not stored.itemsize:  # numpy would divide by it
        raise InputError(f"array {name!r} is of empty elements; accepted: plain numbers, text")
    if math.prod(shape) * stored.itemsize != members[name].file_size - start:
        raise InputError(f"array {name!r} is not as long as its shape {short(shape)} says")
    if wanted is None and members[name].file_size > MAX_TEXT_BYTES:
        raise InputError(f"{name} is too long; accepted: a text of at most {MAX_TEXT_BYTES} bytes")
    native = stored.newbyteorder("=")
    dtype = np.dtype(wanted) if wanted is not None and stored.kind in "iu" else native
    return _Header(name, members[name], shape, stored, dtype, start)


def _check_budget(nbytes: int, file: BinaryIO) -> None:
    """Raise InputError if the arrays would take more memory than the file's size allows."""
    accepted = budget_bytes(file.seek(0, os.SEEK_END))
    if nbytes > accepted:
        raise InputError(
            f"{nbytes} bytes once read; accepted: at most {accepted} bytes from a file of this "
            f"size ({MAX_GROWTH} times it, but {ALWAYS_ACCEPTED_BYTES} to {MAX_TRACE_BYTES} bytes; "
            "np.savez does not compress)"
        )


def _read_member(archive: zipfile.ZipFile, header: _Header) -> np.ndarray:
    """Read and cast one array, chunk by chunk."""
    array = np.empty(header.count, header.dtype)
    step = max(CHUNK_BYTES // header.stored.itemsize, 1)
    with archive.open(header.member) as stream:
        stream.read(header.start)
        for first in range(0, header.count, step):
            part = array[first : first + step]
            # The directory may lie in either direction: read() stops at its size.
            data = stream.read(part.size * header.stored.itemsize)
            if len(data) != part.size * header.stored.itemsize:
                raise InputError(f"array {header.name!r} is truncated")
            _cast(header.name, np.frombuffer(data, header.stored), part)
        stream.read(1)  # the checksum is looked at where the member ends
    return array.reshape(header.shape)


def _cast(name: str, chunk: np.ndarray, into: np.ndarray) -> None:
    """Copy a chunk; integers that do not fit are refused."""
    into[:] = chunk.astype(into.dtype)
    if into.dtype != chunk.dtype and chunk.dtype.kind in "iu":
        lost = into != chunk
        if lost.any():
            raise InputError(f"{name} must fit into {into.dtype}, but {chunk[lost][0]} does not")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz archive completely or not at all, compressed unless it would then be refused.

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
    with completed(path) as temporary:
        if path.exists() and not path.is_file():
            raise InputError(f"cannot write {str(path)!r}; accepted: a new or a regular file")
        with temporary.open("xb") as file:
            np.savez_compressed(file, **arrays)
            if sum(array.nbytes for array in arrays.values()) > budget_bytes(file.tell()):
                file.truncate(0)
                file.seek(0)
                np.savez(file, **arrays)
