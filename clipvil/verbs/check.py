"""The verb `check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from clipvil.health.base import Finding


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Check an encoder's health: numbers, normalisation, colours, positions, parity, speed."""

    encoder: tyro.conf.Positional[str]
    """FAMILY:NAME,option=value such as timm:resnet50_clip.openai,size=448"""
    images: Path | None = None
    """folder of pictures to check with; by default they are drawn"""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto is cuda where there is one"""
    json: bool = False
    """print JSON"""

    def run(self) -> int:
        """Check; 1 if something is wrong."""
        import json
        from dataclasses import asdict

        from clipvil import encoders

        encoders.parse(self.encoder)  # before the seconds that torch takes

        from clipvil.encoders import base
        from clipvil.health import numbers, sources
        from clipvil.health.examine import examine, photographs

        device = base.device(self.device)
        look = numbers.made if self.images is None else photographs(self.images)
        encoder = encoders.load(self.encoder).to(device)
        source = sources.of(self.encoder)
        if source is not None:
            source.network.to(device)
        found = list(examine(encoder, source, look))
        wrong = any(finding.state == "failed" for finding in found)
        if self.json:
            row = {
                "encoder": encoder.card.name,
                "fingerprint": encoder.card.fingerprint,
                "source": source and source.library,
                "device": str(device),
                "healthy": not wrong,
                "checks": [asdict(finding) for finding in found],
            }
            print(json.dumps(row, indent=1))
        else:
            show(encoder.card.name, found)
        return 1 if wrong else 0


def show(name: str, found: list[Finding]) -> None:
    """A table on the terminal."""
    from rich.markup import escape
    from rich.table import Table

    from clipvil.verbs.compare import terminal

    table = Table("check", "state", "measured", "reason", title=escape(name), title_justify="left")
    for finding in found:
        value = "" if finding.value is None else f"{finding.value:.3g} {finding.unit}"
        colour = {"passed": "green", "failed": "red"}.get(finding.state, "dim")
        state = f"[{colour}]{finding.state}[/]"
        table.add_row(finding.check, state, value, escape(finding.reason))
    terminal().print(table)
