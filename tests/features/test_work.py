"""Pictures opened beside the network or by turns with it: the same shards, and none lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clipvil.encoders.base import Encoder
from clipvil.features import plan, shards, work
from clipvil.features.plan import Picture, batches
from clipvil.features.work import Decoded, Manner

Pieces = list[tuple[Path, tuple[Picture, ...]]]
Todo = Callable[[str], Pieces]
BESIDE, TURNS = Manner(3, "fp16", 1, decoders=2), Manner(3, "fp16", 1, decoders=1)


@pytest.fixture
def todo(encoder: Encoder, draw: Callable[[Path, int], None], tmp_path: Path) -> Todo:
    """Shards of six pictures to be written into a folder."""
    draw(tmp_path / "pictures", 20)
    planned = plan.make(encoder.card, plan.named(tmp_path / "pictures"), "fp16", 6)

    def into(name: str) -> Pieces:
        folder = tmp_path / name
        folder.mkdir()
        return [(folder / shards.name(n), part) for n, part in enumerate(planned.shards)]

    return into


def test_the_same_shards_each_told_once_it_is_there(encoder: Encoder, todo: Todo) -> None:
    written = dict[str, list[bytes]]()
    for name, how in (("beside", BESIDE), ("turns", TURNS)):
        pieces, there = todo(name), list[int]()

        def wrote(pieces: Pieces = pieces, there: list[int] = there) -> None:
            there.append(sum(path.is_file() for path, _ in pieces))

        ids = list(work.run(encoder, pieces, how, wrote))
        assert ids == [picture.id for _, part in pieces for picture in part]
        assert there == [1, 2, 3, 4]
        written[name] = [path.read_bytes() for path, _ in pieces]
    assert written["beside"] == written["turns"]


def test_by_turns_no_picture_is_opened_while_the_network_works(
    encoder: Encoder,
    todo: Todo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy, met, decode = list[bool](), list[bool](), work.decode

    def watched(*picture: object) -> Decoded:
        met.append(bool(busy))
        return decode(*picture)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "decode", watched)
    hooks = (
        encoder.register_forward_pre_hook(lambda *_: busy.append(True)),
        encoder.register_forward_hook(lambda *_: busy.clear()),
    )
    list(work.run(encoder, todo("store"), TURNS))
    for hook in hooks:
        hook.remove()
    assert len(met) == 20 and not any(met)


@pytest.mark.parametrize("how", [BESIDE, TURNS])
def test_what_was_encoded_before_a_failure_is_kept(
    encoder: Encoder,
    todo: Todo,
    how: Manner,
) -> None:
    pieces, left = todo("store"), sum(1 for _, part in todo("counted") for _ in batches(part, 3))

    def fails(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise ValueError("the network fell over")

    hook = encoder.register_forward_pre_hook(fails)
    with pytest.raises(ValueError, match="fell over"):
        list(work.run(encoder, pieces, how))
    hook.remove()
    assert [path.is_file() for path, _ in pieces] == [True, True, True, False]
