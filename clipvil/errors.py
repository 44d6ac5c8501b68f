"""What a user is told when something is wrong; it costs nothing to import."""


class UsageError(ValueError):
    """A name nobody knows, an option out of range: exit status 2."""


def sentence(error: Exception) -> str:
    """What an error says; one of the system's, without its number and behind the file's name."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def at_least_one(**counts: int | None) -> None:
    """See that options, named as their fields are, leave something where they are given.

    Raises
        UsageError: names those that do not
    """
    low = [name for name, count in counts.items() if count is not None and count < 1]
    if low:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in low)
        raise UsageError(f"{named}: at least 1")
