"""A served app and a headless Chromium that looks at it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from mien.app.server import create_app
from mien.app.service import PortraitService

PATIENCE = 240.0
"""Seconds that anything may take on a busy machine."""


@contextmanager
def served(service: PortraitService, **options: Any) -> Iterator[str]:
    """The address of a running app."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(service, **options), log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()


def chromium(width: int = 1440, height: int = 1000, *, camera: bool = True) -> Any:
    """A browser without a screen, with a camera that shows a test picture or none; None where there is no browser."""
    if shutil.which("chromedriver") is None:
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    more = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") if camera else ()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}", *more):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(PATIENCE)
    return driver


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """What a condition gives once it gives something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except Exception as error:  # an element that was just replaced
            if "StaleElement" not in type(error).__name__ and "NoSuchElement" not in type(error).__name__:
                raise
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE:g} s for {what or condition}")
