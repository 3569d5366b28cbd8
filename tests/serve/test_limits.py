"""What is too much is refused, with the right status, before work is done for it; what is refused leaves nothing behind."""

import asyncio
import io
import struct
import threading
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ImageFile
from served import LIMITS, Serving, as_file, photograph, until
from starlette.testclient import TestClient

from fullconv.serve.limits import Limits, check_image
from fullconv.serve.problem import Problem
from fullconv.spec import ImageSpec
from fullconv.spec.image import PLAIN

PNG = {"content-type": "image/png"}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds zeros, which pack a thousand to one."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(min(3 * width * height, 10_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, **how: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **how)
    return buffer.getvalue()


def refused(content: bytes, how: ImageSpec = PLAIN, limits: Limits = LIMITS) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        check_image(content, how, limits)
    return caught.value.status, caught.value.detail


def test_the_size_is_read_and_nothing_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [as_file(photograph(), format) for format in ("JPEG", "PNG", "WEBP", "BMP", "GIF")]
    files.append(tiff(photograph(), photometric="rgb"))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda self: pytest.fail("decoded"))
    assert [check_image(content, PLAIN, LIMITS) for content in files] == [(40, 56)] * 6
    assert refused(bomb(8000, 8000))[0] == 413


@pytest.mark.parametrize("size", [(129, 128), (8000, 8000), (60_000, 60_000)])
def test_bombs_are_told_by_their_header(size: tuple[int, int]) -> None:
    status, said = refused(bomb(*size))
    assert status in (413, 422)  # PIL itself refuses the largest
    assert "pixels" in said


def test_bands_and_pages_count_too() -> None:
    many = tiff(np.zeros((64, 64, 300), np.uint8), planarconfig="contig", photometric="minisblack", compression="zlib")
    assert len(many) < 20_000
    status, said = refused(many)
    assert (status, "unpacked" in said) == (413, True)
    pages = tiff(np.zeros((5, 64, 64), np.uint8), photometric="minisblack")
    assert refused(pages, ImageSpec(pages="bands", bands=(1, 2, 3)))[0] == 413


def test_other_formats_are_not_given_to_their_readers() -> None:
    status, said = refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    assert (status, "JPEG" in said) == (415, True)
    assert refused(b"plain text")[0] == 415
    assert refused(b"")[0] == 422
    assert refused(as_file(photograph())[:20])[0] == 422


def test_the_service_says_it_by_status(serving: Serving) -> None:
    client, service = serving()

    def post(content: Any, kind: str = "image/png", query: str = "") -> tuple[int, str]:
        found = client.post(f"/v1/segment{query}", content=content, headers={"content-type": kind})
        return found.status_code, found.json()["detail"]

    assert post(bytes(200_001)) == (413, "the image file is larger than the 0.190735 MB that are accepted; shrink it")
    assert post(iter([bytes(150_000), bytes(60_000)]))[0] == 413  # without a length
    assert post(bomb(200, 200))[0] == 413
    assert post(as_file(photograph()), "text/plain")[0] == 415
    assert post(b"no image")[0] == 415
    assert post(as_file(photograph())[:-400])[0] == 422
    assert post(b"not a form", "multipart/form-data")[0] == 422
    assert post(b"not a form", "multipart/form-data; boundary=x")[0] == 422
    assert (service.held.now, client.get("/metrics").text.count("fullconv_queue 0.0")) == (0, 1)
    assert (
        client.post("/v1/segment", files={"other": b"x"}).json()["detail"].startswith("the form has no file in the field image")
    )


def test_probabilities_that_do_not_fit_are_refused_and_labels_are_not(serving: Serving) -> None:
    client, _ = serving(limits=Limits(pixels=3000))
    content = as_file(photograph(50, 60))  # with six classes 18000 numbers, of 24000
    assert client.post("/v1/segment?format=confidence", content=content, headers=PNG).status_code == 200
    client, _ = serving(limits=Limits(pixels=2300))
    content = as_file(photograph(47, 48))
    wide = client.get("/v1/models").json()[0]["heads"]["semantic"]
    expected = 413 if len(wide) > 8 else 200
    assert client.post("/v1/segment?format=npz", content=content, headers=PNG).status_code == expected
    assert client.post("/v1/segment", content=content, headers=PNG).status_code == 200


def test_a_full_queue_says_when_to_come_again(serving: Serving) -> None:
    client, service = serving(limits=Limits(queue=1))
    with service.place():
        found = client.post("/v1/segment", content=as_file(photograph()), headers=PNG)
    assert found.status_code == 429
    assert 1 <= int(found.headers["retry-after"]) <= 60
    assert client.post("/v1/segment", content=as_file(photograph()), headers=PNG).status_code == 200


def test_bytes_of_all_requests_are_bounded(serving: Serving) -> None:
    client, service = serving(limits=Limits(held=10_000))
    with service.held.share() as share:
        share.take(9_000)
        found = client.post("/v1/segment", content=as_file(photograph()), headers=PNG)
        assert (found.status_code, found.headers["retry-after"]) == (429, "1")
    assert service.held.now == 0
    assert client.post("/v1/segment", content=as_file(photograph()), headers=PNG).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(serving: Serving) -> None:
    client, _ = serving(limits=Limits(seconds=0.0001))
    found = client.post("/v1/segment", content=as_file(photograph()), headers=PNG)
    assert (found.status_code, "retry-after" in found.headers) == (503, True)


def test_starting_and_stopping_are_said(serving: Serving, checkpoint: Any) -> None:
    client, service = serving()
    for state, value in (("is_ready", False), ("is_stopping", True)):
        setattr(service, state, value)
        assert client.get("/healthz").status_code == 200
        for found in (client.get("/readyz"), client.post("/v1/segment", content=as_file(photograph()), headers=PNG)):
            assert (found.status_code, "retry-after" in found.headers) == (503, True)
        service.is_ready, service.is_stopping = True, False


def ask(client: TestClient, messages: list[dict[str, Any]], wait: float = 0) -> list[dict[str, Any]]:
    """Talk to the application as a server does; what follows the messages comes ``wait`` seconds later, or never."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await asyncio.sleep(wait or 3600)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"image/png")]
    scope = {"type": "http", "method": "POST", "path": "/v1/segment", "query_string": b"", "headers": headers}
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, send)  # type: ignore[arg-type]
    return sent


def test_a_slow_client_is_told_so_and_counts_for_nothing(serving: Serving) -> None:
    client, service = serving(limits=Limits(receive_seconds=0.05))
    sent = ask(client, [{"type": "http.request", "body": b"\x89PNG", "more_body": True}])
    assert sent[0]["status"] == 408
    assert service.held.now == 0


@pytest.mark.parametrize("more", [True, False])
def test_a_client_that_is_gone_gets_no_answer_and_leaves_nothing(serving: Serving, more: bool) -> None:
    client, service = serving()
    gate = threading.Event()
    assert service.models.get(None).predictor.predict(photograph()).labels.any()
    busy = service.in_thread(gate.wait)  # so that the answer is not there first
    assert client.portal is not None
    waiting = [client.portal.start_task_soon(lambda: service.in_thread(gate.wait)) for _ in range(64)]
    busy.close()
    body = {"type": "http.request", "body": as_file(photograph()), "more_body": more}
    assert ask(client, [body, {"type": "http.disconnect"}]) == []
    gate.set()
    for one in waiting:
        one.result()
    until(lambda: service.held.now == 0 and service._present == 0)
    assert client.post("/v1/segment", content=as_file(photograph()), headers=PNG).status_code == 200
