"""What a real browser makes of the page: nothing is fetched, nothing sticks out on a phone."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clipvil.evaluate.result import About, Record
from clipvil.report import page, view

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# put into a copy of the page; a frame of 360 pixels is what a phone shows
MEASURE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *")].filter(e =>
    !e.closest(".scroll") && !e.closest("svg") && e.getBoundingClientRect().right > innerWidth + 1);
  parent.postMessage({width: innerWidth, scroll: document.documentElement.scrollWidth,
    wide: wide.map(e => e.tagName + "." + e.className),
    asked: performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:"))
      .map(e => e.name),
    letters: Math.min(...[...document.querySelectorAll("figure svg text")].map(t =>
      parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a))}, "*");
});</script>"""
FRAME = """<!doctype html><body style="margin:0"><iframe src="page.html" style="border:0;width:%dpx;
height:800px"></iframe><pre id="out"></pre><script>addEventListener("message", e => {
document.getElementById("out").textContent = JSON.stringify(e.data); });</script>"""


class Served(BaseHTTPRequestHandler):
    """The page and its frame; whatever else is asked for is written down."""

    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        self.send_response(200 if content else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def served(records: list[Record], about: About) -> Iterator[ThreadingHTTPServer]:
    text = page.html(view.comparisons(records), [about])
    Served.files = {"/page.html": text.replace("</body>", MEASURE + "</body>").encode()}
    Served.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no chromium to look with")
@pytest.mark.parametrize("width", [360, 800])
def test_nothing_is_fetched_and_nothing_sticks_out(
    served: ThreadingHTTPServer, tmp_path: Path, width: int
) -> None:
    Served.files["/frame.html"] = (FRAME % width).encode()
    address = f"http://127.0.0.1:{served.server_address[1]}/frame.html"
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path}", "--window-size=1280,900",
               "--virtual-time-budget=8000", "--dump-dom", address]  # fmt: skip
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    match = re.search(r'<pre id="out">(\{.*?\})</pre>', dumped, re.DOTALL)
    assert match, dumped[-500:]
    seen = json.loads(match.group(1).replace("&gt;", ">").replace("&amp;", "&"))
    assert seen["width"] == width
    assert seen["scroll"] <= width and seen["wide"] == []
    assert seen["asked"] == [] and set(Served.asked) <= {
        "/frame.html",
        "/page.html",
        "/favicon.ico",
    }
    assert seen["letters"] >= 9, "letters in figures, in CSS pixels"
