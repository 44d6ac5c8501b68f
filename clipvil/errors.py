"""What a user is told when something is wrong; it costs nothing to import."""


class UsageError(ValueError):
    """A name nobody knows, an option out of range: exit status 2."""


MEMORY = ("out of memory", "allocate memory")  # what torch says on a GPU; on a CPU, and systems do
SHORT = (
    "not enough memory: a smaller --batch-size, a smaller size= of the encoder or fewer processes "
    "need less; what is finished is kept"
)


def told(error: Exception) -> bool:
    """Whether a sentence says it all: data, files, numbers and memory, and no fault of ours."""
    return isinstance(error, ValueError | OSError | ArithmeticError) or out_of_memory(error)


def out_of_memory(error: Exception) -> bool:
    """Whether Python, numpy or torch found too little memory, on whatever device."""
    if isinstance(error, RuntimeError | OSError):
        return any(words in str(error) for words in MEMORY)
    return isinstance(error, MemoryError)


def sentence(error: Exception) -> str:
    """What an error says; one of the system's, without its number and behind the file's name."""
    if out_of_memory(error):
        return SHORT
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
