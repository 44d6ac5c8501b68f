"""One member of a zip, and nothing else of it, to a place that the caller chooses."""

from __future__ import annotations

import errno
import shutil
import zipfile
from pathlib import Path

from clipvil import progress
from clipvil.files.members import DAMAGED, ENCRYPTED
from clipvil.files.reading import FREE, LARGEST, RATIO


def unpack(archive: Path, member: str, place: Path) -> None:
    """Write `member` of a zip to `place`; the names in the zip decide nothing.

    Where it fails, `place` may hold a beginning.

    Raises
        ValueError: it is not in the zip, encrypted, a bomb, damaged
        OSError: not enough disk
    """
    try:
        with zipfile.ZipFile(archive) as listed:
            info = listed.getinfo(member)
            if info.flag_bits & ENCRYPTED:
                raise ValueError(f"{member} is encrypted")
            if info.file_size > min(LARGEST, max(FREE, RATIO * info.compress_size)):
                raise ValueError(
                    f"{info.compress_size:,} bytes of {member} are to become "
                    f"{info.file_size:,}; no data set is like that"
                )
            free = shutil.disk_usage(place.parent).free
            if info.file_size > free:
                needed = progress.size(info.file_size)
                raise OSError(f"{member} needs {needed}, {progress.size(free)} are free")
            with listed.open(info) as packed, place.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)  # ends at the size declared
            if place.stat().st_size != info.file_size:
                raise ValueError(f"{member} is cut short")
    except (KeyError, *DAMAGED) as error:
        raise ValueError(f"{archive.name}: {error}") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # it is said to lie before the first byte
            raise ValueError(f"{archive.name}: {member} is damaged") from error
        raise
