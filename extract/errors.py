"""The one error that the person at the keyboard can mend."""


class InputError(Exception):
    """Something the user gave cannot be used; the message names it, what was expected and the remedy."""


class VideoError(Exception):
    """One video cannot be read; the message is the reason, in words that a person understands."""
