"""What the tests of the service share: images, limits, waiting."""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from fullconv.serve.limits import Limits
from fullconv.serve.service import Service

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
