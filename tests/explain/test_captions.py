"""Where words looked: what is shown is what the model did, on the cells of the picture."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipvil import api, tasks
from clipvil.core import UsageError
from clipvil.explain.captions import Looks, looked
from clipvil.explain.strip import checked, draw, laid_over
from tests.command import run as command
from tests.models.captions import rows, small, some
from tests.recipes.test_caption_tasks import small as recipe


def test_attention_and_gradient_are_the_model_s_own() -> None:
    """Attention gives the very output of the layer; gradients add up to what a change changes."""
    model, batch = small(layers=1, dropout=0.3).eval(), rows(some(), [1])
    told = batch.words[:, :1, :3]
    attention, gradient = looked(model, batch, told)
    assert attention.shape == gradient.shape == (3, 6)
    torch.testing.assert_close(attention.sum(1), torch.ones(3))
    assert not attention[:, 3:].any() and not gradient[:, 3:].any(), "padding is not looked at"

    layer = model.writing[0]
    with torch.no_grad():
        cells = model.look(batch)
        key, value = layer.guide.tell(cells)  # type: ignore[operator,union-attr]
        asks, mask = torch.randn(1, 2, 16), batch.seen[:, None, None, :]
        weights = layer.guide.weights(asks, key, mask)  # type: ignore[operator,union-attr]
        merged = layer.guide.merge((weights @ value).transpose(1, 2).flatten(2))  # type: ignore[operator,union-attr]
        torch.testing.assert_close(merged, layer.guide(asks, key, value, mask))  # type: ignore[operator]

        def worth(image: torch.Tensor) -> torch.Tensor:
            logits = model(replace(batch, image=image, words=told))[0, 0, :-1]
            return logits.gather(-1, told[0, 0].unsqueeze(1)).squeeze(1) - logits.mean(-1)

        for cell in range(3):
            step = torch.zeros_like(batch.image)
            step[0, cell] = 1e-3 * batch.image[0, cell]
            slope = (worth(batch.image + step) - worth(batch.image - step)) / 2e-3
            torch.testing.assert_close(slope, gradient[:, cell], atol=2e-3, rtol=0.05)


def test_a_cell_lies_over_its_part_of_the_picture() -> None:
    """A picture of 40 x 20 pixels at half its size, of which columns 10 to 30 were seen."""
    heat = np.array([[-1.0, 1.0], [1.0, -1.0]])
    affine = (0.1, -1.0, 0.1, 0.0)
    over = laid_over(np.full((10, 20, 3), 255, np.uint8), heat, affine, 0.5)
    assert over.shape == (10, 20, 3)
    assert (over[:, :5] == 1.0).all() and (over[:, 15:] == 1.0).all(), "not seen"
    assert (over[:5, 5:10] == over[5:, 10:15]).all() and (over[:5, 10:15] == over[5:, 5:10]).all()
    assert over[0, 5].tolist() != over[0, 10].tolist()


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_letters_that_no_font_has_are_said(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    heat = np.ones((2, 1, 1), np.float32)
    looks = Looks("a \U0010fffd", ("a", "\U0010fffd"), heat, heat, (0.125, 0.0, 0.125, 0.0))
    draw(looks, tmp_path / "red.png", out := tmp_path / f"strip.{kind}")
    assert ("no font here has \U0010fffd: " in capsys.readouterr().err) == (kind == "png")
    assert ("\U0010fffd" in out.read_text("utf-8", "ignore")) == (kind == "svg"), "text stays text"


@pytest.mark.slow
def test_a_run_is_explained(tmp_path: Path) -> None:
    tasks.load("caption").tiny(tmp_path / "data")
    made, run = recipe(), tmp_path / "run"
    few = replace(made.stages[0], least_steps=2, most_steps=2, validations=1)
    made = replace(made, stages=(few,), config=replace(made.config, shortest=3, nucleus=0.9))
    api.train(made, task="caption", data=tmp_path / "data", encoder="tiny:random", out=run)
    picture = tmp_path / "wide.png"
    Image.effect_noise((96, 48), 80).convert("RGB").save(picture)
    strip = tmp_path / "strip.png"
    told = json.loads(
        command("explain", str(run), "--image", str(picture), "--out", str(strip), "--json")
    )
    assert [row["word"] for row in told["words"]] == told["caption"].split() != []
    assert told["caption"] == api.predict(run, picture), "by the same lots"
    for row in told["words"]:
        assert np.sum(row["attention"]) == pytest.approx(1.0, abs=1e-5)
        assert np.shape(row["gradient"]) == np.shape(row["attention"])
    with Image.open(strip) as drawn:
        assert drawn.width > 300 and drawn.height > 150
    (tmp_path / "broken.png").write_bytes(picture.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"broken\.png: "):
        api.explain(run, tmp_path / "broken.png")
    with pytest.raises(UsageError, match=r"strip\.gif should end in \.png"):
        checked(tmp_path / "strip.gif")
