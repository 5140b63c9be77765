"""Why a lane cannot be used here, and that one broke."""


class Unavailable(Exception):  # noqa: N818 - a state of the machine, not a mistake
    """The machine does not offer what a lane needs; the message is the reason, in one line."""


class LaneError(RuntimeError):
    """A lane hung, died or was refused a system call while it ran."""
