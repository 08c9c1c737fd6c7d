"""The root of this project's errors."""


class CardproofError(Exception):
    """An error whose message tells the user what to do; stages print it without a traceback."""
