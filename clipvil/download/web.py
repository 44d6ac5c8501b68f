"""HTTP: a request, its answer as it comes, and whether it is worth another attempt.

Source   https://www.rfc-editor.org/rfc/rfc9110, 10.2.3 Retry-After
"""

from __future__ import annotations

import datetime
import email.utils
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import IO, Any

CHUNK = 1 << 18
AGAIN = {408, 425, 429, 500, 502, 503, 504}  # answers of a server that is merely busy
TRANSPORT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError,
             ssl.SSLError)  # fmt: skip


class RefusedError(Exception):
    """A mirror does not have the file, or has another one."""


class AgainError(Exception):
    """An attempt failed, and another may not; `wait` is what the server asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class NoSuchRangeError(AgainError):
    """There is less of the file than has come."""


def chunks(response: Any) -> Iterator[bytes]:
    """The body as it comes."""
    while True:
        try:
            chunk = response.read1(CHUNK)
        except TRANSPORT as error:
            raise AgainError(f"the connection broke ({_said(error)})") from error
        if not chunk:
            return
        yield chunk


def opened(request: urllib.request.Request, timeout: float) -> Any:
    """The answer to a request, if it is the file or a piece of it."""
    try:
        return OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        said = f"answers {error.code} {error.reason}".rstrip()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise NoSuchRangeError(said) from error
        if error.code in AGAIN:
            raise AgainError(said, retry_after(error.headers)) from error
        raise RefusedError(said) from error
    except TRANSPORT as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise RefusedError(f"cannot prove who it is ({_said(error)})") from error
        raise AgainError(f"no connection ({_said(error)})") from error


def retry_after(headers: Message) -> float | None:
    """Seconds that a server asks to wait, given as such or as a date."""
    said = headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        date = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _said(error: BaseException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason) or type(reason).__name__


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects to web servers, never from an encrypted connection to an open one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        scheme = newurl.partition(":")[0].lower()
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise urllib.error.HTTPError(newurl, code, f"and leads to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS alone: no redirect reads a file of this machine."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


OPENER = _opener()
