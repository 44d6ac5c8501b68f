"""One file from a real server that misbehaves: whole and right in the end, or not there at all."""

import gzip
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipvil.core import Download
from clipvil.download.fetch import Patience, fetch
from clipvil.download.part import Part
from clipvil.download.web import retry_after
from tests.download.conftest import Act, Served

QUICK = Patience(attempts=3, pause=0.01, longest=2.0, timeout=1.0)
CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path, "f.bin")


def download(server: Served, sha256: str | None = SHA256, size: int | None = None) -> Download:
    return Download(urls=(server.url("f.bin"),), sha256=sha256, bytes=size)


BEARABLE: dict[str, list[Act]] = {
    "nothing wrong": [],
    "cut twice": [Act(cut=100_000), Act(cut=120_000)],
    "cut at once": [Act(cut=0), Act(cut=1)],
    "ranges ignored": [Act(cut=100_000), Act(ranges=False)],
    "busy": [Act(503), Act(503, headers=(("Retry-After", "0"),)), Act(cut=70_000), Act(429)],
    "wrong piece": [Act(cut=100_000),
                    Act(headers=(("Content-Range", f"bytes 7-299999/{len(CONTENT)}"),))],
    "no piece at all": [Act(cut=100_000), Act(headers=(("Content-Range", "all of it"),))],
    "length too large": [Act(headers=(("Content-Length", "400000"),))],
    "silent": [Act(stall=1.5)],
    "silent in the middle": [Act(cut=100_000), Act(stall=1.5)],
    "slow": [Act(pause=0.1)],
    "length not told": [Act(length=False)],
    "other bytes at first": [Act(cut=100_000), Act(body=bytes(len(CONTENT)), cut=50_000)],
    "less of it now": [Act(cut=200_000), Act(body=CONTENT[:1000])],
    "redirected": [Act(302, headers=(("Location", "/other.bin"),))],
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(BEARABLE))
def test_what_can_be_borne_ends_in_the_whole_file(kind: str, server: Served, part: Part) -> None:
    server.files |= {"f.bin": CONTENT, "other.bin": CONTENT}
    server.acts["f.bin"] = list(BEARABLE[kind])
    assert fetch(download(server), part, QUICK) == server.url("f.bin")
    assert part.path.read_bytes() == CONTENT


def test_only_what_is_missing_is_asked_for(server: Served, part: Part) -> None:
    server.files["f.bin"] = CONTENT
    server.acts["f.bin"] = [Act(cut=100_000)]
    fetch(download(server, sha256=None), part, QUICK)
    (_, first), (_, second) = server.asked
    assert "range" not in first and first["accept-encoding"] == "identity"
    assert (second["range"], second["if-range"]) == ("bytes=100000-", '"one"')


def test_what_has_changed_meanwhile_is_fetched_from_its_start(server: Served, part: Part) -> None:
    old, new = CONTENT, CONTENT[::-1]
    server.files["f.bin"] = old
    server.acts["f.bin"] = [Act(cut=100_000), Act(404)]
    with pytest.raises(ValueError, match="answers 404"):
        fetch(download(server, sha256=None), part, QUICK)
    assert part.size == 100_000, "what has come is kept for the next time"
    server.files["f.bin"], server.etags["f.bin"] = new, '"two"'
    fetch(download(server, sha256=None), part, QUICK)
    assert part.path.read_bytes() == new


def test_without_a_mark_of_the_version_nothing_is_pieced_together(
    server: Served, part: Part
) -> None:
    server.files["f.bin"], server.etags["f.bin"] = CONTENT, 'W/"weak"'
    server.acts["f.bin"] = [Act(cut=100_000)]
    fetch(download(server, sha256=None), part, QUICK)
    assert all("range" not in headers for _, headers in server.asked)
    assert part.path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Act(404), "answers 404"),
        (Act(403), "answers 403"),
        (Act(410), "answers 410"),
        (Act(503), "answers 503 Service Unavailable, 3 times"),
        (Act(503, headers=(("Retry-After", "3600"),)), "asks for 1 h 0 min"),
        (Act(cut=0), r"cut off at 0 of 300,000 bytes, 3 times"),
        (Act(body=bytes(len(CONTENT))), "its sha256 is .* is published"),
        (Act(body=b"<html>log in</html>"), "its sha256 is"),
        (Act(headers=(("Content-Length", "1000"),)), "its sha256 is"),
        (Act(headers=(("Content-Encoding", "gzip"),)), "sends it packed as gzip"),
        (Act(302, headers=(("Location", "/f.bin"),)), "answers 302"),
        (Act(302, headers=(("Location", "file:///etc/passwd"),)), "answers 302"),
        (Act(302, headers=(("Location", "ftp://127.0.0.1/x"),)), "answers 302"),
    ],
)
def test_what_cannot_be_borne_is_told(act: Act, message: str, server: Served, part: Part) -> None:
    server.files["f.bin"], server.always = CONTENT, act
    with pytest.raises(ValueError, match=message):
        fetch(download(server), part, QUICK)


