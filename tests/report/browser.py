"""Drive a real headless Chromium over a pair of pipes: no socket, no driver, no library."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
]

KEYS: Final[Mapping[str, tuple[str, int, str]]] = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    " ": ("Space", 32, " "),
    "PageDown": ("PageDown", 34, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
}
"""A key's code, its number on Windows, and the text that it types."""


class BrowserError(Exception):
    """The browser answered a command with an error, threw in a page, or did not answer in time."""


@dataclass(slots=True)
class Browser:
    """One browser process. ``events`` are the notices that came while a command waited for its answer."""

    folder: Path
    process: subprocess.Popen[bytes] = field(init=False)
    to: int = field(init=False)
    back: int = field(init=False)
    last: int = 0
    rest: bytes = b""
    events: deque[dict[str, Any]] = field(default_factory=deque)

    def __enter__(self) -> Self:
        assert CHROMIUM
        reads, self.to = os.pipe()
        self.back, writes = os.pipe()
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        command = f'exec "$0" "$@" 3<&{reads} 4>&{writes}'
        self.process = subprocess.Popen(  # noqa: S603 - a command of ours
            ["/bin/bash", "-c", command, CHROMIUM, *FLAGS, f"--user-data-dir={self.folder}"],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close")
        finally:
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            os.close(self.to)
            os.close(self.back)

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its result. Raises ``BrowserError``."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self._write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read(timeout=60)
            if answer.get("id") != self.last:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise BrowserError(f"{method}: {answer['error']}")
            result: dict[str, Any] = answer["result"]
            return result

    def page(self, width: int, height: int, *, dark: bool) -> "Page":
        """Open an empty tab of that size, in that colour scheme."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        mobile = width < 700
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        page.call("Emulation.setTouchEmulationEnabled", enabled=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        return page

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.to, data) :]

    def _read(self, timeout: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            if not select.select([self.back], [], [], timeout)[0]:
                raise BrowserError(f"no answer in {timeout} s")
            chunk = os.read(self.back, 1 << 20)
            if not chunk:
                raise BrowserError("the browser ended")
            self.rest += chunk
        message, _, self.rest = self.rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@dataclass(slots=True)
class Page:
    """One tab."""

    browser: Browser
    session: str
    target: str

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def open(self, path: Path) -> float:
        """Open the file and wait until its script is done; return the seconds that it took."""
        start = time.monotonic()
        self.call("Page.navigate", url=path.as_uri())
        while not self.run("document.documentElement?.dataset.ready === 'yes'"):
            if time.monotonic() - start > 60:
                raise BrowserError(f"the page is not ready: {self.problems()}")
            time.sleep(0.02)
        return time.monotonic() - start

    def run(self, script: str) -> Any:
        """Run the script in the page and return its JSON value; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script[:200]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys one after the other; a name of ``KEYS``, ``Shift+Tab``, ``Ctrl+End``, or a character."""
        for key in keys:
            name = key.removeprefix("Shift+").removeprefix("Ctrl+")
            modifiers = 8 if key.startswith("Shift+") else 2 if key.startswith("Ctrl+") else 0
            code, number, text = KEYS.get(name, ("", 0, name))
            what = {"key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
            self.call("Input.dispatchKeyEvent", type="keyDown", **what, **({"text": text} if text else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    def settle(self, seconds: float = 0.25) -> None:
        """Let timers and two frames pass."""
        wait = f"setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), {int(seconds * 1000)})"
        self.run(f"new Promise((done) => {wait}).then(() => true)")

    def screenshot(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def problems(self) -> list[str]:
        """Return every console error, exception, and refused load of this tab so far."""
        found: list[str] = []
        for event in self._events():
            method, params = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append(f"{details['text']} {details.get('exception', {}).get('description', '')}")
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(f"{params['type']}: {params['args']}")
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Return the address of every request of this tab so far."""
        return [
            event["params"]["request"]["url"]
            for event in self._events()
            if event["method"] == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)

    def _events(self) -> list[dict[str, Any]]:
        self.run("1")  # what happened before this has been received after it
        return [event for event in self.browser.events if event.get("sessionId") == self.session]
