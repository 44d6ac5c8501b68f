"""clipvil: plug any visual encoder into vision-and-language tasks and measure what it brings."""

__version__ = "0.1.0"
