"""Where what several tasks share is published, and the gates before some of it.

Sources  https://cocodataset.org/#download; sizes and hashes as TensorFlow Datasets records them
         (https://github.com/tensorflow/datasets, url_checksums/coco.txt)
         https://github.com/niessner/Matterport, https://visualcommonsense.com/download,
         http://shannon.cs.illinois.edu/DenotationGraph
"""

from __future__ import annotations

from clipvil.core import Download, OfficialFile

COCO = "http://images.cocodataset.org/{}.zip"
COCO_ZIPS = {  # bytes, sha256
    "zips/train2014": (
        13_510_573_713,
        "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    ),
    "zips/val2014": (
        6_645_013_297,
        "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
    ),
    "zips/test2014": (
        6_660_437_059,
        "ead40c62230cb2cf70ff4c8b4c70abdc260a7556e77b3282621d06d8e2e35bdf",
    ),
    "zips/test2015": (
        13_270_587_935,
        "1a2aa896b81140a850a78fa8bff07d455698d2abf364ff05721763458a8101ca",
    ),
    "zips/train2017": (
        19_336_861_798,
        "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
    "zips/val2017": (
        815_585_330,
        "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    ),
    "zips/test2017": (
        6_646_970_404,
        "c7908c3c9f94ba2f3340ebbeec58c25db6be8774f18d68c2f15d0e369d95baba",
    ),
    "annotations/annotations_trainval2014": (
        252_872_794,
        "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
    ),
    "annotations/annotations_trainval2017": (
        252_907_541,
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    ),
    "annotations/image_info_test2014": (
        763_464,
        "7cecc66f6b09c1671c1896a1bcc1f35eb09b7fcf00a5c18420a5f0f5983dc8c9",
    ),
    "annotations/image_info_test2017": (
        1_144_034,
        "e52f412dd7195ac8f98d782b44c6dd30ea10241e9f42521f67610fbe055a74f8",
    ),
}

FLICKR30K = (
    "the pictures belong to their photographers: ask for them with the form linked from "
    "http://shannon.cs.illinois.edu/DenotationGraph, for non-commercial research and teaching; "
    "put the folder flickr30k-images under the data folder"
)
MATTERPORT3D_SOURCE = "https://niessner.github.io/Matterport"
MATTERPORT3D = (
    "sign the terms of use linked from https://github.com/niessner/Matterport and send them to "
    "matterport3d@googlegroups.com; access is given in return. Put 36 views of each viewpoint "
    "under the data folder, views/SCAN/VIEWPOINT/00 to 35; features need no pictures"
)
VCR = (
    "agree to the terms at https://visualcommonsense.com/download; unpack vcr1annots.zip and "
    "vcr1images.zip under the data folder"
)


def coco(name: str, member: str = "") -> Download:
    """A zip of COCO's, or a file in it; size and hash where they are known."""
    size, sha256 = COCO_ZIPS.get(name, (None, None))
    return Download(urls=(COCO.format(name),), member=member, bytes=size, sha256=sha256)


def coco_pictures(split: str, year: str) -> OfficialFile:
    """The zip of one year's COCO pictures, as the archive of a split."""
    return OfficialFile(
        role="pictures",
        split=split,
        name=f"{year}.zip",
        source="https://cocodataset.org/#download",
        download=coco(f"zips/{year}"),
    )
