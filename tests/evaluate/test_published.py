"""Published captioners: what a slow reading of their weights says is what the run here says."""

import json
import math
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from clipvil import api, tasks
from clipvil.core import UsageError
from clipvil.data.captions import CaptionBatch
from clipvil.evaluate.published import PLACES, converted, read, read_words
from clipvil.files import read_json
from clipvil.models import captioner
from clipvil.train import keep

D, HEADS, LAYERS, HIDDEN, SEEN = 16, 2, 2, 32, 128  # as wide as tiny:clip's cells
WORDS = ["a", "dog", "UNK", "cat", "runs"]


def checkpoint(seen: int = SEEN) -> dict[str, Tensor]:
    """Weights of the published names and shapes."""
    torch.manual_seed(0)
    made = {"att_embed.0": (D, seen), "model.generator.proj": (len(WORDS) + 1, D)}
    norms = ["model.encoder.norm", "model.decoder.norm"]
    for side, attentions in (("encoder", 1), ("decoder", 2)):
        for k in range(LAYERS):
            layer = f"model.{side}.layers.{k}"
            for which in ("self_attn", "src_attn")[:attentions]:
                made |= {f"{layer}.{which}.linears.{n}": (D, D) for n in range(4)}
            made |= {f"{layer}.feed_forward.w_1": (HIDDEN, D)}
            made |= {f"{layer}.feed_forward.w_2": (D, HIDDEN)}
            norms += [f"{layer}.sublayer.{n}.norm" for n in range(attentions + 1)]
    found = {f"{n}.weight": torch.randn(shape) / 4 for n, shape in made.items()}
    found |= {f"{n}.bias": torch.randn(shape[0]) / 4 for n, shape in made.items()}
    found |= {f"{n}.a_2": torch.rand(D) + 0.5 for n in norms}
    found |= {f"{n}.b_2": torch.randn(D) / 4 for n in norms}
    found["model.tgt_embed.0.lut.weight"] = torch.randn(len(WORDS) + 1, D)
    place, speed = (
        torch.arange(50.0)[:, None],
        torch.exp(torch.arange(0.0, D, 2) * -math.log(1e4) / D),
    )
    found[PLACES] = torch.stack([(place * speed).sin(), (place * speed).cos()], -1).view(1, 50, D)
    return found


