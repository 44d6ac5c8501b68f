"""Small architectures as their libraries describe them, so that every test builds them at once."""

import json
from pathlib import Path
from typing import Any

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
OPENCLIP: dict[str, dict[str, Any]] = {
    "vit": {"layers": 3, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64},
    "resnet": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64},
    "timm": {
        "timm_model_name": "test_vit",
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": 160,
    },
}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}
VISION = TOWER | {"image_size": 64, "patch_size": 16}
WORDS = TOWER | {"vocab_size": 50, "num_hidden_layers": 1}
HF: dict[str, dict[str, Any]] = {
    "clip": {
        "model_type": "clip",
        "projection_dim": 16,
        "vision_config": VISION,
        "text_config": WORDS,
    },
    "siglip": {"model_type": "siglip", "vision_config": VISION, "text_config": WORDS},
    "vit": {"model_type": "vit"} | VISION,
    "dinov2": {"model_type": "dinov2"} | VISION,
    "dinov2_with_registers": {"model_type": "dinov2_with_registers"} | VISION,
    "dinov3_vit": {"model_type": "dinov3_vit"} | VISION,
    "resnet": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 16, 32],
        "depths": [1, 1, 1, 1],
    },
    "convnext": {
        "model_type": "convnext",
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "image_size": 64,
    },
    "swin": {
        "model_type": "swin",
        "image_size": 64,
        "patch_size": 4,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "window_size": 4,
    },
}
# of kinds whose tokens lie otherwise; every library's tests would take them too long
ODD: dict[str, dict[str, Any]] = {
    "blip": {"model_type": "blip", "vision_config": VISION, "text_config": WORDS},
    "clipseg": {"model_type": "clipseg", "vision_config": VISION, "text_config": WORDS},
    "hiera": {
        "model_type": "hiera",
        "image_size": [64, 64],
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "num_query_pool": 1,
        "masked_unit_size": [2, 2],
    },
    "levit": {
        "model_type": "levit",
        "image_size": 112,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [1, 1, 1],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "owlvit": {"model_type": "owlvit", "vision_config": VISION, "text_config": WORDS},
    "sam2": {
        "model_type": "sam2",
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_channel_list": [16, 8],
            "fpn_hidden_size": 8,
            "num_feature_levels": 2,
            "backbone_feature_sizes": [[16, 16], [8, 8]],
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [64, 64],
                "hidden_size": 8,
                "num_attention_heads": 1,
                "blocks_per_stage": [1, 1],
                "embed_dim_per_stage": [8, 16],
                "num_attention_heads_per_stage": [1, 2],
                "window_size_per_stage": [4, 4],
                "global_attention_blocks": [],
                "num_query_pool_stages": 1,
            },
        },
    },
    "yolos": {"model_type": "yolos", "num_detection_tokens": 5} | VISION | {"image_size": [64, 64]},
}
PICTURES = {
    "image_processor_type": "ViTImageProcessor",
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.3],
    "resample": 3,
    "size": {"height": 64, "width": 64},
}


def write(root: Path) -> Path:
    """Folders `openclip/NAME` and `hf/NAME`, each with what the library writes but the weights."""
    for name, vision in OPENCLIP.items():
        model = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": TEXT}
        put(root / "openclip" / name / "open_clip_config.json", {"model_cfg": model})
    for name, config in (HF | ODD).items():
        put(root / "hf" / name / "config.json", config)
        put(root / "hf" / name / "preprocessor_config.json", PICTURES)
    return root


def put(path: Path, content: Any) -> None:
    """Write JSON into a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def cached(hub: Path, repository: str) -> Path:
    """The folder of a repository's files in a hub cache, made as the hub's client would."""
    place = hub / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    (place / "snapshots" / "abc").mkdir(parents=True)
    return place / "snapshots" / "abc"
