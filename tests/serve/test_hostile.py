"""Bodies that were made to do harm: each is answered or refused in words, and afterwards all is as before."""

import io
import random

import pytest
from PIL import Image
from served import as_file, photograph
from starlette.testclient import TestClient

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
IMAGE = {"content-type": "image/png"}


def mutated(rng: random.Random, content: bytes) -> bytes:
    """Return a file with some bytes changed, most of them in its header, and perhaps cut off or with more behind it."""
    body = bytearray(content)
    for _ in range(rng.randrange(1, 10)):
        body[rng.randrange(min(len(body), rng.choice([64, len(body)])))] = rng.randrange(256)
    cut = rng.choice([len(body), rng.randrange(len(body))])
    return bytes(body[:cut]) + rng.choice([b"", rng.randbytes(100)])


@pytest.mark.parametrize("format", FORMATS)
def test_mutated_images(client: TestClient, format: str) -> None:
    """``benchmarks/service_faults.py hostile`` sends ten thousand."""
    rng = random.Random(format)
    content = as_file(photograph(24, 32), format)
    expected = client.post("/v1/segment", content=content, headers=IMAGE)
    assert expected.status_code == 200
    statuses = set()
    for _ in range(20):
        found = client.post("/v1/segment", content=mutated(rng, content), headers=IMAGE)
        statuses.add(found.status_code)
        if found.status_code == 200:
            Image.open(io.BytesIO(found.content)).verify()
        else:
            assert found.headers["content-type"] == "application/problem+json"
            assert "Traceback" not in found.json()["detail"]
    assert statuses <= {200, 413, 415, 422}
    assert statuses - {200}, "nothing was hostile"
    assert "fullconv_held_bytes 0.0" in client.get("/metrics").text
    assert client.post("/v1/segment", content=content, headers=IMAGE).content == expected.content
