"""The one number that a tracker may be told: what follows the colon in `dirty_ring:4096`."""

from typing import NamedTuple

from strategies.errors import InputError


class Parameter(NamedTuple):
    """What a tracker's number means, and which are accepted.

    Attributes
    ----------
    name : str
        By which formulas of the model name it.
    what : str
        In a few words, with its unit.
    default : int
        Where nothing follows the tracker's name.
    low, high : int
        Least and most that is accepted.
    is_power_of_two : bool
        Whether nothing else is accepted between them.
    """

    name: str
    what: str
    default: int
    low: int
    high: int
    is_power_of_two: bool = False

    @property
    def accepted(self):
        """What is accepted, in words."""
        kind = "a power of two" if self.is_power_of_two else "a number"
        return f"{kind} from {self.low} to {self.high}"

    def parse(self, text):
        """Return the number that a text gives, in decimal digits without leading zeros.

        Raises
        ------
        InputError
            It is another text, or its number is not accepted.
        """
        is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(self.high))
        value = int(text) if is_number else -1
        fits = self.low <= value <= self.high and str(value) == text
        if not fits or (self.is_power_of_two and value & (value - 1)):
            raise InputError(f"{self.name} must be {self.accepted}, not {text!r}")
        return value
