"""Pictures, opened: upright, in RGB, 8 bits; what cannot be read is a reason in one phrase.

Orientation is EXIF's (https://www.media.mit.edu/pia/Research/deepview/exif.html). Transparent
pixels are laid over white, as a page shows them; 16-bit greys keep their upper 8 bits.
"""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from clipvil.files import Member

LIMIT = 89_478_485  # pixels; Pillow's own: a quarter of a gigabyte as RGB
# whatever a file is called: Pillow would hand PostScript to an interpreter, where there is one
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
ORIENTATION = 0x0112  # EXIF tag
ODD = (b"Exif", b"tiff:Orientation", b"MPF\0")  # in a JPEG that may be turned, or several in one
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BrokenPictureError(ValueError):
    """A picture that cannot be read; the message is the reason, without the path."""


def size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of the upright picture, from its header.

    Raises
        BrokenPictureError: empty, not a picture, too large, or not readable
    """
    try:
        # not in `read`, which threads call: the filter belongs to the whole process
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_(path) as picture:
                width, height = picture.size
                return (height, width) if orientation(picture) >= 5 else (width, height)
    except BrokenPictureError:
        raise
    except Exception as error:  # Pillow's readers raise anything on hostile bytes
        raise BrokenPictureError(reason(error)) from error


def read(path: Path) -> Image.Image:
    """The whole picture, upright, in RGB.

    Raises
        BrokenPictureError: as `size`, and truncated or damaged data
        MemoryError: it is within the limit, and there is too little memory for it now
    """
    try:
        with open_(path) as picture:
            return upright(picture)
    except (BrokenPictureError, MemoryError):  # its size is known: no fault of the picture's
        raise
    except Exception as error:  # Pillow's readers raise anything on hostile bytes
        raise BrokenPictureError(reason(error)) from error


def require(path: Path) -> None:
    """See that a picture that somebody named can be read.

    Raises
        ValueError: it cannot; names it and says why
    """
    try:
        read(path)
    except BrokenPictureError as error:
        raise ValueError(f"{path}: {error}") from error


def read_jpeg(path: Path) -> NDArray[np.uint8] | None:
    """[H, W, 3] of a plain JPEG: the pixels of `read`, sooner; none where `read` is needed.

    Pillow stays the judge of what is odd (turned, CMYK) and of what is broken.
    """
    import simplejpeg

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        content = path.read_bytes()
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if height * width > LIMIT or colours not in ("Gray", "RGB", "YCbCr"):
            return None
        # Pillow's look at the header takes a tenth of the time, and most files have nothing there
        head = before_pixels(content)
        if any(mark in head for mark in ODD) and not plain(path):
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content)
    except Exception:  # hostile bytes raise anything
        return None
    return pixels


def before_pixels(content: bytes) -> bytes:
    """The segments of a JPEG up to its first scan; one that cannot be walked raises anything."""
    place = 2
    while content[place + 1] != 0xDA:  # start of scan
        if content[place] != 0xFF or content[place + 1] == 0xFF:
            raise ValueError("no segment")
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return content[:place]


def plain(path: Path) -> bool:
    """Whether Pillow takes a file for one JPEG that stands upright."""
    with open_(path) as picture:
        return picture.format == "JPEG" and orientation(picture) == 1


def open_(path: Path) -> Image.Image:
    """Open a picture's header, if it is a file, not empty and not a decompression bomb."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe would keep its reader waiting
        raise BrokenPictureError("not a regular file")
    if about.st_size == 0:
        raise BrokenPictureError("empty file")
    content = io.BytesIO(path.read_bytes()) if isinstance(path, Member) else path
    picture = Image.open(content, formats=FORMATS)
    if picture.width * picture.height > LIMIT:
        picture.close()
        raise BrokenPictureError(f"{picture.width} x {picture.height}: over {LIMIT:,} pixels")
    return picture


def upright(picture: Image.Image) -> Image.Image:
    """The picture as a person sees it, in RGB; what is upright already stays as it is."""
    turn = TURNS.get(orientation(picture))
    seen = rgb(picture)
    if turn is not None:
        seen = seen.transpose(turn)
    if seen is not picture:
        seen.info = {}  # it must not be turned, or laid over white, a second time
    return seen


def orientation(picture: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) to 8."""
    if "exif" not in picture.info and picture.format == "PNG":
        return 1  # Pillow would decode the whole picture to look behind its data
    if picture.format == "TIFF":
        return 1  # Pillow turns these itself
    found = picture.getexif().get(ORIENTATION, 1)
    return found if found in TURNS else 1


def rgb(picture: Image.Image) -> Image.Image:
    """The picture in RGB, whatever its mode."""
    if picture.mode.startswith("I"):  # 16 bits, some of them in a container of 32
        grey = np.clip(np.asarray(picture).astype(np.int64), 0, 65_535) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise BrokenPictureError("floating-point pictures have no agreed range")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(page, layer).convert("RGB")
    if picture.mode == "RGB":
        picture.load()
        return picture
    return picture.convert("RGB")


def reason(error: Exception) -> str:
    """Why a picture could not be read, the same on every machine."""
    match error:
        case UnidentifiedImageError():
            return f"not a picture in a format that is read ({', '.join(FORMATS)})"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return f"over {LIMIT:,} pixels"
        case OSError(strerror=str(said)):
            return f"cannot be read: {said}"
        case _:
            return f"damaged: {error}" if str(error) else f"damaged: {type(error).__name__}"
