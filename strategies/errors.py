"""The one error that reaches a user as a message instead of a traceback."""


class InputError(ValueError):
    """What a user handed in cannot be accepted.

    The message is one line that says what is wrong and what is accepted.
    """

    def __init__(self, message: str):
        # Texts of other libraries and of users' files end up in it.
        super().__init__(" ".join(message.splitlines()))
