"""Visual encoders, made uniform: `family:name,option=value,...`; one file a family.

A family's `build(name, options, device)` returns an `Encoder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipvil import registry
from clipvil.errors import UsageError

if TYPE_CHECKING:
    from clipvil.encoders.base import Encoder


def families() -> tuple[str, ...]:
    """Encoder families of this package."""
    return registry.names(__name__)


def parse(spec: str) -> tuple[str, str, dict[str, str]]:
    """Split `family:name,option=value` into family, name and options.

    Raises
        UsageError: no family, an unknown one, or an option without a value
    """
    family, colon, rest = spec.partition(":")
    if not colon:
        raise UsageError(f"an encoder is named FAMILY:NAME, families are {', '.join(families())}")
    if family not in families():
        raise registry.unknown("encoder family", family, families())
    name, *pairs = rest.split(",")
    options = dict[str, str]()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"option {pair!r} of {spec!r} has no value: write {pair}=VALUE")
        options[key] = value
    return family, name, options


def load(spec: str) -> Encoder:
    """The encoder that `spec` names, in evaluation mode; `decode=fast` is known to every family."""
    family, name, options = parse(spec)
    decode = options.pop("decode", None)
    build = registry.load(__name__, family, "build", "encoder family")
    encoder: Encoder = build(name, options)
    if decode is not None:
        from clipvil.encoders._options import decoding

        encoder = decoding(encoder, decode)
    return encoder.eval()
