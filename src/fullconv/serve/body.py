"""The image that a request brings: as its body, or as the field ``image`` of a form; never on a disk."""

import asyncio
from collections.abc import AsyncGenerator

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from fullconv.serve.limits import MB, Limits, Share
from fullconv.serve.problem import Problem

FORM = "multipart/form-data"
FIELD = "image"
PLAIN = "application/octet-stream"
ROOM = 64 * 1024
"""Bytes that a form may have beside the image."""


async def receive(request: Request, limits: Limits, share: Share) -> bytes:
    """Return the bytes of the image file; ``share`` counts what has come.

    Raises
    ------
    Problem
        When it is of another media type, too large, too slow, or no form that has an image.
    ClientDisconnect
        When the client is gone.
    """
    kind = request.headers.get("content-type", PLAIN).partition(";")[0].strip().lower()
    if kind not in (FORM, PLAIN) and not kind.startswith("image/"):
        raise Problem(
            "not-an-image",
            f"an image comes with the Content-Type image/…, {PLAIN} or {FORM} (field {FIELD}): curl --data-binary needs "
            "-H 'Content-Type: image/jpeg'",
        )
    most = limits.body + (ROOM if kind == FORM else 0)
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.receive_seconds):
            body = await _read(request, most, limits, share)
    except TimeoutError as error:
        raise Problem(
            "slow-client", f"the image did not arrive within {limits.receive_seconds:g} seconds; send it again, or a smaller one"
        ) from error
    return body if kind != FORM else await _image_in(request, body)


async def _read(request: Request, most: int, limits: Limits, share: Share) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        share.take(len(piece))
        body += piece
        if len(body) > most:
            raise _too_large(limits)
    return bytes(body)


def _too_large(limits: Limits) -> Problem:
    return Problem("too-large", f"the image file is larger than the {limits.body / MB:g} MB that are accepted; shrink it")


async def _image_in(request: Request, body: bytes) -> bytes:
    """Return the file in a form."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    class InMemory(MultiPartParser):
        spool_max_size = len(body) + 1

    try:
        form = await InMemory(request.headers, whole(), max_files=1, max_fields=1).parse()
    except (MultiPartException, FormParserError, KeyError, ValueError, AssertionError) as error:
        raise Problem("bad-request", f"the form cannot be read; send one file in the field {FIELD}") from error
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise Problem("bad-request", f"the form has no file in the field {FIELD}: curl -F {FIELD}=@photo.jpg")
        return await file.read()
    finally:
        await form.close()
