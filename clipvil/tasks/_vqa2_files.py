"""Where VQA v2 and VQA-CP v2 are published: names, zips, their bytes and sha256.

Source   https://visualqa.org/download.html; VQA-CP: arXiv:1712.00377
Known    the one server that has VQA-CP has often not answered since 2022, as others report
"""

from __future__ import annotations

from clipvil.core import Download, OfficialFile

YEARS = {"train": "train2014", "val": "val2014", "test": "test2015", "test-dev": "test-dev2015"}
PICTURES = YEARS | {"test-dev": "test2015"}  # a part of the test pictures
SOURCE = "https://visualqa.org/download.html"
ZIPS = "https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa/v2_{}_mscoco.zip"
QUESTIONS = {  # split -> zip, its bytes and sha256
    "train": (
        "Questions_Train",
        7_239_401,
        "05a64b6e2582d06d7585f5429674a9a33851878be1bff9f8668cdcf792df611e",
    ),
    "val": (
        "Questions_Val",
        3_494_929,
        "e71f6c5c3e97a51d050f28243e262b28cd0c48d11a6b4632d769d30d3f93222a",
    ),
    "test": (
        "Questions_Test",
        None,
        "982e2e687a86514b78ea83af356d151976c5e3fb4168a29ca543610574082ad7",
    ),
}
ANNOTATIONS = {
    "train": (
        "Annotations_Train",
        21_708_861,
        "fb101bcefe91422c543c2bb6d70af11eb3119d0ff745ae283d09acdf66250853",
    ),
    "val": (
        "Annotations_Val",
        10_518_930,
        "0caae7c8d1dafd852727f5ac046bc1efca9b72026bd6ffa34fc489f3a7b3291e",
    ),
}


def official(
    role: str, split: str, name: str, archive: tuple[str, int | None, str]
) -> OfficialFile:
    """A file that is published in a zip."""
    zipped, size, sha256 = archive
    download = Download(urls=(ZIPS.format(zipped),), member=name, bytes=size, sha256=sha256)
    return OfficialFile(role=role, split=split, name=name, source=SOURCE, download=download)


FILES = tuple(
    official("questions", split, f"v2_OpenEnded_mscoco_{year}_questions.json",
             QUESTIONS.get(split, QUESTIONS["test"]))  # test-dev's lie beside them
    for split, year in YEARS.items()
) + tuple(
    official("annotations", split, f"v2_mscoco_{YEARS[split]}_annotations.json", archive)
    for split, archive in ANNOTATIONS.items()
)  # fmt: skip
CP_SOURCE = "https://computing.ece.vt.edu/~aish/vqacp"
CP_YEARS = {"train": "train2014", "test": "val2014"}  # of tiny pictures; questions name their own
CP_FILES = tuple(
    OfficialFile(
        role=role, split=split, name=name, source=CP_SOURCE,
        download=Download(urls=(f"{CP_SOURCE}/{name}",)),
    )
    for role in ("questions", "annotations") for split in CP_YEARS
    for name in (f"vqacp_v2_{split}_{role}.json",)
)  # fmt: skip
