"""Pictures of every kind come out as one sees them; what cannot be read says why."""

import io
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipvil import pictures

Colour = tuple[int, int, int]
RED, GREY, WHITE = (200, 40, 40), (128, 128, 128), (255, 255, 255)
SIDE = 16


def png(header: tuple[int, int, int, int], rows: bytes) -> bytes:
    """A PNG of width, height, bits and kind of colour."""
    width, height, bits, kind = header
    blocks = (
        b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0),
        b"IDAT" + zlib.compress(rows),
        b"IEND",
    )
    chunks = (struct.pack(">I", len(b) - 4) + b + struct.pack(">I", zlib.crc32(b)) for b in blocks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_bomb() -> bytes:
    """60,000 x 60,000 pixels in a hundred bytes."""
    return png((60_000, 60_000, 8, 2), bytes(100))


def jpeg_bomb() -> bytes:
    """A JPEG whose header says 60,000 x 60,000."""
    small = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(small, "JPEG")
    content = bytearray(small.getvalue())
    place = content.index(b"\xff\xc0")  # start of frame: length, bits, height, width
    content[place + 5 : place + 9] = struct.pack(">HH", 60_000, 60_000)
    return bytes(content)


def png16(*channels: int) -> bytes:
    """A PNG of one colour with 16 bits a channel."""
    row = b"\0" + struct.pack(f">{len(channels)}H", *channels) * SIDE
    return png((SIDE, SIDE, 16, {3: 2, 4: 6}[len(channels)]), row * SIDE)


def tiff16(*channels: int) -> bytes:
    """An uncompressed TIFF of one colour with three channels of 16 bits, low byte first."""
    pixels = struct.pack("<3H", *channels) * SIDE**2
    rows = [(256, 3, SIDE), (257, 3, SIDE), (258, 3, 16), (259, 3, 1), (262, 3, 2), (273, 4, 0),
            (277, 3, 3), (278, 3, SIDE), (279, 4, len(pixels)), (284, 3, 1)]  # fmt: skip
    bits = 8 + 2 + 12 * len(rows) + 4  # where three numbers of bits lie, then the pixels
    entries = b""
    for tag, kind, value in rows:
        count, value = (3, bits) if tag == 258 else (1, bits + 6 if tag == 273 else value)
        entries += struct.pack("<HHII", tag, kind, count, value)
    head = b"II*\0" + struct.pack("<IH", 8, len(rows)) + entries + bytes(4)
    return head + struct.pack("<3H", 16, 16, 16) + pixels


def images() -> dict[str, tuple[Image.Image, Colour]]:
    """Pictures of one colour in every mode that Pillow writes, and the colour that one sees."""
    red = Image.new("RGB", (SIDE, SIDE), RED)
    clear = Image.new("RGBA", (SIDE, SIDE), (*RED, 0))
    grey16 = Image.fromarray(np.full((SIDE, SIDE), 0x8040, np.uint16))
    palette = red.convert("P", palette=Image.Palette.ADAPTIVE)
    hidden = palette.copy()
    hidden.info["transparency"] = hidden.getpixel((8, 8))
    return {
        "rgb.png": (red, RED),
        "rgb.jpg": (red, RED),
        "rgb.webp": (red, RED),
        "rgb.bmp": (red, RED),
        "palette.png": (palette, RED),
        "palette.gif": (palette, RED),
        "hidden.png": (hidden, WHITE),
        "hidden.gif": (hidden, WHITE),
        "cmyk.tif": (red.convert("CMYK"), RED),
        "cmyk.jpg": (red.convert("CMYK"), RED),  # inverted, with Adobe's marker
        "grey.png": (Image.new("L", (SIDE, SIDE), 128), GREY),
        "grey.jpg": (Image.new("L", (SIDE, SIDE), 128), GREY),
        "grey16.png": (grey16, GREY),
        "grey16.tiff": (grey16, GREY),
        "greyalpha.png": (Image.new("LA", (SIDE, SIDE), (0, 0)), WHITE),
        "clear.png": (clear, WHITE),
        "clear.webp": (clear, WHITE),
        "half.png": (Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 127)), GREY),
        "bits.png": (Image.new("1", (SIDE, SIDE), 1), WHITE),
    }


CODED: dict[str, tuple[bytes, Colour]] = {  # what Pillow reads and does not write
    "deep.png": (png16(0xC8FF, 0x2800, 0x28FF), RED),
    "deep_clear.png": (png16(0xC8FF, 0x2800, 0x28FF, 0), WHITE),
    "deep.tiff": (tiff16(0xC8FF, 0x2800, 0x28FF), RED),
}