def slow(w: dict[str, Tensor], cells: Tensor, words: list[int]) -> Tensor:
    """Logits [T, V] after each of some words of one picture [N, I], as published."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        away = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)
        return w[f"{name}.a_2"] * away + w[f"{name}.b_2"]

    def attend(name: str, asks: Tensor, told: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = (
            linear(f"{name}.linears.{n}", x).view(len(x), HEADS, -1).transpose(0, 1)
            for n, x in enumerate((asks, told, told))
        )
        score = query @ key.mT / math.sqrt(D / HEADS)
        weight = (score if mask is None else score.masked_fill(~mask, -torch.inf)).softmax(-1)
        return linear(f"{name}.linears.3", (weight @ value).transpose(0, 1).reshape(len(asks), D))

    def forth(name: str, x: Tensor) -> Tensor:
        hidden = linear(f"{name}.feed_forward.w_1", x).relu()
        return linear(f"{name}.feed_forward.w_2", hidden)

    x = linear("att_embed.0", cells).relu()
    for k in range(LAYERS):
        name = f"model.encoder.layers.{k}"
        normed = norm(f"{name}.sublayer.0.norm", x)
        x = x + attend(f"{name}.self_attn", normed, normed)
        x = x + forth(name, norm(f"{name}.sublayer.1.norm", x))
    memory = norm("model.encoder.norm", x)
    y = w["model.tgt_embed.0.lut.weight"][words] * math.sqrt(D) + w[PLACES][0, : len(words)]
    before = torch.ones(len(words), len(words), dtype=torch.bool).tril()
    for k in range(LAYERS):
        name = f"model.decoder.layers.{k}"
        normed = norm(f"{name}.sublayer.0.norm", y)
        y = y + attend(f"{name}.self_attn", normed, normed, before)
        y = y + attend(f"{name}.src_attn", norm(f"{name}.sublayer.1.norm", y), memory)
        y = y + forth(name, norm(f"{name}.sublayer.2.norm", y))
    return linear("model.generator.proj", norm("model.decoder.norm", y))


def test_it_tells_what_the_published_model_tells() -> None:
    tensors, cells = checkpoint(), torch.randn(5, SEEN)
    config, seen, weights = converted(tensors, WORDS, HEADS)
    assert (config.width, config.layers, config.expand, seen) == (D, LAYERS, 2, SEEN)
    model = captioner.Model(config, image_width=seen, num_words=len(WORDS) + 1).eval()
    model.load_state_dict(weights)
    ours = [0, 3, 1, 0, 0]  # dog, UNK: with us the second and the unknown word
    batch = CaptionBatch(
        ("0",), cells[None], torch.ones(1, 5, dtype=torch.bool), torch.tensor([[1, 5]]),
        torch.tensor([[ours[1:3]]]),
    )  # fmt: skip
    expected = slow(tensors, cells, [0, 2, 3])
    found = model(batch)[0, 0]
    torch.testing.assert_close(found, expected[:, [0, 3, 1, 2, 4, 5]], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_a_checkpoint_becomes_a_run(kind: str, tmp_path: Path) -> None:
    file, words = tmp_path / f"model-best.{kind}", tmp_path / "cocotalk.json"
    if kind == "pth":
        torch.save(checkpoint(), file)
    else:
        keep.save(file, checkpoint(), {})
    words.write_text(json.dumps({"ix_to_word": dict(enumerate(WORDS, 1)), "images": []}))
    asked = {"encoder": "tiny:clip", "task": "coco_caption", "heads": HEADS}
    api.adopt(file, words, out=tmp_path / "run", **asked)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="knows no data folder: predict with --data"):
        api.evaluate(tmp_path / "run")
    tasks.load("coco_caption").tiny(tmp_path / "data")
    said = tmp_path / "said.json"
    assert api.predict_split(tmp_path / "run", said, data=tmp_path / "data", limit=2) == 2
    for row in read_json(said):
        assert set(row["caption"].split()) <= {*WORDS} - {"UNK"}
    narrow = tmp_path / "narrow.safetensors"
    keep.save(narrow, checkpoint(64), {})
    with pytest.raises(ValueError, match="reads cells of width 64; those of tiny:clip have 128"):
        api.adopt(narrow, words, out=tmp_path / "other", **asked)  # type: ignore[arg-type]


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    tensors = checkpoint()
    tensors["ctx2att.weight"] = tensors.pop("model.encoder.norm.a_2")
    tensors["model.generator.proj.bias"] = torch.zeros(99)
    with pytest.raises(ValueError, match="3 tensors do not fit") as raised:
        converted(tensors, WORDS, HEADS)
    for part in ("encoder.norm.a_2 is missing", "ctx2att.weight is unknown", r"is (99,), not (6,)"):
        assert part in str(raised.value)
    with pytest.raises(ValueError, match="no captioner's weights"):
        converted({"fc.weight": torch.zeros(2, 2)}, WORDS, HEADS)
    with pytest.raises(ValueError, match="does not go with 3 heads"):
        converted(checkpoint(), WORDS, 3)


def test_nothing_but_tensors_is_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('ran')",)

    file = tmp_path / "model.pth"
    torch.save({"att_embed.0.weight": Bomb()}, file)
    with pytest.raises(ValueError, match=r"model\.pth is not a file of tensors alone"):
        read(file)
    file.write_bytes(pickle.dumps(Bomb(), 2))
    with pytest.raises(ValueError, match="not a file of tensors alone"):
        read(file)
    torch.save([torch.zeros(2)], file)
    with pytest.raises(ValueError, match="tensors by their names"):
        read(file)
    words = tmp_path / "cocotalk.json"
    for told, message in (
        ({}, "needs `ix_to_word`"),
        ({"ix_to_word": {"0": "a", "1": "UNK"}}, "count from 1 to 2"),
        ({"ix_to_word": {"1": "a"}}, "UNK once"),
    ):
        words.write_text(json.dumps(told))
        with pytest.raises(ValueError, match=message):
            read_words(words)
