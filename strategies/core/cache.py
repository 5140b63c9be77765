"""Where compiled code is kept: the kernels' and the recorder's."""

import tempfile
from pathlib import Path

from platformdirs import user_cache_dir

from strategies.errors import InputError


def cache_folder(chosen: str | None = None) -> Path:
    """Return a folder that is there and can be written: the chosen one, or the user's cache.

    Raises
    ------
    InputError
        It cannot. Nothing else is tried: numba would go on beside the sources, where it runs old
        code.
    """
    try:
        folder = Path(chosen or user_cache_dir("dirtylog"))
    except RuntimeError as error:  # nobody knows the user's home
        raise InputError(
            f"cannot keep compiled code ({error}); accepted: a folder in XDG_CACHE_HOME"
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"cannot keep compiled code in {str(folder)!r} ({error.strerror}); accepted: a folder "
            "that can be written, in XDG_CACHE_HOME"
        ) from error
    return folder
