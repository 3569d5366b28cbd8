"""The addresses that ``fullconv view`` adds to the service, and its process; for this machine alone.

==========================================  ==========================================
``GET /view``                               the page, opened at the data set
``GET /v1/view``                            its images, scores, findings
``GET /v1/view/{index}/{what}``             image, thumbnail, truth, prediction, confidence, entropy
==========================================  ==========================================
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fullconv.errors import DataError, SpecError
from fullconv.serve.app import PAGE, create_app
from fullconv.serve.problem import Problem
from fullconv.serve.process import Server
from fullconv.serve.service import Service
from fullconv.serve.view import View, thumbnail

HOST = "127.0.0.1"
What = Literal["image", "thumbnail", "truth", "prediction", "confidence", "entropy"]


def create_view_app(view: View, service: Service) -> FastAPI:
    """Return the service's application with a view in it, which starts and stops with it.

    Other sites' pages cannot reach it, also not by a name that leads to this machine.
    """
    app = create_app(service)
    around = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with around(app):
            view.start()
            yield
            await asyncio.to_thread(view.stop)

    app.router.lifespan_context = lifespan
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.get("/view", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html", media_type="text/html; charset=utf-8", headers={"cache-control": "no-cache"})

    @app.get("/v1/view", include_in_schema=False)
    async def described() -> Response:
        return JSONResponse(view.describe())

    # functions without async run in threads of their own
    @app.get("/v1/view/{index}/{what}", include_in_schema=False)
    def part(index: int, what: What) -> Response:
        if not 0 <= index < len(view.describe()["images"]):
            raise Problem("not-found", f"there is no image {index}")
        try:
            content = _PARTS[what](view, index)
        except DataError as error:
            raise Problem("unreadable", str(error)) from error
        return Response(content, media_type="image/jpeg" if what == "thumbnail" else "image/png")

    return app


_PARTS: dict[str, Callable[[View, int], bytes]] = {
    "image": lambda view, index: view.image(index),
    "thumbnail": lambda view, index: thumbnail(view.image(index)),
    "truth": lambda view, index: view.labels(index, "truth"),
    "prediction": lambda view, index: view.labels(index, "prediction"),
    "confidence": lambda view, index: view.map(index, "confidence"),
    "entropy": lambda view, index: view.map(index, "entropy"),
}


def run_view(view: View, service: Service, port: int, tell: Callable[[str], None]) -> None:
    """Show a view in browsers of this machine until Ctrl-C or SIGTERM.

    Parameters
    ----------
    view, service
        Not started yet.
    port
        0 takes one that is free.
    tell
        Called with the address once it is open.

    Raises
    ------
    SpecError
        When the port is taken.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise SpecError(
            f"port {port} cannot be used ({getattr(error, 'strerror', None) or error}); give another --port"
        ) from error
    tell(f"http://{HOST}:{listening.getsockname()[1]}/view")
    config = uvicorn.Config(create_view_app(view, service), log_level="warning", access_log=False, ws="none", lifespan="on")
    Server(config, service).run([listening])
