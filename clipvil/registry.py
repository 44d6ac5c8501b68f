"""The file tree is the registry: `tasks/vqa2.py` is task `vqa2`; `module:` loads a user's own."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from clipvil.errors import UsageError


def names(package: str) -> tuple[str, ...]:
    """Public modules of a package, by listing its folder; nothing is imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None, package
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return tuple(sorted(m.name for m in found if not m.name.startswith("_") and m.name != "base"))


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name nobody knows; it offers the nearest known ones."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:8]
    return UsageError(f"unknown {kind} {name!r}; nearest: {', '.join(near)}")


def load(package: str, name: str, attribute: str, kind: str) -> Any:
    """`attribute` of the module `name` in `package`, or of `module:FILE[:ATTRIBUTE]`.

    Raises
        UsageError: nobody knows the name, or the file or attribute is not there
    """
    if name.startswith("module:"):
        file, _, own = name.removeprefix("module:").partition(":")
        return getattr_or_error(from_file(Path(file), kind), own or attribute, kind)
    if name not in names(package):
        raise unknown(kind, name, names(package))
    return getattr(importlib.import_module(f"{package}.{name}"), attribute)


def from_file(path: Path, kind: str) -> ModuleType:
    """Import a user's own Python file under a name of its own."""
    if not path.is_file():
        raise UsageError(f"no file {path} to load a {kind} from")
    spec = importlib.util.spec_from_file_location(f"clipvil_module_{path.stem}", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def getattr_or_error(module: ModuleType, attribute: str, kind: str) -> Any:
    """An attribute of a user's module, or what it has instead."""
    if not hasattr(module, attribute):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise unknown(f"{kind} in {module.__name__}", attribute, public)
    return getattr(module, attribute)