def shows(path: Path, colour: Colour) -> None:
    """Asserts that a picture is seen in one colour, but for what JPEG costs."""
    seen = pictures.read(path)
    apart = np.abs(np.asarray(seen).astype(int) - colour).max()
    assert seen.mode == "RGB" and seen.size == pictures.size(path) == (SIDE, SIDE)
    assert apart <= (2 if path.suffix == ".jpg" else 1)


@pytest.mark.parametrize("name", images())
def test_every_mode_becomes_the_colour_one_sees(name: str, tmp_path: Path) -> None:
    picture, colour = images()[name]
    picture.save(tmp_path / name, **({"lossless": True} if name == "rgb.webp" else {}))
    if name == "cmyk.jpg":
        assert b"Adobe" in (tmp_path / name).read_bytes()
    shows(tmp_path / name, colour)


@pytest.mark.parametrize("name", CODED)
def test_sixteen_bits_keep_their_upper_eight(name: str, tmp_path: Path) -> None:
    content, colour = CODED[name]
    (tmp_path / name).write_bytes(content)
    shows(tmp_path / name, colour)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_a_moving_picture_the_first_frame_is_seen(suffix: str, tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (SIDE, SIDE), colour) for colour in (RED, (0, 0, 255)))
    path = tmp_path / f"moving.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    first.save(path, save_all=True, append_images=[second, first], duration=100, **lossless)
    with Image.open(path) as opened:
        assert getattr(opened, "n_frames", 1) == 3
    shows(path, RED)


TURN: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # how a camera stores what it saw upright
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", TURN)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_exif_orientation_is_applied_once(orientation: int, suffix: str, tmp_path: Path) -> None:
    upright = np.zeros((SIDE, 24, 3), np.uint8)
    upright[:8, :8] = 255  # top left
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = tmp_path / f"a.{suffix}"
    exact = {"lossless": True} if suffix == "webp" else {}
    stored = np.ascontiguousarray(TURN[orientation](upright))
    Image.fromarray(stored).save(path, exif=exif, **exact)
    assert pictures.size(path) == (24, SIDE)
    seen = pictures.read(path)
    np.testing.assert_allclose(np.asarray(seen), upright, atol=2 if suffix == "jpg" else 0)
    np.testing.assert_array_equal(np.asarray(pictures.upright(seen)), np.asarray(seen))


def why(path: Path) -> str:
    """Why a picture cannot be read, once by its header or its content."""

    def both() -> None:
        pictures.size(path)
        pictures.read(path)

    with pytest.raises(pictures.BrokenPictureError) as caught:
        both()
    assert str(path.parent) not in str(caught.value), "the reason is without the path"
    return str(caught.value)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    for name, content, words in (
        ("empty.jpg", b"", "empty file"),
        ("text.jpg", b"not a picture", "not a picture in a format that is read (JPEG, "),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture in"),
        ("cut.jpg", whole.getvalue()[:-300], "damaged: image file is truncated"),
        ("head.jpg", whole.getvalue()[:100], ""),
        ("bomb.png", png_bomb(), "over 89,478,485 pixels"),
        ("bomb.jpg", jpeg_bomb(), "over 89,478,485 pixels"),
    ):
        (tmp_path / name).write_bytes(content)
        assert words in why(tmp_path / name), name
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("folder.jpg", "pipe.jpg"):
        assert why(tmp_path / name) == "not a regular file"
    (tmp_path / "zeros.jpg").symlink_to("/dev/zero")
    assert why(tmp_path / "zeros.jpg") == "not a regular file"
    assert why(tmp_path / "nowhere.jpg") == "cannot be read: No such file or directory"


def test_too_little_memory_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    Image.new("1", (5_000, 5_000)).save(tmp_path / "large.png")
    text = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from clipvil import pictures\n"
        "held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + (50 << 20),) * 2)\n"
        "pictures.read(Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", text, str(tmp_path / "large.png")]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert said.splitlines()[-1].startswith("MemoryError"), said


def test_a_picture_that_one_may_not_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    Image.new("RGB", (SIDE, SIDE)).save(path)
    path.chmod(0)
    mortal = []
    if os.geteuid() == 0:  # whom no permission stops, unless he renounces
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and there is no setpriv")
        mortal = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    program = "import sys, pathlib\nfrom clipvil import pictures\n"
    program += "try: pictures.size(pathlib.Path(sys.argv[1]))\n"
    program += "except pictures.BrokenPictureError as error: print(error)"
    command = [*mortal, sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "cannot be read: Permission denied\n", done.stderr
