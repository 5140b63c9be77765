"""The one error that reaches a user as a message instead of a traceback."""


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
