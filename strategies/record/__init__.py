"""Record which pages a program writes: of any command, or of a block of Python."""

from strategies.record.block import recording

__all__ = ["recording"]
