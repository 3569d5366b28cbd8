"""A browser, and a service at a port of this machine for it."""

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fullconv.serve.app import create_app
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings

CAMERA = "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
REFUSED = "Failed to load resource"
"""What browsers note of every answer above 399."""
PATIENCE = 60_000
"""Milliseconds that a busy machine may take for what takes none."""
expect.set_options(timeout=PATIENCE)


@contextlib.contextmanager
def at_port(app: FastAPI) -> Iterator[str]:
    """Serve an application in a thread for the time of a ``with``; yield its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextlib.contextmanager
def serving(**models: Path) -> Iterator[str]:
    service = Service(Settings(models=tuple((name, str(path)) for name, path in models.items()), threads=1))
    with at_port(create_app(service)) as address:
        while not service.is_ready:
            time.sleep(0.01)
        yield address


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium: the page is not tried in a browser; install Debian's chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", *CAMERA])
        yield found
        found.close()


@pytest.fixture(scope="package")
def service(checkpoint: Path) -> Iterator[str]:
    """The address of a service with one model twice."""
    with serving(scenes=checkpoint, again=checkpoint) as address:
        yield address


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page at an address; whatever the browser complains about fails the test."""
    complaints: list[str] = []
    with contextlib.ExitStack() as stack:

        def open_page(address: str, width: int = 900, height: int = 640, **how: object) -> Page:
            context = stack.enter_context(browser.new_context(viewport={"width": width, "height": height}, **how))
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    complaints.append(message.text) if message.type == "error" and REFUSED not in message.text else None
                ),
            )
            page.goto(address)
            return page

        yield open_page
    assert complaints == []


def check_access(page: Page) -> None:
    """Let axe-core look for what keeps people out."""
    found = Axe().run(page).response["violations"]
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found] == []
