"""easy-VQA (the package `easy-vqa`) as own data: `python examples/own_data_easy_vqa.py DIR`.

Writes DIR/{train,test}.jsonl beside copies of the pictures; 4,000 + 1,000 pictures and 48,248
questions with one answer each.
"""

import json
import shutil
import sys
from pathlib import Path

import easy_vqa

root = Path(sys.argv[1])
for split in ("train", "test"):
    questions = getattr(easy_vqa, f"get_{split}_questions")()
    pictures = getattr(easy_vqa, f"get_{split}_image_paths")()
    (root / split).mkdir(parents=True, exist_ok=True)
    for number, path in pictures.items():
        shutil.copy(path, root / split / f"{split}_{number}.png")
    with (root / f"{split}.jsonl").open("w") as file:
        for question, answer, number in zip(*questions, strict=True):
            image = f"{split}/{split}_{number}.png"
            row = {"image": image, "question": question, "answers": [answer]}
            file.write(json.dumps(row) + "\n")