def test_a_size_that_is_not_the_published_one_is_refused_before_it_comes(
    server: Served, part: Part
) -> None:
    server.files["f.bin"] = CONTENT
    with pytest.raises(ValueError, match="has 300,000 bytes where 300,001 are published"):
        fetch(download(server, size=len(CONTENT) + 1), part, QUICK)
    assert part.size == 0


def test_what_was_begun_wrong_is_fetched_once_more(server: Served, part: Part) -> None:
    server.files["f.bin"] = CONTENT
    server.acts["f.bin"] = [Act(body=bytes(len(CONTENT)), cut=1000), Act(404)]
    with pytest.raises(ValueError, match="404"):
        fetch(download(server), part, QUICK)
    assert part.path.read_bytes() == bytes(1000)
    fetch(download(server), part, QUICK)
    assert part.path.read_bytes() == CONTENT


def test_mirrors_are_tried_in_order(server: Served, part: Part) -> None:
    server.files |= {"b/f.bin": bytes(9), "c/f.bin": CONTENT, "d/f.bin": CONTENT}
    urls = tuple(server.url(f"{folder}/f.bin") for folder in "abcd")
    server.acts["c/f.bin"] = [Act(cut=1000)]
    assert fetch(Download(urls=urls, sha256=SHA256), part, QUICK) == urls[2]
    assert [name for name, _ in server.asked] == ["a/f.bin", "b/f.bin", "c/f.bin", "c/f.bin"]
    assert part.path.read_bytes() == CONTENT
    part.remove()
    with pytest.raises(ValueError, match=r"a/f\.bin: answers 404.*; .*b/f\.bin: its sha256"):
        fetch(Download(urls=urls[:2], sha256=SHA256), part, QUICK)


def test_nobody_there(part: Part) -> None:
    with pytest.raises(ValueError, match=r"no connection .*, 3 times"):
        fetch(Download(urls=("http://127.0.0.1:1/f.bin",)), part, QUICK)


ROWS = json.dumps([{"id": k} for k in range(9_000)]).encode()


@pytest.mark.parametrize(
    ("name", "content", "cut"),
    [
        ("f.json", ROWS, lambda content: content[:-100]),
        ("f.json", ROWS, lambda content: b"<html>log in</html>"),
        (
            "f.jsonl.gz",
            gzip.compress(b'{"a": 1}\n' * 9, mtime=0),
            lambda content: content[:-9],
        ),
        ("f.zip", packed({"a": ROWS}), lambda content: content[:-30]),
        ("f.zip", packed({"a": ROWS}), lambda content: content[:60] + b"?" + content[61:]),
    ],
    ids=["json cut", "a page", "gzip cut", "zip cut", "zip damaged"],
)
def test_without_a_checksum_it_must_be_whole_of_its_kind(
    name: str, content: bytes, cut: Callable[[bytes], bytes], server: Served, tmp_path: Path
) -> None:
    part = Part(tmp_path, name)
    asked = Download(urls=(server.url(name),))
    server.files[name] = cut(content)
    with pytest.raises(ValueError, match=name):
        fetch(asked, part, QUICK)
    assert not part.path.exists() and not part.noted.exists(), "what is wrong is not gone on with"
    server.files[name] = content
    fetch(asked, part, QUICK)
    assert part.path.read_bytes() == content


acts = st.builds(
    Act,
    status=st.sampled_from([200, 200, 200, 500, 503]),
    cut=st.none() | st.integers(0, 300_000),
    ranges=st.booleans(),
    length=st.booleans(),
    body=st.sampled_from([None, None, None, bytes(len(CONTENT)), CONTENT[:5_000], b""]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(played=st.lists(acts, max_size=6))
def test_whatever_servers_do_nothing_wrong_is_taken_for_whole(
    played: list[Act], server: Served, part: Part
) -> None:
    part.remove()
    server.files["f.bin"] = CONTENT
    server.acts["f.bin"] = list(played)
    try:
        fetch(download(server), part, QUICK)
    except ValueError:
        return
    assert part.path.read_bytes() == CONTENT


def test_waiting_times_are_numbers_or_dates() -> None:
    from email.message import Message

    def said(value: str) -> float | None:
        message = Message()
        message["Retry-After"] = value
        return retry_after(message)

    assert said("7") == 7.0
    assert said("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert said("Fri, 31 Dec 2999 23:59:59 GMT") is not None
    assert said("soon") is None
    assert retry_after(Message()) is None
