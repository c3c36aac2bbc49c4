"""The root of the error tree."""


class SampanError(Exception):
    """The root of every error that sampan raises on purpose; its text is fit for a user."""
