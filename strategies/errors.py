"""The one error that reaches a user as a message, not a traceback; how others are told."""

import traceback
from pathlib import Path

PACKAGE = Path(__file__).parent


class InputError(ValueError):
    """What a user handed in cannot be accepted.

    The message is one line that says what is wrong and what is accepted.
    """

    def __init__(self, message: str):
        # Texts of other libraries and of users' files end up in it.
        super().__init__(" ".join(message.splitlines()))


def lacks_extra(module: str, extra: str) -> InputError:
    """Return what to raise where a module is missing that an extra of the package installs."""
    return InputError(
        f"this needs {module}; accepted: pip install -e '.[{extra}]' in a checkout of dirtylog"
    )


def told(error: Exception, file: str) -> str:
    """Return in a line what was raised, and where: innermost in a file, or else in the package."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if PACKAGE in Path(frame.filename).parents]
    last = ([frame for frame in frames if frame.filename == file] or inside)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return " ".join(f"{type(error).__name__}: {error} ({where})".split())
