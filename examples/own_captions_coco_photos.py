"""Photographs of COCO as own data: `python examples/own_captions_coco_photos.py FILE IMAGES DIR`.

FILE has captions in COCO's format, IMAGES its pictures. Every fifth picture is for testing. Writes
DIR/{train,test}.jsonl beside copies of the pictures; then, with weights made by
examples/convert_efficientnet_lite0.py:

    E=timm:tf_efficientnet_lite0,weights=lite0.safetensors
    clipvil data check --task caption --data DIR
    clipvil train caption_captioner --data DIR --encoder $E --out run
    clipvil evaluate run
    clipvil score caption --predictions run/answers-test.json --annotations DIR/test.jsonl
    clipvil explain run --image DIR/test/NAME.jpg --out strip.png
"""

import json
import shutil
import sys
from collections import defaultdict
from pathlib import Path

file, images, root = map(Path, sys.argv[1:])
told = json.loads(file.read_text())
captions = defaultdict(list)
for row in told["annotations"]:
    captions[row["image_id"]].append(row["caption"])
pictures = sorted(told["images"], key=lambda picture: int(picture["id"]))
for split, chosen in (
    ("train", [p for k, p in enumerate(pictures) if k % 5 != 4]),
    ("test", pictures[4::5]),
):
    (root / split).mkdir(parents=True, exist_ok=True)
    with (root / f"{split}.jsonl").open("w") as out:
        for picture in chosen:
            name = f"{split}/{picture['file_name']}"
            shutil.copy(images / picture["file_name"], root / name)
            for caption in captions[picture["id"]]:
                out.write(json.dumps({"image": name, "caption": caption}) + "\n")
    print(f"{split}: {len(chosen)} pictures")
