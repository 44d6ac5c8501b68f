"""Every kind of architecture in timm: its own numbers, and a grid that its stride predicts."""

import pytest
import timm
import torch

from clipvil import encoders
from clipvil.encoders import timm as family
from clipvil.encoders.base import Encoder

pytestmark = pytest.mark.slow  # the tests of one network of each kind are enough for every day

# name: pixels a cell, cell width, pooled width, whether it takes pictures of any size
ARCHITECTURES = {
    "resnet50_clip.openai": (32, 2048, 1024, True),
    "resnet50x4_clip.openai": (32, 2560, 640, True),
    "vit_base_patch32_clip_quickgelu_224.openai": (32, 768, 512, True),
    "vit_base_patch16_clip_224.openai_ft_in1k": (16, 768, 768, True),
    "vit_base_patch16_siglip_224.webli": (16, 768, 768, True),
    "vit_base_patch16_siglip_gap_224.webli": (16, 768, 768, True),
    "naflexvit_base_patch16_siglip.v2_webli": (16, 768, 768, True),
    "vit_small_patch14_dinov2.lvd142m": (14, 384, 384, True),
    "vit_small_patch14_reg4_dinov2.lvd142m": (14, 384, 384, True),
    "vit_small_patch16_dinov3.lvd1689m": (16, 384, 384, True),
    "convnext_tiny.dinov3_lvd1689m": (32, 768, 768, True),
    "beit_base_patch16_224.in22k_ft_in22k_in1k": (16, 768, 768, False),
    "eva02_base_patch16_clip_224.merged2b": (16, 768, 512, True),
    "eva02_tiny_patch14_224.mim_in22k": (14, 192, 192, True),
    "vit_pe_core_base_patch16_224.fb": (16, 768, 768, True),
    "vit_pe_spatial_base_patch16_512.fb": (16, 768, 768, True),
    "convnext_tiny.fb_in1k": (32, 768, 768, True),
    "convnext_base.clip_laion2b": (32, 1024, 640, True),
    "swin_tiny_patch4_window7_224.ms_in1k": (32, 768, 768, True),
    "swinv2_tiny_window8_256.ms_in1k": (32, 768, 768, True),
    "tf_efficientnet_lite0.in1k": (32, 320, 1280, True),
    "tf_efficientnetv2_s.in21k_ft_in1k": (32, 256, 1280, True),  # at 300, no multiple of 32
    "maxvit_tiny_tf_224.in1k": (32, 512, 512, False),
    "coatnet_0_rw_224.sw_in1k": (32, 768, 768, False),
    "vit_base_r50_s16_224.orig_in21k": (16, 768, 768, True),
    "vit_tiny_r_s16_p8_224.augreg_in21k": (32, 192, 192, True),
    "vit_base_patch16_224.mae": (16, 768, 768, True),
    "deit3_small_patch16_224.fb_in1k": (16, 384, 384, True),
    "resnet50.a1_in1k": (32, 2048, 2048, True),
    "regnety_016.tv2_in1k": (32, 888, 888, True),
    "mobilenetv4_conv_small.e2400_r224_in1k": (32, 960, 1280, True),
    "fastvit_mci0.apple_mclip": (32, 512, 512, True),
    "vitamin_small_224.datacomp1b_clip": (16, 384, 384, True),
    "hiera_tiny_224.mae": (32, 768, 768, False),
    "xcit_nano_12_p8_224.fb_in1k": (8, 128, 128, True),
    "davit_tiny.msft_in1k": (32, 768, 768, True),
    "mvitv2_tiny.fb_in1k": (32, 768, 768, False),
    "samvit_base_patch16.sa1b": (16, 256, 256, True),
    "aimv2_large_patch14_224.apple_pt": (14, 1024, 1024, True),
    "mixer_b16_224.goog_in21k": (16, 768, 768, False),
    "densenet121.ra_in1k": (32, 1024, 1024, True),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_widths_strides_and_sizes(name: str) -> None:
    config = family.configuration(name)
    native = (config.input_size[1], config.input_size[2])
    projected = family.is_projection(name, config)
    _, _, shape = family.probe(name, native, native, None, projected)
    assert (shape.stride, shape.width, shape.pooled, shape.any_size) == ARCHITECTURES[name]


@pytest.mark.parametrize("name", [n for n in timm.list_models("test_*") if "flex" not in n])
def test_at_the_native_size_it_is_timms_own(name: str) -> None:
    encoder: Encoder = encoders.load(f"timm:{name},weights=random,fit=squash")
    plain = timm.create_model(name, num_classes=0).eval()
    plain.load_state_dict(encoder.network.network.state_dict())
    torch.manual_seed(0)
    picture = torch.randint(0, 256, (1, 3, *encoder.preprocessing.size), dtype=torch.uint8)
    with torch.inference_mode():
        seen = encoder(picture)
        normal = (picture.float() - encoder.mean) / encoder.std
        final = plain.forward_features(normal)  # [B, N, D], or maps
        torch.testing.assert_close(seen.pooled, plain(normal), atol=1e-5, rtol=1e-5)
        if final.ndim == 3:
            cells = final[:, plain.num_prefix_tokens :].unflatten(1, seen.grid.shape[1:3])
        else:  # a convolution of the head may come after the last stage
            norm = {"norm": True} if encoder.network.taking.normed else {}
            cells = plain.forward_intermediates(normal, **norm)[1][-1].permute(0, 2, 3, 1)
    torch.testing.assert_close(seen.grid, cells, atol=1e-5, rtol=1e-5)
