"""Files: written whole or not at all, read with suspicion, found by official name."""

from clipvil.files.finding import SHIFTS as SHIFTS
from clipvil.files.finding import MissingFilesError as MissingFilesError
from clipvil.files.finding import find as find
from clipvil.files.finding import walk as walk
from clipvil.files.members import Member as Member
from clipvil.files.pictures import PICTURES as PICTURES
from clipvil.files.pictures import PictureIndex as PictureIndex
from clipvil.files.pictures import number as number
from clipvil.files.pictures import pictures as pictures
from clipvil.files.reading import SPOILT as SPOILT
from clipvil.files.reading import count_rows as count_rows
from clipvil.files.reading import decode as decode
from clipvil.files.reading import open_plain as open_plain
from clipvil.files.reading import read_json as read_json
from clipvil.files.reading import read_jsonl as read_jsonl
from clipvil.files.reading import read_rows as read_rows
from clipvil.files.writing import atomic as atomic
from clipvil.files.writing import locked as locked
from clipvil.files.writing import sha256 as sha256
from clipvil.files.writing import write_bytes as write_bytes
from clipvil.files.writing import write_json as write_json
from clipvil.files.writing import write_jsonl as write_jsonl
from clipvil.files.writing import write_rows as write_rows
