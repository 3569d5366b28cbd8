"""Around every request: who asks, what browsers are told, what is counted and logged, and no error that gets out as it is.

The log has a request's method, address, status and time: no query, no header, nothing of a body.
"""

import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fullconv.serve.problem import Problem
from fullconv.serve.security import HEADERS, OPEN
from fullconv.serve.service import Service

log = logging.getLogger(__name__)
UNKNOWN = "other"
"""The route of an address that there is not: metrics must not grow with what clients invent."""


class Guard:
    """An application behind a service's rules."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._run(scope, receive, guarded, lambda: status)
        finally:
            route = getattr(scope.get("route"), "path", UNKNOWN)
            self._service.metrics.requests.labels(route, str(status or "gone")).inc()
            took = 1000 * (time.monotonic() - begun)
            log.info("%s %s %s %.0f ms", scope["method"], route, status or "gone", took)

    async def _run(self, scope: Scope, receive: Receive, send: Send, status: Callable[[], int]) -> None:
        try:
            tokens = self._service.tokens
            given = Headers(scope=scope).get("authorization")
            if tokens is not None and scope["path"] not in OPEN and not tokens.admit(given):
                raise Problem("unauthorized", "send a token that this service knows, as the header Authorization: Bearer TOKEN")
            await self._app(scope, receive, send)
        except ClientDisconnect:
            log.info("a client went away")
        except Problem as problem:
            self._service.metrics.refusals.labels(problem.kind).inc()
            await problem.response()(scope, receive, send)
        except Exception:
            log.exception("a request failed")
            if not status():
                failed = Problem("failed", "the service failed; its keeper finds the reason in its log")
                await failed.response()(scope, receive, send)
