"""What the readers of text share: numbered lines, numbers, and one line when they are wrong."""

from functools import partial
from pathlib import Path

from strategies.errors import InputError

MAX_ADDRESS = 2**63
MAX_LINE = 1 << 28
"""Letters: an image of a disk or a memory may have no other line."""


def numbered(path):
    """Yield the number and the text of each line that is not empty or a comment (#).

    Raises
    ------
    InputError
        The file cannot be read, or is no text.
    """
    try:
        with Path(path).open(encoding="ascii") as file:
            for number, line in enumerate(iter(partial(file.readline, MAX_LINE), ""), 1):
                if len(line) == MAX_LINE:
                    raise wrong(path, number, f"accepted: less than {MAX_LINE} letters in a line")
                text = line.partition("#")[0].strip()
                if text:
                    yield number, text
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is no text; accepted: ASCII") from error
    except OSError as error:
        raise InputError(f"{str(path)!r}: {error.strerror}") from error


def wrong(path, number, message):
    """Return the InputError of a line."""
    return InputError(f"{str(path)!r}, line {number}: {message}")


def whole_number(word, path, number):
    """Return the number that a word is, decimal or 0x and hexadecimal, from 0 to 2**63."""
    try:
        value = int(word, 16 if word[:2].lower() == "0x" else 10) if len(word) < 25 else -1
    except ValueError:
        value = -1
    if not 0 <= value < MAX_ADDRESS:
        raise wrong(path, number, f"{word[:24]!r} is no number; accepted: 17 or 0x11, below 2**63")
    return value
