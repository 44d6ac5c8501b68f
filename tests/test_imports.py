"""Data flows one way: a folder imports only what stands above it; the command answers at once."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import clipvil

ROOT = Path(clipvil.__file__).parent
ABOVE = """
    errors columns core sources files registry progress processes download pictures metrics encoders
    health features graphs worlds pretrain tasks data models train answers evaluate report explain
    serve recipes api verbs cli
"""
ORDER = ABOVE.split()


def imported(path: Path) -> Iterator[str]:
    """Parts of the package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            whole = module == "clipvil"
            names = [f"clipvil.{a.name}" for a in node.names] if whole else [module]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "clipvil" and rest and rest != "__version__":
                yield rest.partition(".")[0]


def test_imports_go_one_way() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if part == "__init__":  # gives `clipvil.compare` on demand
            continue
        assert part in ORDER, f"{part} has no place in the order of imports"
        for other in set(imported(path)):
            if other != part and ORDER.index(other) > ORDER.index(part):
                wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not wrong


def test_help_and_errors_load_nothing_heavy() -> None:
    program = """
import sys
from clipvil import cli, verbs
actions = ["data", "get", "--help"], ["features", "convert", "--help"]
bad = ["score", "vqa3", "--predictions", "x"], ["data", "check", "--task", "vqa3", "--data", "."]
every = [[name, "--help"] for name in verbs.names()]
for given in (["--help"], ["nonsense"], *bad, *actions, *every):
    try:
        cli.main(given)
    except SystemExit:
        pass
heavy = {"torch", "scipy", "PIL", "matplotlib", "timm", "transformers", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_examples_and_benchmarks_find_what_they_import() -> None:
    """They run for minutes, so no test does; what they take out of the package must be there."""
    missing = []
    for path in sorted([*ROOT.parent.glob("examples/*.py"), *ROOT.parent.glob("benchmarks/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clipvil"):
                module = importlib.import_module(node.module or "")
                missing += [
                    f"{path.name}: {node.module}.{alias.name}"
                    for alias in node.names
                    if not hasattr(module, alias.name)
                    and not (
                        hasattr(module, "__path__")
                        and importlib.util.find_spec(f"{node.module}.{alias.name}")
                    )
                ]
    assert not missing
