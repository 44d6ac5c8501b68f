"""Where the pictures that several tasks share are published, and the gates before some of them.

Sources  https://cocodataset.org/#download; sizes and hashes as TensorFlow Datasets records them
         (https://github.com/tensorflow/datasets, url_checksums/coco.txt)
         https://github.com/niessner/Matterport, https://visualcommonsense.com/download,
         http://shannon.cs.illinois.edu/DenotationGraph
"""

from __future__ import annotations

from clipvil.core import Download, OfficialFile

COCO = "http://images.cocodataset.org/zips/{}.zip"
COCO_ZIPS = {  # bytes, sha256
    "train2014": (
        13_510_573_713,
        "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    ),
    "val2014": (
        6_645_013_297,
        "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
    ),
    "test2014": (
        6_660_437_059,
        "ead40c62230cb2cf70ff4c8b4c70abdc260a7556e77b3282621d06d8e2e35bdf",
    ),
    "test2015": (
        13_270_587_935,
        "1a2aa896b81140a850a78fa8bff07d455698d2abf364ff05721763458a8101ca",
    ),
}

FLICKR30K = (
    "the pictures belong to their photographers: ask for them with the form linked from "
    "http://shannon.cs.illinois.edu/DenotationGraph, for non-commercial research and teaching; "
    "put the folder flickr30k-images under the data folder"
)
MATTERPORT3D = (
    "sign the terms of use linked from https://github.com/niessner/Matterport and send them to "
    "matterport3d@googlegroups.com; access is given in return"
)
VCR = (
    "agree to the terms at https://visualcommonsense.com/download; unpack vcr1annots.zip under "
    "the data folder and put vcr1images.zip, unpacked, beside it"
)


def coco_pictures(split: str, year: str) -> OfficialFile:
    """The zip of one year's COCO pictures, as the archive of a split."""
    size, sha256 = COCO_ZIPS[year]
    return OfficialFile(
        role="pictures",
        split=split,
        name=f"{year}.zip",
        source="https://cocodataset.org/#download",
        download=Download(urls=(COCO.format(year),), bytes=size, sha256=sha256),
    )
