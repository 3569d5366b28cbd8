"""A service with a small model, in this process."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from fullconv.serve.app import create_app
from fullconv.serve.limits import Limits
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings

LIMITS = Limits(body=200_000, pixels=128 * 128)
Serving = Callable[..., tuple[TestClient, Service]]


def photograph(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_file(image: np.ndarray, format: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=format, **how)
    return buffer.getvalue()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that happens in another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


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
