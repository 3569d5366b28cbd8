"""What a request is answered when it cannot be served: problem+json (RFC 9457), with the library's own sentences.

An answer never holds a path of this machine, a traceback or what a client sent.
"""

from http import HTTPStatus

from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"
KINDS = {
    "unauthorized": (401, "a token is needed"),
    "not-found": (404, "there is nothing of that name"),
    "method": (405, "this address does not take that method"),
    "slow-client": (408, "the image did not arrive in time"),
    "too-large": (413, "the image is too large"),
    "not-an-image": (415, "the body is no image that is read"),
    "unreadable": (422, "the image cannot be read"),
    "bad-request": (422, "the request does not fit"),
    "busy": (429, "there is too much to do"),
    "failed": (500, "the service failed"),
    "starting": (503, "the models are being loaded"),
    "stopping": (503, "the service is stopping"),
    "too-late": (503, "the answer took too long"),
}
"""By the last word of ``type``: the status and the title."""


class Problem(Exception):  # noqa: N818  # the word of RFC 9457
    """Why a request is not served.

    Parameters
    ----------
    kind
        One of :data:`KINDS`.
    detail
        One sentence: what came, what is accepted, what to do.
    retry_after
        Seconds after which another try makes sense.
    """

    def __init__(self, kind: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.retry_after = kind, detail, retry_after
        self.status, self.title = KINDS[kind]

    def response(self) -> Response:
        """Return the answer."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == HTTPStatus.UNAUTHORIZED:
            # browsers ask for a name and a password, which is the token; programs send it as Bearer
            headers["WWW-Authenticate"] = 'Basic realm="fullconv", charset="UTF-8"'
        content = {
            "type": f"urn:fullconv:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": " ".join(self.detail.split()),
        }
        return JSONResponse(content, self.status, headers, MEDIA_TYPE)
