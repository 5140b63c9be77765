"""The recorder is one C file, compiled at its first use and kept in the user's cache."""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from strategies.core.cache import cache_folder
from strategies.errors import InputError
from strategies.files import replaced

SOURCE = Path(__file__).with_name("recorder.c")


def library():
    """Return the path of the compiled recorder, compiling it if it is not in the cache.

    Raises
    ------
    InputError
        There is no C compiler, or it fails.
    """
    digest = hashlib.blake2b(SOURCE.read_bytes(), digest_size=8).hexdigest()
    folder = cache_folder(os.environ.get("DIRTYLOG_CACHE"))
    path = folder / f"recorder-{digest}.so"
    if not path.exists():
        with replaced(path) as temporary:
            _compile(temporary)
    return path


def _compile(path):
    compiler = shlex.split(os.environ.get("CC") or "cc")
    if not shutil.which(compiler[0]):
        raise InputError(
            f"no C compiler {compiler[0]!r}: the recorder is one C file, compiled at its first "
            "use; accepted: one called cc (on Debian: apt install gcc libc6-dev), or its name in CC"
        )
    command = [*compiler, "-O2", "-shared", "-fPIC", "-pthread", "-o", path, SOURCE]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        reason = (finished.stderr.strip().splitlines() or ["no message"])[0]
        raise InputError(f"the C compiler {compiler[0]!r} fails: {reason}")


def start(folder, interval_ns):
    """Start to record this process, and what it forks, into a folder; return the loaded library.

    Raises
    ------
    InputError
        This kernel cannot, or a recording runs already.
    """
    loaded = ctypes.CDLL(str(library()))
    code = loaded.dirtylog_start(os.fsencode(folder), ctypes.c_uint64(interval_ns))
    if code:
        raise InputError(why_not(code))
    return loaded


def why_not(code):
    """Return why the recorder did not start, in one line."""
    return (
        f"this process cannot be recorded ({os.strerror(code)}): it takes userfaultfd with "
        "asynchronous write protection and PAGEMAP_SCAN (Linux 6.7), and one recording at a time"
    )
