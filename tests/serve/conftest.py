"""A service with a small model, in this process."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import LIMITS, Serving, until
from starlette.testclient import TestClient

from fullconv.serve.app import create_app
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings


@pytest.fixture
def serving(checkpoint: Path) -> Iterator[Serving]:
    """What starts services of a test, which end with it."""
    with contextlib.ExitStack() as ending:

        def start(**how: Any) -> tuple[TestClient, Service]:
            given = {"models": (("scenes", str(checkpoint)),), "limits": LIMITS, "threads": 1, "watch": 0.02}
            service = Service(Settings(**(given | how)))
            client = ending.enter_context(TestClient(create_app(service)))
            until(lambda: service.is_ready)
            return client, service

        yield start


@pytest.fixture(scope="module")
def client(checkpoint: Path) -> Iterator[TestClient]:
    """A service that a module's tests share."""
    service = Service(Settings((("scenes", str(checkpoint)), ("again", str(checkpoint))), limits=LIMITS, threads=1))
    with TestClient(create_app(service)) as client:
        until(lambda: service.is_ready)
        yield client
