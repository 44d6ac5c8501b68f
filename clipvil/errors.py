"""The error of asking for what cannot be meant; it costs nothing to import."""


class UsageError(ValueError):
    """A name nobody knows, an option out of range: exit status 2."""
