"""The command `clipvil VERB ...`: finds the verb, reads its options, turns errors into a sentence.

Exit status 0 done, 1 failed, 2 bad usage.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Sequence

from clipvil import __version__, verbs
from clipvil.errors import UsageError, sentence, told

PATIENCE = 5.0  # seconds in which torchrun ends the others of its processes when the first failed
# a person's folder where no shell looks for it
HOME = re.compile(r"((?<==)|(?<=\bmodule:)|(?<=\bfeatures:))~(?=/)")


def overview() -> str:
    """What `clipvil --help` prints."""
    width = max(map(len, verbs.names()))
    lines = [f"  {name:{width}}  {summary(name)}" for name in verbs.names()]
    return "\n".join(
        [
            "clipvil: plug any visual encoder into vision-and-language tasks and measure what it",
            "brings. Begin with `clipvil demo`.",
            "",
            "usage: clipvil VERB [options]      (every verb takes --help)",
            "",
            *lines,
        ]
    )


def summary(name: str) -> str:
    """First line of a verb's docstring."""
    return (verbs.load(name).__doc__ or "").splitlines()[0].rstrip(".")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview())
        raise SystemExit(0)
    if given[0] == "--version":
        print(f"clipvil {__version__}")
        raise SystemExit(0)
    raise SystemExit(run(given[0], given[1:]))


def run(name: str, options: Sequence[str]) -> int:
    """One verb with its options; what a user can mend ends in one sentence on stderr."""
    try:
        kind = verbs.load(name)
        return parse(kind, name, [at_home(one) for one in options]).run()
    except KeyboardInterrupt:
        print("\nclipvil: stopped; the same command goes on from here", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("RANK", "0") != "0":
            time.sleep(PATIENCE)  # what it says after that is its own
        match error:
            case UsageError():
                print(f"clipvil: {error}", file=sys.stderr)
                return 2
            case _ if told(error):
                print(f"clipvil {name}: {sentence(error)}", file=sys.stderr)
                return 1
        raise


def at_home(option: str) -> str:
    """An option with `~/` written out behind `=`, `module:` and `features:`."""
    return HOME.sub(lambda _: os.path.expanduser("~"), option)


def parse(kind: type[verbs.Runnable], name: str, options: Sequence[str]) -> verbs.Runnable:
    """Options as typed fields; tyro prints help and says what is wrong with exit status 2."""
    import tyro

    own: Callable[[Sequence[str]], verbs.Runnable] | None = getattr(kind, "parse", None)
    if own is not None:
        return own(options)
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(kind, prog=f"clipvil {name}", args=list(options), config=config)


if __name__ == "__main__":
    main()
