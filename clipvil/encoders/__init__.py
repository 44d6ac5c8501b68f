"""Visual encoders, made uniform: `family:name,option=value,...`; one file a family.

A family's `build(name, options)` returns an `Encoder`; where networks were trained with captions,
its `text_tower(name, options)` returns the `TextEncoder` beside it.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from clipvil import registry
from clipvil.errors import UsageError

if TYPE_CHECKING:
    from clipvil.encoders.base import Encoder, TextEncoder


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
        raise UsageError(
            f"{spec!r} is no encoder, which is named FAMILY:NAME with a family of "
            f"{', '.join(families())}; features that are stored already are features:STORE"
        )
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
    """The encoder that `spec` names, in evaluation mode.

    Options `decode` and `channels` are known to every family.
    """
    family, name, options = parse(spec)
    decode, order = options.pop("decode", None), options.pop("channels", None)
    encoder: Encoder = _module(family).build(name, options)
    from clipvil.encoders import _options

    if decode is not None:
        encoder = _options.decoding(encoder, decode)
    if order is not None:
        encoder = _options.channels(encoder, order)
    return encoder.eval()


def load_text(spec: str) -> TextEncoder:
    """The text encoder trained with the encoder that `spec` names, in evaluation mode.

    Options that concern pictures change nothing.

    Raises
        UsageError: the family, or that encoder, has none
    """
    family, name, options = parse(spec)
    for of_pictures in ("decode", "channels"):
        options.pop(of_pictures, None)
    module = _module(family)
    if not hasattr(module, "text_tower"):
        raise UsageError(f"{family} has no text encoders")
    tower: TextEncoder = module.text_tower(name, options)
    return tower


def _module(family: str) -> ModuleType:
    """A family's file, or what to install for it."""
    try:
        return importlib.import_module(f"{__name__}.{family}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("clipvil"):
            raise
        raise UsageError(
            f"{family}: encoders need the package {error.name}: pip install 'clipvil[{family}]'"
        ) from error
