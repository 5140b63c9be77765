"""Files that are written completely or not at all, whoever else writes them at the same time."""

import errno
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path

from strategies.errors import InputError

DIGITS = "%.6g"
"""Of the numbers in tables."""


def temporary_of(path: Path) -> Path:
    """Return where this process writes a file until it is complete: beside it, hidden.

    Raises
    ------
    IsADirectoryError
        The path has no name, as that of the current folder.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def replaced(path: Path):
    """Give the path of a file to write, which becomes `path` once it is complete.

    What processes left of it that were killed while they wrote it goes.

    Raises
    ------
    OSError
        It cannot be written; `path` is as it was before.
    """
    temporary = temporary_of(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        _remove_leavings(path)


@contextmanager
def completed(path: Path):
    """Give a path as `replaced` does; what goes wrong is an InputError, of one line."""
    try:
        with replaced(path) as temporary:
            yield temporary
    except OSError as error:
        raise InputError(
            f"cannot write {str(path)!r} ({error.strerror or error}); "
            "accepted: a file in a folder that exists, is writable and has room"
        ) from error


def write_table(frame, path: Path):
    """Write a DataFrame as CSV, numbers to six digits, completely or not at all (`completed`)."""
    with completed(path) as temporary:
        frame.to_csv(temporary, index=False, float_format=DIGITS)


def _remove_leavings(path):
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.tmp")
    with suppress(OSError):  # tidying is no reason to fail
        for beside in path.parent.iterdir():
            found = name.fullmatch(beside.name)
            if found and not _runs(int(found[1])):
                beside.unlink()


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def output_folder(out, names):
    """Have a folder where files can be written, before work is done; take it back if that fails."""
    new = []
    try:
        try:
            new = [folder for folder in (out, *out.parents) if not folder.exists()]
            out.mkdir(parents=True, exist_ok=True)
            for name in names:
                _try_to_write(out / name)
        except OSError as error:
            raise InputError(
                f"cannot write to {str(out)!r} ({error.strerror}): accepted is a folder, new or old"
            ) from error
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):  # not empty: earlier results stay
                folder.rmdir()
        raise


def _try_to_write(path):
    """Raise OSError, or InputError for a folder, if `completed` could not write there."""
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder: accepted is a file, new or old")
    try:
        temporary_of(path).touch()
    finally:
        temporary_of(path).unlink(missing_ok=True)
