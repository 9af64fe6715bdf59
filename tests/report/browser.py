"""A real browser, driven through its DevTools protocol: what a page shows, asks for, complains of, and prints.

Debian's `chromium`, without a window. Its protocol is JSON over a WebSocket, for which the recorder's own client is
there already; more than this file needs of it, no test needs.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

import websocket

#: How long anything may take, seconds. Ample: other tests share the machine.
PATIENCE_S = 60.0
A4_INCHES = {"paperWidth": 8.27, "paperHeight": 11.69}


def program() -> str | None:
    """Where the browser is; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """A browser, as a context manager."""

    def __enter__(self) -> Self:
        found = program()
        assert found is not None, "apt-get install chromium"
        self._folder = Path(tempfile.mkdtemp(prefix="recorder-browser-"))
        switches = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage"]
        if os.geteuid() == 0:
            switches.append("--no-sandbox")  # the sandbox refuses to run as root
        address = ["--remote-debugging-port=0", f"--user-data-dir={self._folder}"]
        self._process = subprocess.Popen(
            [found, *switches, *address, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._port = self._wait_for_port()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def open(self, page: Path, *, width: int = 900) -> Iterator["Page"]:
        """Load a file, and wait until it is there."""
        asked = Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        with urlopen(asked, timeout=PATIENCE_S) as answer:
            target = json.load(answer)
        line = websocket.create_connection(
            target["webSocketDebuggerUrl"], timeout=PATIENCE_S, suppress_origin=True, max_size=None
        )
        try:
            opened = Page(line)
            opened.load(page, width)
            yield opened
        finally:
            line.close()

    def _wait_for_port(self) -> int:
        answer = self._folder / "DevToolsActivePort"
        until_s = time.monotonic() + PATIENCE_S
        while not (answer.exists() and answer.read_text().count("\n")):
            assert self._process.poll() is None, "the browser did not start"
            assert time.monotonic() < until_s, "the browser answer no port"
            time.sleep(0.02)  # a file that the browser writes: nothing else tells
        return int(answer.read_text().splitlines()[0])


class Page:
    """A page in the browser.

    Attributes:
        complaints: what it logged, threw or was refused.
        requests: the addresses that it asked for.
    """

    def __init__(self, line: websocket.WebSocket) -> None:
        self._line = line
        self._number = 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._loaded = False

    def load(self, page: Path, width: int) -> None:
        """Go there."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=1200, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=page.absolute().as_uri())
        while not self._loaded:
            self._next()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something."""
        self._number += 1
        number = self._number
        self._line.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """The words that a reader sees."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def table(self, selector: str) -> list[list[str]]:
        """The cells of the rows of a table."""
        rows = f"[...document.querySelectorAll({json.dumps(selector + ' tbody tr')})]"
        cells: list[list[str]] = self.evaluate(f"{rows}.map(row => [...row.cells].map(cell => cell.innerText))")
        return cells

    def boxes(self, selector: str) -> list[tuple[float, float, float, float]]:
        """Left, top, width and height of what is drawn."""
        each = "box => [box.left, box.top, box.width, box.height]"
        found = f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.getBoundingClientRect())"
        return [(box[0], box[1], box[2], box[3]) for box in self.evaluate(f"{found}.map({each})")]

    def printed(self) -> bytes:
        """The page as a PDF on A4, as a browser prints it: without backgrounds, unless the page insists."""
        answer = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False, **A4_INCHES)
        return b64decode(answer["data"])

    def screenshot(self, height: int | None = None) -> bytes:
        """The page as a PNG, all of it or its beginning."""
        self.call("Page.bringToFront")  # a tab behind another is never drawn: its picture never comes
        width, whole = self.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height or whole, "scale": 1}
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return b64decode(answer["data"])

    def _next(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._line.recv())
        parameters = answer.get("params", {})
        match answer.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(json.dumps(parameters))
        return answer


def pages(pdf: bytes) -> int:
    """How many pages a PDF has."""
    return len(re.findall(rb"/Type\s*/Page\b", pdf))
