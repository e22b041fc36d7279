"""Chromium driven through its DevTools protocol: what a person does with a page, without a script in it.

    with Browser(profile) as browser:
        browser.open("http://127.0.0.1:8080/shop/")
        browser.type("#q", "tea")
        browser.press("Enter")
        assert "Pot of tea" in browser.text

Scripts of pages are switched off unless `scripts` is set; the driver itself looks at the tree of the document and sends keys and clicks,
as an assistive technology would. A profile that is used again has its cookies, as after the browser was closed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from tests.e2e.lodge import NETLODGE, until
from tests.e2e.test_browser import OPTIONS

PATIENCE = 30.0


def trust(data: Path) -> None:
    """Have the browsers of this HOME, which a test has made its own, trust the lodge whose data is there."""
    command = [NETLODGE, "ca", "install", "--no-system", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "trusted" in done.stdout


class Browser:
    """One window. `options` are further options of chromium's command line."""

    def __init__(self, profile: Path, *, scripts: bool = False, options: Iterable[str] = ()) -> None:
        self._profile = profile
        self._scripts = scripts
        self._command = [
            "chromium",
            *OPTIONS,
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",
            *options,
            "about:blank",
        ]
        self._open = contextlib.ExitStack()
        self._number = 0
        self._session = ""
        self._loads = 0
        self.protocols: set[str] = set()
        """By which what was loaded came: `http/1.1`, `h2`, ..."""

    # --- its life --------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        port_file = self._profile / "DevToolsActivePort"
        port_file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            lines = until(lambda: _lines(port_file), "chromium's DevTools")
            address = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            self._connection: ClientConnection = self._open.enter_context(
                connect(address, max_size=None, proxy=None, compression=None)
            )
            targets = self._ask("Target.getTargets")["targetInfos"]
            page = next(target["targetId"] for target in targets if target["type"] == "page")
            self._session = self._ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
            self._ask("Page.enable")
            self._ask("DOM.enable")
            self._ask("Network.enable")
            if not self._scripts:
                self._ask("Emulation.setScriptExecutionDisabled", value=True)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it as a person does: what it keeps on the disk is there for the next."""
        try:
            self._session = ""
            self._ask("Browser.close")
            self._open.close()
            self._process.wait(PATIENCE)
        finally:
            self._kill()

    def _kill(self) -> None:
        self._open.close()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)

    # --- what a person does ----------------------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        self._loading(lambda: self._ask("Page.navigate", url=url))

    def click(self, selector: str) -> None:
        """Click on the first element that fits, without waiting for anything."""
        node = self._node(selector)
        self._ask("DOM.scrollIntoViewIfNeeded", nodeId=node)
        quad = self._ask("DOM.getContentQuads", nodeId=node)["quads"][0]
        place = {"x": sum(quad[0::2]) / 4, "y": sum(quad[1::2]) / 4, "button": "left", "clickCount": 1}
        self._ask("Input.dispatchMouseEvent", type="mousePressed", **place)
        self._ask("Input.dispatchMouseEvent", type="mouseReleased", **place)

    def follow(self, selector: str) -> None:
        """Click on a link or a button, and wait for the page that comes."""
        self._loading(lambda: self.click(selector))

    def type(self, selector: str, text: str) -> None:
        """Write `text` in the place of what a field has."""
        self._ask("DOM.focus", nodeId=self._node(selector))
        self._key("a", code="KeyA", modifiers=2, commands=["selectAll"])
        self._ask("Input.insertText", text=text)

    def submit(self) -> None:
        """The key Enter in the field that has the focus, and wait for the page that comes."""
        self._loading(lambda: self._key("Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"))

    def choose_file(self, selector: str, path: Path) -> None:
        self._ask("DOM.setFileInputFiles", nodeId=self._node(selector), files=[str(path)])

    # --- what a person sees ----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        history = self._ask("Page.getNavigationHistory")
        url: str = history["entries"][history["currentIndex"]]["url"]
        return url

    @property
    def text(self) -> str:
        """The words of the page."""
        document = self._ask("DOM.getDocument", depth=-1)["root"]
        return " ".join(" ".join(_texts(document)).split())

    def attribute(self, selector: str, name: str) -> str | None:
        pairs = self._ask("DOM.getAttributes", nodeId=self._node(selector))["attributes"]
        return dict(zip(pairs[0::2], pairs[1::2], strict=True)).get(name)

    def size(self, selector: str) -> tuple[float, float]:
        """Width and height at which an element is shown."""
        model = self._ask("DOM.getBoxModel", nodeId=self._node(selector))["model"]
        return model["width"], model["height"]

    def style(self, selector: str, name: str) -> str:
        """A computed property, such as `display`."""
        self._ask("CSS.enable")
        properties = self._ask("CSS.getComputedStyleForNode", nodeId=self._node(selector))["computedStyle"]
        return str({each["name"]: each["value"] for each in properties}[name])

    def cookies(self) -> list[dict[str, Any]]:
        cookies: list[dict[str, Any]] = self._ask("Storage.getCookies")["cookies"]
        return cookies

    # --- the protocol ----------------------------------------------------------------------------------------------------

    def _node(self, selector: str) -> int:
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        node: int = self._ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        assert node, f"there is no {selector} on {self.url}"
        return node

    def _key(self, key: str, **more: Any) -> None:
        self._ask("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
        self._ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=more["code"])

    def _loading(self, act: Callable[[], object]) -> None:
        loads = self._loads
        act()
        deadline = time.monotonic() + PATIENCE
        while self._loads == loads:
            assert time.monotonic() < deadline, f"no page came; {self.url} says: {self.text}"
            self._receive()

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._connection.send(json.dumps(message))
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(PATIENCE))
        self._loads += message.get("method") == "Page.loadEventFired"
        if message.get("method") == "Network.responseReceived":
            self.protocols.add(message["params"]["response"]["protocol"])
        return message


def _lines(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return lines if len(lines) == 2 else []


def _texts(node: dict[str, Any]) -> Iterable[str]:
    if node["nodeType"] == 3:
        yield node["nodeValue"]
    for child in node.get("children", ()):
        yield from _texts(child)
