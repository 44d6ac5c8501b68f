"""One file over HTTP: gone on with after a cut, checked, tried at its mirrors in order.

Source   https://www.rfc-editor.org/rfc/rfc9110 (13.1.5 If-Range, 14.4 Content-Range)

A part becomes a file only when its size and, where they are known, its published size and sha256
are right; without a sha256 a zip must be whole and JSON must parse.
"""

from __future__ import annotations

import http
import random
import re
import shutil
import time
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import Any

from clipvil import __version__, progress
from clipvil.core import Download
from clipvil.download.part import Note, Part, check
from clipvil.download.web import AgainError, NoSuchRangeError, RefusedError, chunks, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is borne with; seconds."""

    attempts: int = 6  # in a row that bring nothing new
    pause: float = 1.0  # before the second attempt; it doubles
    longest: float = 120.0  # that a server may ask to wait
    timeout: float = 30.0  # without a byte


def fetch(download: Download, part: Part, patience: Patience) -> str:
    """Bring `part` to the whole, checked file; returns the mirror it came from.

    Raises
        ValueError: no mirror gave it, with the reason of each
        OSError: not enough disk
    """
    reasons = list[str]()
    for url in download.urls:
        for _ in range(2):
            try:
                pieced = _complete(url, download, part, patience)
            except RefusedError as error:
                reason = str(error)
                break
            try:
                check(part, download)
                return url
            except ValueError as error:
                part.remove()
                reason = str(error)
            if not pieced:  # else a piece may have been of another version
                break
        reasons.append(f"{url}: {reason}")
        progress.say(reasons[-1])
    raise ValueError("; ".join(reasons))


def _complete(url: str, download: Download, part: Part, patience: Patience) -> bool:
    """Attempt until every byte is there; returns whether they may have come in several pieces."""
    vain, most = 0, part.size
    while True:
        pieced = part.size > 0
        try:
            _attempt(url, download, part, patience)
            return pieced
        except AgainError as error:
            vain = 0 if part.size > most else vain + 1
            most = max(most, part.size)
            if vain >= patience.attempts:
                raise RefusedError(f"{error}, {vain} times") from error
            wait = error.wait
            if wait is None:
                wait = patience.pause * 2 ** max(0, vain - 1) * random.uniform(0.5, 1.0)
            if wait > patience.longest:
                raise RefusedError(f"{error}; asks for {progress.duration(wait)}") from error
            progress.say(f"{part.name}: {error}; again in {progress.duration(wait)}")
            time.sleep(wait)


def _attempt(url: str, download: Download, part: Part, patience: Patience) -> None:
    note = part.note()
    start = part.size if note is not None else 0
    if note is not None and start and start == note.total:
        return  # stopped between the last byte and the check
    headers = {"User-Agent": f"clipvil/{__version__}", "Accept-Encoding": "identity"}
    if note is not None and start:
        if note.url == url and note.validator is not None:
            headers |= {"Range": f"bytes={start}-", "If-Range": note.validator}
        elif download.sha256 is not None:  # what does not fit will be found out
            headers |= {"Range": f"bytes={start}-"}
    try:
        response = opened(urllib.request.Request(url, headers=headers), patience.timeout)
    except NoSuchRangeError:
        part.remove()
        raise
    with response:
        start, total = _agreed(response, url, download, part, start)
        free = shutil.disk_usage(part.path.parent).free
        if total is not None and total - start > free:
            needed = progress.size(total - start)
            raise OSError(f"{part.name} needs {needed} more, {progress.size(free)} are free")
        coming = progress.transfer(chunks(response), part.name, done=start, total=total)
        with part.path.open("ab") as file:
            for chunk in coming:
                file.write(chunk)
    if total is not None and part.size < total:
        raise AgainError(f"cut off at {part.size:,} of {total:,} bytes")


def _agreed(
    response: Any, url: str, download: Download, part: Part, start: int
) -> tuple[int, int | None]:
    """(first byte that comes, bytes of the whole); begins anew where the server does."""
    headers: Message = response.headers
    if (packed := headers.get("Content-Encoding", "identity")) != "identity":
        raise RefusedError(f"sends it packed as {packed}")
    length = headers.get("Content-Length", "")
    total = int(length) if length.isascii() and length.isdigit() else None
    note = part.note()
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        total = None if found is None or found[2] == "*" else int(found[2])
        changed = note is not None and None not in (note.total, total) and note.total != total
        if found is None or int(found[1]) != start or changed:
            part.remove()
            raise AgainError("sent another piece than it was asked for")
        if total is None and note is not None:
            total = note.total
    else:
        start = 0
    if None not in (total, download.bytes) and total != download.bytes:
        raise RefusedError(f"has {total:,} bytes where {download.bytes:,} are published")
    if start == 0:
        etag = headers.get("ETag", "W/")
        validator = headers.get("Last-Modified") if etag.startswith("W/") else etag
        part.begin(Note(url, total, validator))
    return start, total if total is not None else download.bytes
