"""The errors that the person at the keyboard can mend, and what is told of all others."""


class InputError(Exception):
    """Something the user gave cannot be used; the message names it, what was expected and the remedy."""


class VideoError(Exception):
    """One video cannot be read; the message is the reason, in words that a person understands."""


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
