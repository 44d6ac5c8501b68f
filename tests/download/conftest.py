"""A real web server of this machine that can be told to misbehave, request by request."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass(frozen=True)
class Act:
    """How one request is answered; the default is a good server."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()  # instead of, or beside, its own
    body: bytes | None = None  # instead of the file
    cut: int | None = None  # bytes after which the connection is closed
    ranges: bool = True
    pause: float = 0.0  # seconds before every piece of 64 kB
    length: bool = True  # whether the length is told
    stall: float = 0.0  # seconds of silence before the body


@dataclass
class Served:
    """What the server has, what it will do, and what it was asked."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    acts: dict[str, list[Act]] = field(default_factory=lambda: defaultdict(list))
    always: Act = Act()  # once `acts` are played
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


def handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            served.asked.append((name, {k.lower(): v for k, v in self.headers.items()}))
            acts = served.acts[name]
            act = acts.pop(0) if acts else served.always
            content = act.body if act.body is not None else served.files.get(name)
            if content is None or act.status != 200:
                self.send_response(404 if act.status == 200 else act.status)
                for header in (*act.headers, ("Content-Length", "0")):
                    self.send_header(*header)
                self.end_headers()
                return
            etag = served.etags.get(name, '"one"')
            start, total = 0, len(content)
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked and act.ranges and self.headers.get("If-Range", etag) == etag:
                start = int(asked[1])
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                headers = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
            else:
                self.send_response(200)
                headers = {}
            headers |= {"ETag": etag}
            if act.length:
                headers |= {"Content-Length": str(total - start)}
            for header in (headers | dict(act.headers)).items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.flush()
            time.sleep(act.stall)
            end = total if act.cut is None else min(total, start + act.cut)
            try:
                for place in range(start, end, 1 << 16):
                    time.sleep(act.pause)
                    self.wfile.write(content[place : min(end, place + (1 << 16))])
            except (BrokenPipeError, ConnectionResetError):
                pass  # the other side was killed, or had enough
            self.close_connection = True

    return Handler


@pytest.fixture
def server() -> Iterator[Served]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    http.daemon_threads = True
    served = Served(f"http://127.0.0.1:{http.server_port}")
    http.RequestHandlerClass = handler(served)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    http.shutdown()
    thread.join()
    http.server_close()
