"""The root of this project's errors."""


class CardproofError(Exception):
    """An error whose message tells the user what to do; stages print it without a traceback."""


class StoppedError(CardproofError):
    """Work that the user or the system ended with a signal; the message says how to go on."""
